/** A C call of the user's, as an effect. */
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type { PollerError } from "../../PollerError.ts"
import type { CallOptions } from "../../Syscall.ts"
import { loadLibc } from "../errors/loadLibc.ts"
import { fromErrno } from "../errors/pollerErrors.ts"
import type { Libc } from "../libc/koffi.ts"

const isMinusOne = (result: unknown): boolean => result === -1 || result === -1n

/** Makes a call until no signal interrupts it, and passes on its result or its errno. */
const make = <A, B>(
  attempt: () => A,
  hasFailed: (result: A) => boolean,
  onSuccess: (result: A) => Effect.Effect<B, PollerError>,
  onErrno: (errno: number, libc: Libc) => Effect.Effect<B, PollerError>
): Effect.Effect<B, PollerError> =>
  Effect.flatMap(loadLibc, (libc) => {
    for (;;) {
      // A function that fails without an errno must not seem to have failed with an earlier one.
      libc.errno(0)
      const result = attempt()
      // Before anything else is called, which might change it.
      const errno = libc.errno()
      if (!hasFailed(result)) return onSuccess(result)
      if (errno !== libc.profile.errno.EINTR) return onErrno(errno, libc)
    }
  })

export const call = <A>(name: string, attempt: () => A, options?: CallOptions<A>): Effect.Effect<A, PollerError> =>
  make(attempt, options?.hasFailed ?? isMinusOne, Effect.succeed, (errno) =>
    Effect.fail(fromErrno(name, errno, options))
  )

export const unlessBlocked = <A>(
  name: string,
  attempt: () => A,
  options?: CallOptions<A>
): Effect.Effect<Option.Option<A>, PollerError> =>
  make(
    attempt,
    options?.hasFailed ?? isMinusOne,
    (result) => Effect.succeedSome(result),
    (errno, libc) =>
      errno === libc.profile.errno.EAGAIN ? Effect.succeedNone : Effect.fail(fromErrno(name, errno, options))
  )
