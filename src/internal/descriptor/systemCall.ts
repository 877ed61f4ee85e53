/** The outcome of a call on a non-blocking descriptor, and the checks that precede one. */
import * as Effect from "effect/Effect"
import type { PollerError } from "../../PollerError.ts"
import { fromErrno, type Where } from "../errors/pollerErrors.ts"
import { retryInterrupted } from "../kernel/retry.ts"
import type { Libc } from "../libc/koffi.ts"

/** As an effect: what was answered, `undefined` if it would have blocked, or the error. */
export const outcome = (
  libc: Libc,
  syscall: string,
  where: Where,
  result: number
): Effect.Effect<number, PollerError> | undefined => {
  if (result >= 0) return Effect.succeed(result)
  return result === -libc.profile.errno.EAGAIN ? undefined : Effect.fail(fromErrno(syscall, -result, where))
}

/** Makes a call that does not wait, as an effect. */
export const attempt = (
  libc: Libc,
  syscall: string,
  where: Where | undefined,
  make: () => number
): Effect.Effect<number, PollerError> =>
  Effect.suspend(() => {
    const result = retryInterrupted(libc, make)
    return result >= 0 ? Effect.succeed(result) : Effect.fail(fromErrno(syscall, -result, where))
  })
