/**
 * Actions that run before this thread exits, in whatever way it exits. A thread that is blocked in
 * the kernel cannot be ended, so it has to be woken first. One listener serves all pollers.
 */
const actions = new Set<() => void>()

const run = () => {
  // The latest first, as finalizers run: what wakes a poller uses descriptors that an earlier
  // action closes.
  for (const action of [...actions].toReversed()) action()
}

/** Runs an action when this thread exits. Returns a function that cancels it. */
export const onExit = (action: () => void): (() => void) => {
  // Before the listeners that exist already: one of them may call process.exit itself, and then it
  // is the last to run.
  if (actions.size === 0) process.prependListener("exit", run)
  actions.add(action)
  return () => {
    actions.delete(action)
    if (actions.size === 0) process.off("exit", run)
  }
}
