/** Descriptors that are watched by an `AsyncFd`, and what can be seen of who waits for them. */
import { expect } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { AsyncFd, Registrar } from "effect-amy"
import { attachmentOf } from "../../src/internal/registrar.ts"
import * as Kernel from "./kernel.ts"
import { readyNow } from "./layers.ts"

/** Closes whichever of them are still open at the end. */
export const scopedFds = <A extends ReadonlyArray<number>>(make: () => A) =>
  Effect.acquireRelease(Effect.sync(make), (fds) => Effect.sync(() => fds.filter(Kernel.isOpen).forEach(Kernel.close)))

/** Two connected sockets, the first of them watched. */
export const watchedPair = (
  options?: AsyncFd.AsyncFdOptions,
  make: () => readonly [number, number] = Kernel.socketPair
) =>
  Effect.gen(function* () {
    const [near, far] = yield* scopedFds(make)
    return { near, far, watched: yield* AsyncFd.make(near, options) }
  })

/** How many fibers wait for a descriptor on this thread. */
export const waiters = Effect.gen(function* () {
  return (yield* attachmentOf(yield* Registrar.Registrar)).dispatcher.waiters
})

/** Starts it; by the time this returns it waits, or has come out. */
export const begin = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })

/** Starts it, and makes sure that nothing that is ready now is what it waits for. */
export const beginWaiting = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const fiber = yield* begin(effect)
    yield* readyNow
    expect(fiber.pollUnsafe()).toBeUndefined()
    return fiber
  })

/** Makes sure that it would wait. */
export const expectToWait = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(beginWaiting(effect), Fiber.interrupt)

/** Makes sure that it comes out without having to wait for anything. */
export const atOnce = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const fiber = yield* begin(effect)
    expect(fiber.pollUnsafe(), "it had to wait").toBeDefined()
    return yield* Fiber.join(fiber)
  })

export const encode = (text: string): Uint8Array => new TextEncoder().encode(text)

/** Reads up to so many bytes, as text. */
export const readText = (watched: AsyncFd.AsyncFd, count = 64) =>
  Effect.suspend(() => {
    const buffer = new Uint8Array(count)
    return Effect.map(watched.read(buffer), (length) => new TextDecoder().decode(buffer.subarray(0, length)))
  })

/** A turn of the event loop. */
export const turn = Effect.promise(() => new Promise(setImmediate))
