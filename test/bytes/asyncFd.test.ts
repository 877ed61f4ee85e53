/** What an `AsyncFd` remembers of readiness, what makes it forget, and which fibers it wakes. */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Option } from "effect"
import { AsyncFd, Poller } from "effect-amy"
import * as Kernel from "../support/kernel.ts"
import { describeLayers, readyNow } from "../support/layers.ts"
import { until } from "../support/observe.ts"
import {
  atOnce,
  begin,
  beginWaiting,
  describeTwoLayers,
  expectToWait,
  readText,
  scopedFds,
  turn,
  waiters,
  watchedPair
} from "../support/watched.ts"
import { notLinux, onLinux } from "../support/platform.ts"

/** An attempt that makes a call of the program's own. */
const readOne = (fd: number) => Effect.sync(() => Option.liftPredicate(Kernel.read(fd, 1), (count) => count >= 0))

describe("AsyncFd on layerBlocking", () => {
  it.live("every fiber that waits is served while another one waits for notifications", () =>
    Effect.gen(function* () {
      const [reader, writer] = yield* scopedFds(Kernel.pipe)
      const watched = yield* AsyncFd.make(reader!, { event: "Read" })
      const fibers = yield* Effect.forEach(Array.from({ length: 300 }), () => begin(watched.readable))
      const { wait } = yield* Poller.Poller
      Kernel.write(writer!)
      // They are served in several turns. Until the last one, the thread must not block.
      expect(yield* wait("2 seconds")).toEqual([])
      expect(fibers.filter((fiber) => fiber.pollUnsafe() === undefined)).toEqual([])
    }).pipe(Effect.scoped, Effect.provide(Poller.layerBlocking({ allowMainThread: true })))
  )
})

describeLayers("AsyncFd: what it remembers", (layer) => {
  it.live("readable and writable return when the kernel has reported it, and not before", () =>
    Effect.gen(function* () {
      const { far, near, watched } = yield* watchedPair()
      const waiting = yield* beginWaiting(watched.readable)
      expect(yield* watched.writable).toMatchObject({ readClosed: false, writeClosed: false, error: false })
      Kernel.write(far)
      expect(yield* Fiber.join(waiting)).toMatchObject({ readClosed: false, writeClosed: false, error: false })
      expect(watched.fd).toBe(near)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("readiness from before the watching is seen", () =>
    Effect.gen(function* () {
      const [near, far] = yield* scopedFds(Kernel.socketPair)
      Kernel.write(far)
      const watched = yield* AsyncFd.make(near)
      yield* watched.readable
      yield* watched.writable
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("readiness is remembered until an attempt would block, even if the bytes are read elsewhere", () =>
    Effect.gen(function* () {
      const { far, near, watched } = yield* watchedPair()
      Kernel.write(far, 2)
      yield* watched.readable
      yield* atOnce(watched.readable)
      expect(yield* atOnce(watched.readWhenReady(readOne(near)))).toBe(1)
      yield* atOnce(watched.readable)
      Kernel.drain(near)
      yield* atOnce(watched.readable)
      // This attempt shows that there is nothing left.
      yield* expectToWait(watched.readWhenReady(readOne(near)))
      yield* expectToWait(watched.readable)
      Kernel.write(far)
      yield* watched.readable
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("a read that would block forgets readiness; a read of everything does not", () =>
    Effect.gen(function* () {
      const { far, watched } = yield* watchedPair()
      Kernel.write(far)
      yield* watched.readable
      yield* watched.read(new Uint8Array(1))
      yield* atOnce(watched.readable)
      yield* expectToWait(watched.read(new Uint8Array(1)))
      yield* expectToWait(watched.readable)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live.skipIf(notLinux)(onLinux("an eventfd", "fibers that come back at once do not starve the thread"), () =>
    Effect.gen(function* () {
      // An eventfd always has room for more.
      const [fd] = yield* scopedFds(() => [Kernel.eventfd()])
      const watched = yield* AsyncFd.make(fd!)
      const one = new Uint8Array(new BigUint64Array([1n]).buffer)
      const busy = [1, 2, 3].map(() => Effect.forever(watched.writeAll(one), { disableYield: true }))
      const fibers = yield* Effect.forEach(busy, begin)
      for (let i = 0; i < 100; i++) yield* turn
      yield* Fiber.interruptAll(fibers)
      expect(yield* waiters).toBe(0)
      // Another fiber is served as usual.
      yield* watched.writeAll(one)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("a write that would block forgets readiness, until there is room", () =>
    Effect.gen(function* () {
      const { far, near, watched } = yield* watchedPair()
      yield* watched.writable
      Kernel.fill(near)
      yield* atOnce(watched.writable)
      yield* expectToWait(watched.write(new Uint8Array(1)))
      yield* expectToWait(watched.writable)
      Kernel.drain(far)
      yield* watched.writable
      expect(yield* watched.write(new Uint8Array(5))).toBe(5)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("Ready.clear forgets the readiness of one direction, unless more was reported meanwhile", () =>
    Effect.gen(function* () {
      const { far, near, watched } = yield* watchedPair()
      Kernel.write(far)
      // The kernel may report an edge twice, if it comes while the polling thread is being woken.
      yield* readyNow
      const first = yield* atOnce(watched.readable)
      yield* watched.writable
      yield* first.clear
      yield* expectToWait(watched.readable)
      yield* atOnce(watched.writable)
      Kernel.write(far)
      const second = yield* watched.readable
      // It forgets what was reported before it was made, and nothing later.
      yield* first.clear
      yield* atOnce(watched.readable)
      Kernel.write(far)
      yield* readyNow
      yield* second.clear
      const third = yield* atOnce(watched.readable)
      Kernel.drain(near)
      yield* third.clear
      yield* expectToWait(watched.readable)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("an attempt that gives a value, or fails, forgets nothing: the next one is made at once", () =>
    Effect.gen(function* () {
      const { far, near, watched } = yield* watchedPair()
      Kernel.write(far, 3)
      expect(yield* watched.readWhenReady(readOne(near))).toBe(1)
      expect(yield* Effect.flip(atOnce(watched.readWhenReady(Effect.fail("mine"))))).toBe("mine")
      expect(yield* atOnce(watched.readWhenReady(readOne(near)))).toBe(1)
      expect(yield* atOnce(watched.readWhenReady(readOne(near)))).toBe(1)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("an attempt is made only after a report", () =>
    Effect.gen(function* () {
      const { far, near, watched } = yield* watchedPair()
      let attempts = 0
      const attempt = Effect.andThen(
        Effect.sync(() => void attempts++),
        readOne(near)
      )
      const waiting = yield* beginWaiting(watched.readWhenReady(attempt))
      expect(attempts).toBe(0)
      Kernel.write(far)
      expect(yield* Fiber.join(waiting)).toBe(1)
      expect(attempts).toBe(1)
      yield* expectToWait(watched.readWhenReady(attempt))
      expect(attempts).toBe(2)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("a report that arrives during an attempt is not forgotten by it", () =>
    Effect.gen(function* () {
      const { far, near, watched } = yield* watchedPair()
      Kernel.write(far)
      yield* watched.readable
      Kernel.drain(near)
      let attempts = 0
      const attempt = Effect.gen(function* () {
        attempts++
        const found = yield* readOne(near)
        if (attempts === 1) {
          Kernel.write(far)
          yield* readyNow
        }
        return found
      })
      expect(yield* watched.readWhenReady(attempt)).toBe(1)
      expect(attempts).toBe(2)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("room that is reported during an attempt to write is not forgotten by it", () =>
    Effect.gen(function* () {
      const { far, near, watched } = yield* watchedPair()
      yield* watched.writable
      Kernel.fill(near)
      let attempts = 0
      const attempt = Effect.gen(function* () {
        attempts++
        const taken = Kernel.write(near)
        if (attempts === 1) {
          Kernel.drain(far)
          yield* readyNow
        }
        return Option.liftPredicate(taken, (count) => count >= 0)
      })
      expect(yield* watched.writeWhenReady(attempt)).toBe(1)
      expect(attempts).toBe(2)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("reading and writing do not affect each other", () =>
    Effect.gen(function* () {
      const { far, near, watched } = yield* watchedPair()
      yield* watched.writable
      Kernel.fill(near)
      const reader = yield* beginWaiting(watched.read(new Uint8Array(8)))
      const writer = yield* beginWaiting(watched.write(new Uint8Array(8)))
      Kernel.write(far, 3)
      expect(yield* Fiber.join(reader)).toBe(3)
      yield* readyNow
      expect(writer.pollUnsafe()).toBeUndefined()
      const another = yield* beginWaiting(watched.read(new Uint8Array(8)))
      Kernel.drain(far)
      expect(yield* Fiber.join(writer)).toBe(8)
      yield* readyNow
      expect(another.pollUnsafe()).toBeUndefined()
      yield* Fiber.interrupt(another)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )
})

describeTwoLayers("AsyncFd: many fibers on one descriptor", (layer) => {
  it.live("one report wakes every fiber that waits for readable, and none that waits for writable", () =>
    Effect.gen(function* () {
      const { far, near, watched } = yield* watchedPair()
      yield* watched.writable
      Kernel.fill(near)
      yield* expectToWait(watched.write(new Uint8Array(1)))
      const readers = yield* Effect.all(Array.from({ length: 100 }, () => beginWaiting(watched.readable)))
      const writers = yield* Effect.all(Array.from({ length: 10 }, () => beginWaiting(watched.writable)))
      expect(yield* waiters).toBe(110)
      Kernel.write(far)
      yield* Effect.forEach(readers, Fiber.join)
      expect(yield* waiters).toBe(10)
      Kernel.drain(far)
      yield* Effect.forEach(writers, Fiber.join)
      expect(yield* waiters).toBe(0)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("fibers that read are served in turn, and each byte goes to one of them", () =>
    Effect.gen(function* () {
      const { far, watched } = yield* watchedPair()
      const readers = []
      for (let i = 0; i < 26; i++) readers.push(yield* begin(readText(watched, 1)))
      yield* readyNow
      Kernel.writeText(far, "abcdefghij")
      yield* Fiber.join(readers[9]!)
      yield* readyNow
      expect(readers.map((reader) => reader.pollUnsafe() !== undefined)).toEqual(readers.map((_, i) => i < 10))
      Kernel.writeText(far, "klmnopqrstuvwxyz")
      const texts = yield* Effect.forEach(readers, Fiber.join)
      expect(texts.join("")).toBe("abcdefghijklmnopqrstuvwxyz")
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("a fiber that comes later, or comes back at once, does not overtake those that wait", () =>
    Effect.gen(function* () {
      const { far, watched } = yield* watchedPair()
      const log: Array<string> = []
      const reading = Effect.fnUntraced(function* (name: string) {
        for (let i = 0; i < 3; i++) log.push(name + (yield* readText(watched, 1)))
      })
      const one = yield* begin(reading("first "))
      const two = yield* begin(reading("second "))
      const three = yield* begin(reading("third "))
      yield* readyNow
      Kernel.writeText(far, "abcdefghi")
      yield* Effect.forEach([one, two, three], Fiber.join)
      const turns = [
        "first a",
        "second b",
        "third c",
        "first d",
        "second e",
        "third f",
        "first g",
        "second h",
        "third i"
      ]
      expect(log).toEqual(turns)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("with attempts of the program's own, each byte goes to one of them, however few bytes there are", () =>
    Effect.gen(function* () {
      const { far, near, watched } = yield* watchedPair()
      const readers = yield* Effect.all(Array.from({ length: 20 }, () => begin(watched.readWhenReady(readOne(near)))))
      const served = () => readers.filter((reader) => reader.pollUnsafe() !== undefined).length
      for (let count = 1; count <= 20; count++) {
        Kernel.write(far)
        yield* until(() => served() >= count)
        yield* readyNow
        expect(served()).toBe(count)
      }
      expect(yield* waiters).toBe(0)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )
})
