/**
 * Suspends a fiber until the library resumes it, without an object for each wait.
 *
 * `Effect.callback` makes six objects each time that a fiber waits, which a server does for each
 * request. All of them are alive as long as their fiber waits, so with many connections the
 * collector copies them. Here a wait makes none.
 *
 * This is the only file that relies on how Effect's fibers work within. Where they work otherwise,
 * `Effect.callback` takes their place.
 */
import * as Effect from "effect/Effect"
import * as Effectable from "effect/Effectable"
import type * as Fiber from "effect/Fiber"
import { reportUncaught } from "../libc/uncaught.ts"

/** Any fiber. */
export type AnyFiber = Fiber.Fiber<unknown, unknown>

/** A fiber, as far as it is resumed. */
export interface Resumable {
  /** Goes on with an effect. To be called once for each time that the fiber waits. */
  evaluate(effect: unknown): void
}

/** A fiber, as far as it is suspended and resumed. */
export interface Suspendable extends Resumable {
  /**
   * Returns what suspends the fiber when it runs that next. `onResume` is called when the fiber
   * goes on, for whatever reason: it was resumed, or interrupted.
   */
  yieldWith(onResume: () => void): unknown
}

const isSuspendable = (fiber: object): fiber is Suspendable =>
  "yieldWith" in fiber &&
  typeof fiber.yieldWith === "function" &&
  "evaluate" in fiber &&
  typeof fiber.evaluate === "function"

/** Suspends and resumes a fiber by Effect's public functions. */
export class CallbackFiber implements Suspendable {
  #resume: ((effect: Effect.Effect<unknown, unknown>) => void) | undefined
  /** The effect to go on with, if the fiber was resumed before it came to wait. */
  #early: Effect.Effect<unknown, unknown> | undefined

  yieldWith(onResume: () => void): Effect.Effect<unknown, unknown> {
    return Effect.callback((resume) => {
      if (this.#early !== undefined) return resume(this.#early)
      this.#resume = (effect) => {
        onResume()
        resume(effect)
      }
      return Effect.sync(onResume)
    })
  }

  evaluate(effect: Effect.Effect<unknown, unknown>): void {
    const resume = this.#resume
    this.#resume = undefined
    if (resume === undefined) this.#early = effect
    else resume(effect)
  }
}

/** Returns what suspends the running fiber. */
export const suspendableOf = (fiber: AnyFiber): Suspendable => (isSuspendable(fiber) ? fiber : new CallbackFiber())

/** Suspends the running fiber: to be returned by the effect that it runs. */
export const suspend = <A, E>(fiber: Suspendable, onResume: () => void): Effect.Effect<A, E> =>
  fiber.yieldWith(onResume) as Effect.Effect<A, E>

/**
 * Resumes a fiber that was suspended, which runs until it waits again or ends. An exception that an
 * observer of the fiber throws is reported, and cannot stop what comes after.
 */
export const resumeSuspended = <A, E>(fiber: Resumable, effect: Effect.Effect<A, E>): void => {
  try {
    fiber.evaluate(effect)
  } catch (thrown) {
    reportUncaught(thrown)
  }
}

/** An effect that knows which fiber runs it. */
interface RunBy<A, E> {
  /** Called when a fiber runs this effect. Returns the effect that it runs next. */
  run(fiber: AnyFiber): Effect.Effect<A, E>
}

function Base() {}
Base.prototype = Effectable.Prototype<Effect.Effect<unknown, unknown> & RunBy<unknown, unknown>>({
  label: "FiberEffect",
  evaluate(fiber) {
    return this.run(fiber)
  }
})

export abstract class FiberEffect<A, E>
  extends (Base as unknown as abstract new <A, E>() => Effect.Effect<A, E>)<A, E>
  implements RunBy<A, E>
{
  abstract run(fiber: AnyFiber): Effect.Effect<A, E>
}
