/** Texts as C takes them. */
import type { PollerError } from "../../PollerError.ts"
import { textOf } from "../errors/arguments.ts"
import { invalidArgument } from "../errors/pollerErrors.ts"

/** Returns the bytes of a text, with a zero byte at the end. */
export const cString = (text: string): Uint8Array => Buffer.from(`${text}\0`)

/** Returns the error if a value is not a text that C can take. */
export const textError = (what: string, value: unknown): PollerError | undefined =>
  typeof value === "string" && !value.includes("\0")
    ? undefined
    : invalidArgument(`invalid ${what} ${textOf(value)}: expected a string without a zero byte`)
