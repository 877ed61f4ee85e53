/** What an `AsyncFd` remembers of readiness, what makes it forget, and who is woken. */
import { expect, it } from "@effect/vitest"
import { Effect, Fiber, Option } from "effect"
import { AsyncFd, Poller, Registrar } from "effect-amy"
import { openSync } from "node:fs"
import * as Kernel from "./support/kernel.ts"
import { describeLayers, readyNow } from "./support/layers.ts"
import { outcome } from "./support/opened.ts"
import { until } from "./support/observe.ts"
import {
  atOnce,
  begin,
  beginWaiting,
  expectToWait,
  readText,
  scopedFds,
  waiters,
  watchedPair
} from "./support/watched.ts"

/** An attempt in terms of a call that is not the library's own. */
const readOne = (fd: number) => Effect.sync(() => Option.liftPredicate(Kernel.read(fd, 1), (count) => count >= 0))

describeLayers("AsyncFd: what it remembers", (layer) => {
  it.live("readable and writable return once the kernel has reported it, and not before", () =>
    Effect.gen(function* () {
      const { far, near, watched } = yield* watchedPair()
      const waiting = yield* beginWaiting(watched.readable)
      expect(yield* watched.writable).toMatchObject({ readClosed: false, writeClosed: false, error: false })
      Kernel.write(far)
      expect(yield* Fiber.join(waiting)).toMatchObject({ readClosed: false, writeClosed: false, error: false })
      expect(watched.fd).toBe(near)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("what is ready before it is watched is seen, too", () =>
    Effect.gen(function* () {
      const [near, far] = yield* scopedFds(Kernel.socketPair)
      Kernel.write(far)
      const watched = yield* AsyncFd.make(near)
      yield* watched.readable
      yield* watched.writable
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("readiness is remembered until an attempt would block, whatever is read elsewhere", () =>
    Effect.gen(function* () {
      const { far, near, watched } = yield* watchedPair()
      Kernel.write(far, 2)
      yield* watched.readable
      yield* atOnce(watched.readable)
      expect(yield* atOnce(watched.readWhenReady(readOne(near)))).toBe(1)
      yield* atOnce(watched.readable)
      Kernel.drain(near)
      yield* atOnce(watched.readable)
      // The attempt that shows that it is over.
      yield* expectToWait(watched.readWhenReady(readOne(near)))
      yield* expectToWait(watched.readable)
      Kernel.write(far)
      yield* watched.readable
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("a read that would block forgets it; one that reads everything does not", () =>
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

  it.live("a write that would block forgets it, until there is room", () =>
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

  it.live("Ready.clear forgets it, unless more was reported meanwhile; one direction at a time", () =>
    Effect.gen(function* () {
      const { far, near, watched } = yield* watchedPair()
      Kernel.write(far)
      const first = yield* watched.readable
      yield* watched.writable
      yield* first.clear
      yield* expectToWait(watched.readable)
      yield* atOnce(watched.writable)
      Kernel.write(far)
      const second = yield* watched.readable
      // It is about what was known then.
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

  it.live("an attempt that answers something is made again at once by the next; failing forgets nothing either", () =>
    Effect.gen(function* () {
      const { far, near, watched } = yield* watchedPair()
      Kernel.write(far, 3)
      expect(yield* watched.readWhenReady(readOne(near))).toBe(1)
      expect(yield* Effect.flip(atOnce(watched.readWhenReady(Effect.fail("mine"))))).toBe("mine")
      expect(yield* atOnce(watched.readWhenReady(readOne(near)))).toBe(1)
      expect(yield* atOnce(watched.readWhenReady(readOne(near)))).toBe(1)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("an attempt is made only when something was reported", () =>
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

  it.live("what is reported during an attempt is not forgotten by it", () =>
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

  it.live("the same for writing: room that comes during an attempt is not forgotten by it", () =>
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

describeLayers("AsyncFd: many fibers on one descriptor", (layer) => {
  it.live("every one that waits for readable is woken by one report, and none that waits for writable", () =>
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

  it.live("readers are served in turn, and each byte goes to one of them", () =>
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

  it.live("one that comes later does not overtake those that wait, nor one that comes back at once", () =>
    Effect.gen(function* () {
      const { far, watched } = yield* watchedPair()
      const log: Array<string> = []
      const reading = (name: string) =>
        Effect.repeat(
          Effect.tap(readText(watched, 1), (text) => Effect.sync(() => void log.push(name + text))),
          { times: 1 }
        )
      const one = yield* begin(reading("first "))
      const two = yield* begin(reading("second "))
      Kernel.writeText(far, "abcd")
      yield* Effect.forEach([one, two], Fiber.join)
      expect(log).toEqual(["first a", "second b", "first c", "second d"])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("attempts of one's own: each byte goes to one of them, however few there are", () =>
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

describeLayers("AsyncFd: what is watched", (layer) => {
  it.live("waiting for what is not watched from the start has it watched, and reports what was so already", () =>
    Effect.gen(function* () {
      const [near, far] = yield* scopedFds(Kernel.tcpPair)
      Kernel.write(far)
      const watched = yield* AsyncFd.make(near, { event: "Write" })
      yield* watched.writable
      Kernel.fill(near)
      yield* expectToWait(watched.write(new Uint8Array(1)))
      yield* watched.readable
      Kernel.drain(near)
      yield* expectToWait(watched.read(new Uint8Array(1)))
      const urgent = yield* beginWaiting(watched.priority)
      Kernel.sendOutOfBand(far)
      yield* Fiber.join(urgent)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  for (const options of [{ priority: true }, { event: "Read", priority: true }, { event: "Read" }, {}] as const) {
    it.live(`priority returns for urgent data, and only for that (${JSON.stringify(options)})`, () =>
      Effect.gen(function* () {
        const { far, watched } = yield* watchedPair(options, Kernel.tcpPair)
        const urgent = yield* beginWaiting(watched.priority)
        Kernel.write(far)
        yield* watched.readable
        yield* readyNow
        expect(urgent.pollUnsafe()).toBeUndefined()
        Kernel.sendOutOfBand(far)
        const ready = yield* Fiber.join(urgent)
        expect(ready).toMatchObject({ readClosed: false, writeClosed: false, error: false })
        yield* atOnce(watched.priority)
        yield* ready.clear
        yield* expectToWait(watched.priority)
      }).pipe(Effect.scoped, Effect.provide(layer()))
    )
  }

  it.live("its ids never come out of Poller.queue, and it is no notification of anybody's", () =>
    Effect.gen(function* () {
      const poller = yield* Poller.Poller
      const { far, near, watched } = yield* watchedPair()
      const [other] = yield* scopedFds(() => [Kernel.eventfd()] as const)
      const id = yield* Registrar.register(other, "Read")
      // Nobody waits, somebody waits, and nobody waits any more.
      Kernel.write(far)
      expect(yield* poller.wait(0)).toEqual([])
      yield* watched.readable
      Kernel.drain(near)
      const waiting = yield* beginWaiting(watched.readWhenReady(readOne(near)))
      Kernel.write(far)
      yield* Fiber.join(waiting)
      Kernel.write(far)
      Kernel.signal(other)
      expect((yield* poller.wait(0)).map((one) => one.id)).toEqual([id])
      expect((yield* poller.stats).registrations).toBe(2)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("promise 12: what cannot be registered fails with its reason and changes nothing", () =>
    Effect.gen(function* () {
      const poller = yield* Poller.Poller
      const { near, watched } = yield* watchedPair()
      const make = (fd: number, options?: AsyncFd.AsyncFdOptions) => outcome(Effect.scoped(AsyncFd.make(fd, options)))
      const [file] = yield* scopedFds(() => [openSync(import.meta.filename, "r")] as const)
      expect(yield* make(near)).toBe("AlreadyRegistered")
      expect(yield* make(near, { event: "Read" })).toBe("AlreadyRegistered")
      expect(yield* outcome(Registrar.register(near, "Read"))).toBe("AlreadyRegistered")
      expect(yield* make(file)).toBe("NotPollable")
      expect(yield* make(-1)).toBe("BadDescriptor")
      expect(yield* make(999_999)).toBe("BadDescriptor")
      expect(yield* make(Number.NaN)).toBe("InvalidArgument")
      expect(yield* make(poller.handle.selector.fd)).toBe("InvalidArgument")
      expect(yield* make(file, { event: "both" as never })).toBe("InvalidArgument")
      expect((yield* poller.stats).registrations).toBe(1)
      yield* watched.writable
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("an object that has an fd, and the same descriptor again once the first scope is closed", () =>
    Effect.gen(function* () {
      const [near, far] = yield* scopedFds(Kernel.socketPair)
      for (let round = 0; round < 10; round++) {
        yield* Effect.scoped(
          Effect.gen(function* () {
            const watched = yield* AsyncFd.make({ fd: near })
            Kernel.write(far)
            expect(yield* watched.read(new Uint8Array(8))).toBe(1)
          })
        )
      }
      expect((yield* (yield* Poller.Poller).stats).registrations).toBe(0)
      expect(yield* outcome(Registrar.deregister(near))).toBe("NotRegistered")
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )
})
