/** A C call of the user's, as an effect. */
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import { isPollerError, type PollerError } from "../../PollerError.ts"
import type { CallOptions } from "../../Syscall.ts"
import { loadLibc } from "../errors/loadLibc.ts"
import { type Names, readOptions } from "../errors/options.ts"
import { fromErrno, invalidArgument } from "../errors/pollerErrors.ts"
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

const callOptions: Names<CallOptions<unknown>> = { fd: true, address: true, hasFailed: true }

/** Reads the options before the call is made: afterwards they could fail what has succeeded. */
const withOptions = <A, B>(
  options: CallOptions<A> | undefined,
  use: (options: CallOptions<A> | undefined) => Effect.Effect<B, PollerError>
): Effect.Effect<B, PollerError> => {
  if (options === undefined) return use(undefined)
  const read = readOptions<CallOptions<A>>("the call", options, callOptions)
  if (isPollerError(read)) return Effect.fail(read)
  const { address, fd, hasFailed } = read
  const isValid =
    (fd === undefined || typeof fd === "number") &&
    (address === undefined || typeof address === "string") &&
    (hasFailed === undefined || typeof hasFailed === "function")
  return isValid
    ? use(read)
    : Effect.fail(
        invalidArgument("invalid options of the call: expected fd a number, address a text, hasFailed a function")
      )
}

export const call = <A>(name: string, attempt: () => A, options?: CallOptions<A>): Effect.Effect<A, PollerError> =>
  withOptions(options, (read) =>
    make(attempt, read?.hasFailed ?? isMinusOne, Effect.succeed, (errno) => Effect.fail(fromErrno(name, errno, read)))
  )

export const unlessBlocked = <A>(
  name: string,
  attempt: () => A,
  options?: CallOptions<A>
): Effect.Effect<Option.Option<A>, PollerError> =>
  withOptions(options, (read) =>
    make(
      attempt,
      read?.hasFailed ?? isMinusOne,
      (result) => Effect.succeedSome(result),
      (errno, libc) =>
        errno === libc.profile.errno.EAGAIN ? Effect.succeedNone : Effect.fail(fromErrno(name, errno, read))
    )
  )
