/** System calls on descriptors, as effects. */
import * as Effect from "effect/Effect"
import type { PollerError } from "../../PollerError.ts"
import { fromErrno, type Where } from "../errors/pollerErrors.ts"
import { retryInterrupted } from "../kernel/retry.ts"
import type { Libc } from "../libc/koffi.ts"

/**
 * Turns the result of a call on a non-blocking descriptor into an effect: its value, or its error.
 * Returns `undefined` if the call would have blocked.
 */
export const unlessBlocked = (
  libc: Libc,
  syscall: string,
  where: Where,
  result: number
): Effect.Effect<number, PollerError> | undefined => {
  if (result >= 0) return Effect.succeed(result)
  return result === -libc.profile.errno.EAGAIN ? undefined : Effect.fail(fromErrno(syscall, -result, where))
}

/** Makes a call that never blocks, as an effect. */
export const systemCall = (
  libc: Libc,
  syscall: string,
  where: Where | undefined,
  call: () => number
): Effect.Effect<number, PollerError> =>
  Effect.suspend(() => {
    const result = retryInterrupted(libc, call)
    return result >= 0 ? Effect.succeed(result) : Effect.fail(fromErrno(syscall, -result, where))
  })
