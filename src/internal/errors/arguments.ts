/** Checks of what a caller passes. */
import type { PollerError } from "../../PollerError.ts"
import { invalidArgument } from "./pollerErrors.ts"

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
