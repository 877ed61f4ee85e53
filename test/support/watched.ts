/** Helpers of the tests of `AsyncFd`: watched descriptors, and the fibers that wait for them. */
import { describe, expect } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { AsyncFd } from "effect-amy"
import * as Kernel from "./kernel.ts"
import { layers, type PollerLayer, readyNow, twoLayers } from "./layers.ts"

export { waiters } from "./waiters.ts"

/**
 * Like `describeLayers` without `layerAttach`, for tests in which the kind of thread makes no
 * difference.
 */
export const describeTwoLayers = (name: string, body: (layer: () => PollerLayer) => void): void => {
  for (const layerName of twoLayers) {
    describe(`${name} (${layerName})`, () => {
      body(layers[layerName])
    })
  }
}

/** Makes descriptors. The scope closes those that are still open. */
export const scopedFds = <A extends ReadonlyArray<number>>(make: () => A) =>
  Effect.acquireRelease(Effect.sync(make), (fds) => Effect.sync(() => fds.filter(Kernel.isOpen).forEach(Kernel.close)))

/** Makes two connected sockets, and watches the first. */
export const watchedPair = (options?: AsyncFd.MakeOptions, make: () => readonly [number, number] = Kernel.socketPair) =>
  Effect.gen(function* () {
    const [near, far] = yield* scopedFds(make)
    return { near, far, watched: yield* AsyncFd.make(near, options) }
  })

/** Starts an effect, and returns when it waits or has ended. */
export const begin = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })

/** Starts an effect, and expects it to wait for something that is not ready now. */
export const beginWaiting = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const fiber = yield* begin(effect)
    yield* readyNow
    expect(fiber.pollUnsafe()).toBeUndefined()
    return fiber
  })

/** Expects an effect to wait, and interrupts it. */
export const expectToWait = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(beginWaiting(effect), Fiber.interrupt)

/** Expects an effect to end without a wait, and returns its result. */
export const atOnce = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const fiber = yield* begin(effect)
    expect(fiber.pollUnsafe(), "it had to wait").toBeDefined()
    return yield* Fiber.join(fiber)
  })

export const encode = (text: string): Uint8Array => new TextEncoder().encode(text)

/** Reads up to `count` bytes, as text. */
export const readText = (watched: AsyncFd.AsyncFd, count = 64) =>
  Effect.suspend(() => {
    const buffer = new Uint8Array(count)
    return Effect.map(watched.read(buffer), (length) => new TextDecoder().decode(buffer.subarray(0, length)))
  })

/** Waits for the next turn of the event loop. */
export const turn = Effect.promise(() => new Promise(setImmediate))

/** Returns whether there is nothing to read. */
export const isEmpty = (fd: number): boolean => Kernel.pending(fd) === 0

/** Reads what there is. Returns the number of bytes, or 0 if it would block. */
export const readInto = (fd: number, buffer: Uint8Array): number => Math.max(0, Kernel.readInto(fd, buffer))
