/** Helpers of the behaviours of waits for descriptors that a library reads. */
import { expect } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import { Poller, Registrar } from "effect-amy"
import { attachmentOf } from "../../src/internal/delivery/registrar.ts"
import { readyNow } from "./layers.ts"
import type { Behaviour } from "./worlds.ts"

export type Behaviours = { readonly [about: string]: { readonly [name: string]: Behaviour } }

/** Starts an effect, and returns when it waits or has ended. */
export const begin = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })

/** Expects a fiber to wait, after everything that is ready now has been delivered. */
export const expectWaiting = <A, E>(...fibers: ReadonlyArray<Fiber.Fiber<A, E>>) =>
  Effect.map(readyNow, () => {
    for (const fiber of fibers) expect(fiber.pollUnsafe()).toBeUndefined()
  })

/** Expects an effect to end without a wait, and returns its result. */
export const atOnce = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const fiber = yield* begin(effect)
    expect(fiber.pollUnsafe(), "it had to wait").toBeDefined()
    return yield* Fiber.join(fiber)
  })

/** Starts an effect that has to wait. */
export const beginWaiting = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.tap(begin(effect), (fiber) => expectWaiting(fiber))

/** Returns how many fibers wait for one source each. */
export const waiters = Effect.gen(function* () {
  return (yield* attachmentOf(yield* Registrar.Registrar)).dispatcher.waiters
})

export const registrations = Effect.flatMap(Poller.Poller, ({ stats }) => Effect.map(stats, (all) => all.registrations))

/** Makes a scope that the test closes. */
export const ownScope = Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
