/** Reads the options that callers pass. */
import type { PollerError } from "../../PollerError.ts"
import { readArgument } from "./arguments.ts"

/** Every option of a function, so that the compiler reports one that is missing. */
export type Names<A> = { readonly [Name in keyof A]-?: true }

/**
 * Copies the options that are not undefined. Reads each of them once, also an inherited one.
 * Returns the error if reading throws: nothing has been done yet, and nothing is done then.
 */
export const readOptions = <A extends object>(
  of: string,
  options: A | undefined | null,
  names: Names<A>
): A | PollerError =>
  readArgument(`an option of ${of}`, () => {
    const read: { [Name in keyof A]?: A[Name] } = {}
    for (const name of Object.keys(names) as Array<keyof A>) {
      const value = options?.[name]
      if (value !== undefined) read[name] = value
    }
    return read as A
  })
