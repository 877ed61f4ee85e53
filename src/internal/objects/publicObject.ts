/**
 * What every object that the library hands to a user has: methods that can be passed on, and a
 * printed form.
 */
import { type Inspectable, NodeInspectSymbol } from "effect/Inspectable"

/**
 * The base of such objects.
 *
 * Their state belongs in `#private` fields, with getters for what other rooms need: then nothing
 * internal is enumerable.
 */
export abstract class PublicObject implements Inspectable {
  abstract toJSON(): unknown

  /** The printed form, on one line: `Fd(7)`. */
  abstract toString(): string

  [NodeInspectSymbol](): string {
    return this.toString()
  }
}

/**
 * Makes every method of a class work without its object, as in `const { read } = connection`. To be
 * called once for each class, in its static block: `static { detachMethods(this) }`.
 *
 * A method is bound each time that it is looked up, and the object keeps nothing: there may be
 * thousands of idle connections. V8 compiles a call away that binds and calls at once. A kept
 * function, which it does not know, is slower.
 */
export const detachMethods = (constructor: { readonly prototype: object }): void => {
  const { prototype } = constructor
  for (const [name, { value, writable }] of Object.entries(Object.getOwnPropertyDescriptors(prototype))) {
    if (typeof value !== "function" || writable !== true || name === "constructor") continue
    if (name === "toString" || name === "toJSON") continue
    Object.defineProperty(prototype, name, {
      configurable: true,
      get(this: object): unknown {
        return value.bind(this)
      }
    })
  }
}
