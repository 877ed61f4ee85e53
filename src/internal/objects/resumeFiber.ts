/** Resumes fibers from the library's own code. */
import type * as Effect from "effect/Effect"
import { reportUncaught } from "../libc/uncaught.ts"

/**
 * Resumes a fiber, which runs until it waits again or ends. An exception that an observer of the
 * fiber throws is reported, and cannot stop what comes after: other fibers, the rest of a batch,
 * the closing of a layer.
 */
export const resumeFiber = <A, E>(resume: (effect: Effect.Effect<A, E>) => void, effect: Effect.Effect<A, E>): void => {
  try {
    resume(effect)
  } catch (thrown) {
    reportUncaught(thrown)
  }
}
