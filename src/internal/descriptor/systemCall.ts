/** The outcome of a call on a non-blocking descriptor, and the checks that precede one. */
import * as Effect from "effect/Effect"
import type { PollerError } from "../../PollerError.ts"
import { fromErrno } from "../errors/pollerErrors.ts"
import { retryInterrupted } from "../kernel/retry.ts"
import type { Libc } from "../libc/koffi.ts"

/** As an effect: what was answered, `undefined` if it would have blocked, or the error. */
export const outcome = (
  libc: Libc,
  syscall: string,
  fd: number,
  result: number
): Effect.Effect<number, PollerError> | undefined => {
  if (result >= 0) return Effect.succeed(result)
  return result === -libc.profile.errno.EAGAIN ? undefined : Effect.fail(fromErrno(syscall, -result, fd))
}

/** Makes a call that does not wait, as an effect. */
export const attempt = (
  libc: Libc,
  syscall: string,
  fd: number | undefined,
  make: () => number
): Effect.Effect<number, PollerError> =>
  Effect.suspend(() => {
    const result = retryInterrupted(libc, make)
    return result >= 0 ? Effect.succeed(result) : Effect.fail(fromErrno(syscall, -result, fd))
  })
