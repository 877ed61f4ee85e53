/**
 * What has to be done before this thread goes, however it goes: a thread that is blocked in the kernel cannot be ended
 * by anyone, so it must be woken first. One listener serves all pollers.
 */
const actions = new Set<() => void>()

const run = () => {
  for (const action of actions) action()
}

/** Runs an action when this thread exits; answers how to take that back. */
export const onExit = (action: () => void): (() => void) => {
  if (actions.size === 0) process.on("exit", run)
  actions.add(action)
  return () => {
    actions.delete(action)
    if (actions.size === 0) process.off("exit", run)
  }
}
