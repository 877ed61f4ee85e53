/**
 * What has to be done before this thread goes, however it goes: a thread that is blocked in the kernel cannot be ended
 * by anyone, so it must be woken first. One listener serves all pollers.
 */
const actions = new Set<() => void>()

const run = () => {
  // The latest first, as finalizers run: what wakes a poller uses descriptors that an earlier action closes.
  for (const action of [...actions].toReversed()) action()
}

/** Runs an action when this thread exits; answers how to take that back. */
export const onExit = (action: () => void): (() => void) => {
  // Before the listeners that are there already, for one of them may call process.exit itself and so be the last.
  if (actions.size === 0) process.prependListener("exit", run)
  actions.add(action)
  return () => {
    actions.delete(action)
    if (actions.size === 0) process.off("exit", run)
  }
}
