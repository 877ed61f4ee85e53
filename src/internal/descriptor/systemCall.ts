/** The outcome of a call on a non-blocking descriptor, and the checks that precede one. */
import * as Effect from "effect/Effect"
import type { PollerError } from "../../PollerError.ts"
import { fromErrno, invalidArgument } from "../errors/pollerErrors.ts"
import type { Libc } from "../libc/koffi.ts"

/** Makes a call again for as long as a signal interrupts it. Answers what it did, or the negative of the errno. */
export const call = (libc: Libc, make: () => number): number => {
  for (;;) {
    const result = make()
    if (result !== -1) return result
    const errno = libc.errno()
    if (errno !== libc.profile.errno.EINTR) return -errno
  }
}

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
    const result = call(libc, make)
    return result >= 0 ? Effect.succeed(result) : Effect.fail(fromErrno(syscall, -result, fd))
  })

/** What there is of a buffer from an offset on; not a number if it is none, which `rangeError` says. */
export const restOf = (buffer: Uint8Array | undefined | null, offset: number): number =>
  (buffer?.length ?? NaN) - offset

/** What is wrong with a part of a buffer. */
export const rangeError = (
  buffer: Uint8Array,
  offset: number,
  length: number,
  least: number
): PollerError | undefined => {
  if (!(buffer instanceof Uint8Array)) return invalidArgument("the buffer is none: give a Uint8Array")
  if (buffer.length === 0 && buffer.buffer instanceof ArrayBuffer && buffer.buffer.detached) {
    return invalidArgument("the buffer was transferred to somebody else: give one that is still here")
  }
  if (!Number.isInteger(offset) || offset < 0 || offset > buffer.length) {
    return invalidArgument(`the offset ${String(offset)} is outside a buffer of ${buffer.length} bytes`)
  }
  if (!Number.isInteger(length) || length < least || offset + length > buffer.length) {
    return invalidArgument(
      `the length ${String(length)} is not between ${least} and the ${buffer.length - offset} bytes from offset ${offset} on`
    )
  }
  return undefined
}
