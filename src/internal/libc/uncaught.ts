/** Exceptions of a program's own code, where it runs on the library's stack. */
import { setImmediate } from "./realTime.ts"

/**
 * Reports an exception as Node reports one that nothing has caught: as `uncaughtException`, which
 * ends a process that does not listen for it. The caller goes on, so that what comes after it is
 * not affected.
 */
export const reportUncaught = (thrown: unknown): void =>
  void setImmediate(() => {
    throw thrown
  })
