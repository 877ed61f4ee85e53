/**
 * What guards of public types ask. A value that throws when it is asked, as a revoked Proxy does, is
 * of no type.
 */
import { hasProperty } from "effect/Predicate"

const holds = (check: () => boolean): boolean => {
  try {
    return check()
  } catch {
    return false
  }
}

/** Whether a value is an object of a class. */
export const isOf = <A>(constructor: abstract new (...args: never) => A, value: unknown): value is A =>
  holds(() => value instanceof constructor)

/** Whether a value has the mark of a type. */
export const isMarked = (value: unknown, mark: string): boolean => holds(() => hasProperty(value, mark))
