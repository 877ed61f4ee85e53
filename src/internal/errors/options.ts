/** Reads the options that callers pass. */
import type { PollerError } from "../../PollerError.ts"
import { readArgument, textOf } from "./arguments.ts"
import { invalidArgument } from "./pollerErrors.ts"

/**
 * Every option of a function, so that the compiler reports one that is missing. Those that are true
 * or false are checked here, all others where they are used.
 */
export type Names<A> = {
  readonly [Name in keyof A]-?: [Exclude<A[Name], undefined>] extends [boolean] ? "boolean" : true
}

/** Returns the error of an option that is neither true nor false, nor left out. */
export const booleanError = (name: string, value: unknown): PollerError | undefined =>
  value === undefined || typeof value === "boolean"
    ? undefined
    : invalidArgument(`invalid ${name} ${textOf(value)}: expected true or false`)

/**
 * Copies the options that are not undefined. Reads each of them once, also an inherited one.
 * Returns the error if reading throws, or if one that must be true or false is neither: nothing has
 * been done yet, and nothing is done then.
 */
export const readOptions = <A extends object>(
  of: string,
  options: A | undefined | null,
  names: Names<A>
): A | PollerError =>
  readArgument(`an option of ${of}`, (): A | PollerError => {
    const read: { [Name in keyof A]?: A[Name] } = {}
    for (const name of Object.keys(names) as Array<keyof A>) {
      const value = options?.[name]
      const wrong = names[name] === "boolean" ? booleanError(String(name), value) : undefined
      if (wrong !== undefined) return wrong
      if (value !== undefined) read[name] = value
    }
    return read as A
  })
