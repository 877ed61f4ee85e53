/**
 * Several copies of the library in one process: nested in node_modules, or bundled into a plugin.
 * What one copy has made says so, and another copy says what is wrong.
 */
import { hasProperty } from "effect/Predicate"
import type { PollerError } from "../../PollerError.ts"
import { holds } from "./arguments.ts"
import { invalidArgument } from "./pollerErrors.ts"

/** The version of this copy, as in package.json. */
export const version = "0.2.0"

/** The key under which handles and services hold the version of the copy that made them. */
export const versionKey = "~effect-amy/version"

/** Whether a handle is of this version. Only then is shared memory laid out as it is here. */
export const isOfThisVersion = (handle: object): boolean =>
  hasProperty(handle, versionKey) && handle[versionKey] === version

const twoCopies = (what: string, other: string): PollerError =>
  invalidArgument(
    `two copies of effect-amy are loaded: this ${what} is of a copy of version ${other}, and was passed to one of version ${version} (install one version, and one copy in each thread: \`npm ls effect-amy\` shows them)`
  )

/** Returns the version of the copy that made something, or `undefined`. */
const versionOf = (made: unknown): string | undefined => {
  let found: unknown
  return holds(() => hasProperty(made, versionKey) && typeof (found = made[versionKey]) === "string")
    ? (found as string)
    : undefined
}

/** Returns the error for a handle of another version, or `undefined`. */
export const otherVersion = (what: string, handle: unknown): PollerError | undefined => {
  const other = versionOf(handle)
  return other === undefined || other === version ? undefined : twoCopies(what, other)
}

/**
 * Returns the error for a service that this copy did not make and another one did, or `undefined`.
 */
export const otherCopy = (what: string, service: unknown): PollerError | undefined => {
  const other = versionOf(service)
  return other === undefined ? undefined : twoCopies(what, other)
}
