/** Compares types, for the tests of public types. The compiler does all the checking. */
import { expect } from "@effect/vitest"
import type { Inspectable } from "effect"

/**
 * Whether two types are the same, including `readonly` and optional members, and neither is `any`.
 */
export type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
export const same = <Verdict extends true>(verdict: Verdict): void => expect(verdict).toBe(true)

type IsAny<A> = 0 extends 1 & A ? true : false
/** The names of the members that are `any`, or functions that take or return it. */
export type Loose<A> = {
  [K in keyof A]: IsAny<A[K]> extends true
    ? K
    : A[K] extends (...args: infer Args) => infer Result
      ? true extends IsAny<Result> | IsAny<Args> | IsAny<Args[number]>
        ? K
        : never
      : never
}[keyof A]

/** The members of an interface, without its type id and what every object of the library has. */
export type Members<A> = {
  [K in keyof A as K extends `~${string}` | keyof Inspectable.Inspectable ? never : K]: A[K]
}
