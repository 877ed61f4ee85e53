/** Interrupting whoever waits for one descriptor: no waiter, no byte and no edge is lost, whenever it comes. */
import { describe, expect, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Option, Scheduler, Stream } from "effect"
import { type AsyncFd, Poller, Registrar } from "effect-amy"
import * as Kernel from "./support/kernel.ts"
import { describeLayers, layers, readyNow } from "./support/layers.ts"
import { atOnce, begin, encode, readText, turn, waiters, watchedPair } from "./support/watched.ts"

/** Whether it is readable, as the kernel says now: a poll that takes nothing. */
const isEmpty = (fd: number): boolean => Kernel.available(fd) === 0

type Waits = { readonly [name: string]: (watched: AsyncFd.AsyncFd, fd: number) => Effect.Effect<unknown, unknown> }

const option = (count: number) => Option.liftPredicate(count, (value) => value >= 0)

const readingWaits: Waits = {
  readable: (watched) => watched.readable,
  readWhenReady: (watched, fd) => watched.readWhenReady(Effect.sync(() => option(Kernel.read(fd)))),
  read: (watched) => watched.read(new Uint8Array(8)),
  stream: (watched) => Stream.runDrain(watched.stream)
}

const writingWaits: Waits = {
  writable: (watched) => watched.writable,
  writeWhenReady: (watched, fd) => watched.writeWhenReady(Effect.sync(() => option(Kernel.write(fd)))),
  write: (watched) => watched.write(new Uint8Array(8)),
  writeAll: (watched) => watched.writeAll(new Uint8Array(8)),
  sink: (watched) => Stream.run(Stream.succeed(new Uint8Array(8)), watched.sink)
}

const interrupted = <A, E>(fiber: Fiber.Fiber<A, E>) =>
  Effect.gen(function* () {
    yield* Fiber.interrupt(fiber)
    const exit = yield* Fiber.await(fiber)
    return Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)
  })

describeLayers("promise 13: interruption leaves nothing behind", (layer) => {
  for (const [name, wait] of Object.entries(readingWaits)) {
    it.live(`no waiter, and what comes next is there for the next one (${name})`, () =>
      Effect.gen(function* () {
        const { far, near, watched } = yield* watchedPair()
        for (let round = 0; round < 10; round++) {
          const fibers = [yield* begin(wait(watched, near)), yield* begin(wait(watched, near))]
          fibers.push(yield* begin(wait(watched, near)))
          expect(yield* waiters).toBe(3)
          for (const i of [1, 0, 2]) expect(yield* interrupted(fibers[i]!)).toBe(true)
          expect(yield* waiters).toBe(0)
          Kernel.writeText(far, "next")
          expect(yield* readText(watched)).toBe("next")
          // So that those who wait for readiness have something to wait for.
          expect(yield* interrupted(yield* begin(readText(watched)))).toBe(true)
        }
        expect((yield* (yield* Poller.Poller).stats).registrations).toBe(1)
      }).pipe(Effect.scoped, Effect.provide(layer()))
    )

    it.live(`an edge that arrives while it is interrupted is there for the next one (${name})`, () =>
      Effect.gen(function* () {
        const { far, near, watched } = yield* watchedPair()
        for (let round = 0; round < 50; round++) {
          const fiber = yield* begin(wait(watched, near))
          // It may have been reported by now, or be on its way, or be reported while this one waits in vain.
          Kernel.writeText(far, "x")
          if (round % 3 === 1) yield* turn
          if (round % 3 === 2) yield* readyNow
          const exit = yield* Effect.andThen(Fiber.interrupt(fiber), Fiber.await(fiber))
          // The stream goes on after what it has read, so it is always interrupted, before or after that.
          const mayHaveRead = name === "stream" || (name !== "readable" && Exit.isSuccess(exit))
          if (mayHaveRead && isEmpty(near)) continue
          expect(yield* readText(watched)).toBe("x")
          expect(yield* interrupted(yield* begin(readText(watched)))).toBe(true)
          expect(yield* waiters).toBe(0)
        }
      }).pipe(Effect.scoped, Effect.provide(layer()))
    )
  }

  for (const [name, wait] of Object.entries(writingWaits)) {
    it.live(`no waiter, and room that comes next is there for the next one (${name})`, () =>
      Effect.gen(function* () {
        const { far, near, watched } = yield* watchedPair()
        for (let round = 0; round < 10; round++) {
          Kernel.fill(near)
          expect(yield* interrupted(yield* begin(watched.write(encode("full"))))).toBe(true)
          const fibers = [yield* begin(wait(watched, near)), yield* begin(wait(watched, near))]
          expect(yield* waiters).toBe(2)
          for (const fiber of fibers) expect(yield* interrupted(fiber)).toBe(true)
          expect(yield* waiters).toBe(0)
          Kernel.drain(far)
          expect(yield* watched.write(encode("next"))).toBe(4)
          expect(Kernel.readText(far)).toBe("next")
        }
      }).pipe(Effect.scoped, Effect.provide(layer()))
    )
  }

  it.live("interrupting one of several leaves the others in their turn", () =>
    Effect.gen(function* () {
      const { far, watched } = yield* watchedPair()
      const fibers: Array<Fiber.Fiber<string, unknown>> = []
      for (let i = 0; i < 9; i++) fibers.push(yield* begin(readText(watched, 1)))
      for (const i of [0, 4, 8]) yield* Fiber.interrupt(fibers[i]!)
      Kernel.writeText(far, "abcdef")
      const rest = yield* Effect.forEach([1, 2, 3, 5, 6, 7], (i) => Fiber.join(fibers[i]!))
      expect(rest.join("")).toBe("abcdef")
      expect(yield* waiters).toBe(0)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("an attempt that is interrupted forgets nothing", () =>
    Effect.gen(function* () {
      const { far, watched } = yield* watchedPair()
      Kernel.writeText(far, "x")
      const fiber = yield* begin(watched.readWhenReady(Effect.never))
      yield* readyNow
      expect(yield* interrupted(fiber)).toBe(true)
      yield* atOnce(watched.readable)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("an interrupted writeAll may have written a part; the next one follows it", () =>
    Effect.gen(function* () {
      const { far, watched } = yield* watchedPair()
      const first = yield* begin(watched.writeAll(new Uint8Array(5 << 20)))
      const second = yield* begin(watched.writeAll(encode("second")))
      const third = yield* begin(watched.writeAll(encode(" third")))
      expect(yield* interrupted(first)).toBe(true)
      let last = ""
      while (!last.endsWith("third")) {
        const read = Kernel.readText(far)
        last = (last + read).slice(-32)
        if (read === "") yield* turn
      }
      yield* Fiber.join(second)
      yield* Fiber.join(third)
      expect(last.replaceAll("\0", "")).toBe("second third")
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )
})

/** Every step of a fiber is followed by a turn of the loop, in which reports arrive and others run. */
const yielding = Effect.provideService(Scheduler.MaxOpsBeforeYield, 1)

for (const name of ["layerWorker", "layerEventLoop"] as const) {
  describe(`promise 13: whatever a fiber's scheduler puts between its steps (${name})`, () => {
    it.live("an edge that arrives between an attempt and the wait is not lost", () =>
      Effect.gen(function* () {
        const { far, watched } = yield* watchedPair()
        for (let round = 0; round < 30; round++) {
          const fiber = yield* begin(yielding(readText(watched)))
          // Another round, another step.
          for (let i = 0; i < round; i++) yield* turn
          Kernel.writeText(far, "x")
          yield* readyNow
          expect(yield* Fiber.join(fiber)).toBe("x")
        }
        expect(yield* waiters).toBe(0)
      }).pipe(Effect.timeout("10 seconds"), Effect.scoped, Effect.provide(layers[name]()))
    )

    it.live("readable, too", () =>
      Effect.gen(function* () {
        const { far, near, watched } = yield* watchedPair()
        for (let round = 0; round < 30; round++) {
          const fiber = yield* begin(yielding(watched.readable))
          for (let i = 0; i < round; i++) yield* turn
          Kernel.writeText(far, "x")
          yield* readyNow
          const ready = yield* Fiber.join(fiber)
          Kernel.drain(near)
          yield* ready.clear
        }
        expect(yield* waiters).toBe(0)
      }).pipe(Effect.timeout("10 seconds"), Effect.scoped, Effect.provide(layers[name]()))
    )

    it.live("writeAll is in one piece", () =>
      Effect.gen(function* () {
        const { far, watched } = yield* watchedPair()
        for (let round = 0; round < 30; round++) {
          const big = 600_000
          const first = yield* begin(yielding(watched.writeAll(new Uint8Array(big).fill(1))))
          let received = 0
          const order: Array<number> = []
          const buffer = new Uint8Array(1 << 16)
          const read = () => {
            const length = Kernel.readInto(far, buffer)
            for (let i = 0; i < length; i++) if (order.at(-1) !== buffer[i]) order.push(buffer[i]!)
            received += Math.max(0, length)
          }
          for (let i = 0; i < round; i++) {
            yield* turn
            read()
          }
          yield* readyNow
          const second = yield* begin(watched.writeAll(new Uint8Array(10).fill(2)))
          while (received < big + 10) {
            read()
            yield* turn
          }
          yield* Fiber.join(first)
          yield* Fiber.join(second)
          expect(order).toHaveLength(2)
        }
      }).pipe(Effect.timeout("10 seconds"), Effect.scoped, Effect.provide(layers[name]()))
    )

    it.live("whoever is interrupted has read nothing", () =>
      Effect.gen(function* () {
        const { far, near, watched } = yield* watchedPair()
        for (let round = 0; round < 60; round++) {
          if (round % 2 === 0) Kernel.writeText(far, "x")
          const fiber = yield* begin(yielding(watched.read(new Uint8Array(8))))
          for (let i = 0; i < round >> 2; i++) yield* turn
          if (round % 2 === 1) Kernel.writeText(far, "x")
          if (round % 4 === 3) yield* readyNow
          const exit = yield* Effect.andThen(Fiber.interrupt(fiber), Fiber.await(fiber))
          expect([round, isEmpty(near)]).toEqual([round, Exit.isSuccess(exit)])
          Kernel.drain(near)
        }
        expect(yield* waiters).toBe(0)
      }).pipe(Effect.timeout("10 seconds"), Effect.scoped, Effect.provide(layers[name]()))
    )
  })
}

describe("promise 13: closing what is waited for while it is interrupted", () => {
  it.live("a fiber that its own end interrupts leaves nothing", () =>
    Effect.gen(function* () {
      const poller = yield* Poller.Poller
      for (let round = 0; round < 20; round++) {
        yield* Effect.scoped(
          Effect.gen(function* () {
            const { watched } = yield* watchedPair()
            yield* Effect.forkScoped(watched.readable, { startImmediately: true })
            yield* Effect.forkScoped(watched.read(new Uint8Array(8)), { startImmediately: true })
            expect(yield* waiters).toBe(2)
          })
        )
        expect(yield* waiters).toBe(0)
      }
      expect((yield* poller.stats).registrations).toBe(0)
      expect(yield* Effect.isFailure(Registrar.deregister(0))).toBe(true)
    }).pipe(Effect.provide(Poller.layerEventLoop()))
  )
})
