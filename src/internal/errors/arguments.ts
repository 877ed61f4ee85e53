/** Checks of the arguments that callers pass. */
import { isArrayBuffer, isUint8Array } from "node:util/types"
import type { PollerError } from "../../PollerError.ts"
import { invalidArgument, unreadable } from "./pollerErrors.ts"

/**
 * Reads what a caller has passed. Returns the error if that throws: a getter may, a revoked Proxy
 * does, and so may a conversion to a number or a text.
 */
export const readArgument = <A>(what: string, read: () => A): A | PollerError => {
  try {
    return read()
  } catch (cause) {
    return unreadable(what, cause)
  }
}

/** Whether a check of what a caller has passed succeeds. It does not if reading that throws. */
export const holds = (check: () => boolean): boolean => {
  try {
    return check()
  } catch {
    return false
  }
}

/** Returns a value as an error shows it, also if its own conversion throws. */
export const textOf = (value: unknown): string => {
  try {
    return String(value)
  } catch {
    return `of type ${typeof value}`
  }
}

/**
 * Returns whether a value can be the number of a descriptor: a C `int`, not necessarily an open
 * one.
 */
export const isDescriptor = (value: unknown): boolean => Number.isInteger(value) && value === ((value as number) | 0)

/** Returns the error if a value cannot be the number of a descriptor. */
export const descriptorError = (value: unknown, expected: string): PollerError | undefined =>
  isDescriptor(value) ? undefined : invalidArgument(`invalid descriptor ${textOf(value)}: expected ${expected}`)

/**
 * Returns the length of a buffer from an offset on, or NaN if there is no buffer: `rangeError` then
 * says so.
 */
export const restOf = (buffer: Uint8Array | undefined | null, offset: number): number =>
  isUint8Array(buffer) && typeof offset === "number" ? buffer.length - offset : NaN

/** Returns the error if a part of a buffer is invalid. */
export const rangeError = (
  buffer: Uint8Array,
  offset: number,
  length: number,
  least: number
): PollerError | undefined => {
  if (!isUint8Array(buffer)) return invalidArgument("invalid buffer: expected a Uint8Array")
  const transferred = transferredError(buffer)
  if (transferred !== undefined) return transferred
  if (!Number.isInteger(offset) || offset < 0 || offset > buffer.length) {
    return invalidArgument(
      `invalid offset ${textOf(offset)}: expected an integer from 0 to the buffer's length, ${buffer.length}`
    )
  }
  if (!Number.isInteger(length) || length < least || offset + length > buffer.length) {
    const most = buffer.length - offset
    return invalidArgument(
      most < least
        ? "the buffer has no room for a byte: pass a longer one"
        : `invalid length ${textOf(length)}: expected an integer from ${least} to ${most}, the bytes from offset ${offset} on`
    )
  }
  return undefined
}

/** Returns the error of a buffer that has lost bytes which a call was given, while it waited. */
export const changedError = (): PollerError =>
  invalidArgument(
    "the buffer was transferred to another thread, or has shrunk, while the call waited: leave it as it is until the call is over"
  )

/** Returns the error of a buffer that was transferred to another thread. */
export const transferredError = (buffer: Uint8Array): PollerError | undefined =>
  buffer.length === 0 && isArrayBuffer(buffer.buffer) && buffer.buffer.detached
    ? invalidArgument("the buffer was transferred to another thread: pass one that this thread still has")
    : undefined
