/** Descriptors that are watched by an `AsyncFd`, and what can be seen of who waits for them. */
import { describe, expect } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { AsyncFd } from "effect-amy"
import koffi from "koffi"
import { readSync } from "node:fs"
import * as Kernel from "./kernel.ts"
import { layers, readyNow, type PollerLayer } from "./layers.ts"

export { waiters } from "./waiters.ts"

/** As `describeLayers`, for what does not depend on which thread is attached: a thread is slow to start. */
export const describeTwoLayers = (name: string, body: (layer: () => PollerLayer) => void): void => {
  for (const layerName of ["layerWorker", "layerEventLoop"] as const) {
    describe(`${name} (${layerName})`, () => {
      body(layers[layerName])
    })
  }
}

/** Closes whichever of them are still open at the end. */
export const scopedFds = <A extends ReadonlyArray<number>>(make: () => A) =>
  Effect.acquireRelease(Effect.sync(make), (fds) => Effect.sync(() => fds.filter(Kernel.isOpen).forEach(Kernel.close)))

/** Two connected sockets, the first of them watched. */
export const watchedPair = (options?: AsyncFd.MakeOptions, make: () => readonly [number, number] = Kernel.socketPair) =>
  Effect.gen(function* () {
    const [near, far] = yield* scopedFds(make)
    return { near, far, watched: yield* AsyncFd.make(near, options) }
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

const ioctl = koffi.load(null).func("int ioctl(int fd, unsigned long request, ...)") as (
  fd: number,
  request: number,
  type: "void *",
  result: Int32Array
) => number

/** Whether there is nothing to read right now: FIONREAD takes nothing. */
export const isEmpty = (fd: number): boolean => {
  const count = new Int32Array(1)
  expect(ioctl(fd, 0x541b, "void *", count)).toBe(0)
  return count[0] === 0
}

/** Reads what there is; answers how many bytes, or 0 if it would block. */
export const readInto = (fd: number, buffer: Uint8Array): number => {
  try {
    return readSync(fd, buffer)
  } catch (error) {
    expect(error).toMatchObject({ code: "EAGAIN" })
    return 0
  }
}
