/**
 * Interrupting fibers that wait for a descriptor: no waiter is left, and no byte and no edge is
 * lost, whenever it comes.
 */
import { describe, expect, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Option, Scheduler, Stream } from "effect"
import { type AsyncFd, Poller, Registrar } from "effect-amy"
import { attachmentOf } from "../../src/internal/delivery/registrar.ts"
import * as Kernel from "../support/kernel.ts"
import { layers, readyNow, someLayer, twoLayers } from "../support/layers.ts"
import {
  atOnce,
  begin,
  describeTwoLayers,
  encode,
  isEmpty,
  readInto,
  readText,
  turn,
  waiters,
  watchedPair
} from "../support/watched.ts"

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

describeTwoLayers("promise 13: interruption leaves nothing behind", (layer) => {
  for (const [name, wait] of Object.entries(readingWaits)) {
    it.live(`leaves no waiter, and what comes next is there for the next fiber (${name})`, () =>
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
          // So that fibers that wait for readiness have something to wait for.
          expect(yield* interrupted(yield* begin(readText(watched)))).toBe(true)
        }
        expect((yield* (yield* Poller.Poller).stats).registrations).toBe(1)
      }).pipe(Effect.scoped, Effect.provide(layer()))
    )

    it.live(`loses no edge that arrives meanwhile: it is there for the next fiber (${name})`, () =>
      Effect.gen(function* () {
        const { far, near, watched } = yield* watchedPair()
        for (let round = 0; round < 50; round++) {
          const fiber = yield* begin(wait(watched, near))
          // It may be reported by now, or be on its way, or be reported while this fiber waits in
          // vain.
          Kernel.writeText(far, "x")
          if (round % 3 === 1) yield* turn
          if (round % 3 === 2) yield* readyNow
          const exit = yield* Effect.andThen(Fiber.interrupt(fiber), Fiber.await(fiber))
          // The stream goes on after a chunk, so it is always interrupted, before or after that.
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
    it.live(`leaves no waiter, and room that comes next is there for the next fiber (${name})`, () =>
      Effect.gen(function* () {
        const { far, near, watched } = yield* watchedPair()
        for (let round = 0; round < 10; round++) {
          Kernel.fill(near)
          // A report of the earlier room may still be on its way: it is out of date.
          yield* readyNow
          expect([round, yield* interrupted(yield* begin(watched.write(encode("full"))))]).toEqual([round, true])
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

  it.live("leaves the other fibers in their turn", () =>
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

  it.live("leaves no growing line if a fiber is interrupted again and again, and the others keep their turns", () =>
    Effect.gen(function* () {
      const { far, watched } = yield* watchedPair()
      const { dispatcher } = yield* attachmentOf(yield* Registrar.Registrar)
      const first = yield* begin(readText(watched, 1))
      let most = 0
      for (let i = 0; i < 500; i++) {
        expect(yield* interrupted(yield* begin(readText(watched, 1)))).toBe(true)
        most = Math.max(most, dispatcher.waiters)
      }
      expect(most).toBeLessThan(6)
      const second = yield* begin(readText(watched, 1))
      expect(yield* waiters).toBe(2)
      Kernel.writeText(far, "ab")
      expect([yield* Fiber.join(first), yield* Fiber.join(second)]).toEqual(["a", "b"])
      expect(yield* waiters).toBe(0)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("a read that several fibers run at the same time serves each of them", () =>
    Effect.gen(function* () {
      const { far, watched } = yield* watchedPair()
      const buffer = new Uint8Array(1)
      const read = Effect.map(watched.read(buffer), () => String.fromCharCode(buffer[0]!))
      const fibers = [yield* begin(read), yield* begin(read), yield* begin(read)]
      expect(yield* interrupted(fibers[0]!)).toBe(true)
      Kernel.writeText(far, "ab")
      expect([yield* Fiber.join(fibers[1]!), yield* Fiber.join(fibers[2]!)]).toEqual(["a", "b"])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("loses nothing if the fiber before it interrupts it while it comes to wait", () =>
    Effect.gen(function* () {
      const { far, near, watched } = yield* watchedPair()
      Kernel.fill(near)
      // A report of the earlier room may still be on its way: it is out of date.
      yield* readyNow
      yield* interrupted(yield* begin(watched.write(encode("full"))))
      const first = yield* begin(
        Effect.flatMap(readText(watched, 1), (text) => Effect.as(Fiber.interrupt(second), text))
      )
      const second: Fiber.Fiber<unknown, unknown> = yield* begin(
        Effect.andThen(watched.write(encode("room")), readText(watched, 1))
      )
      expect(yield* waiters).toBe(2)
      // Both are reported together, and the fiber that writes is resumed first.
      Kernel.writeText(far, "abc")
      Kernel.drain(far)
      expect(yield* Fiber.join(first)).toBe("a")
      expect(yield* interrupted(second)).toBe(true)
      expect(yield* readText(watched)).toBe("bc")
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

  it.live("an interrupted writeAll may have written a part, and the next write follows it", () =>
    Effect.gen(function* () {
      const { far, watched } = yield* watchedPair()
      const first = yield* begin(watched.writeAll(new Uint8Array(3 << 20)))
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

/** Returns what arrives at the other end: how many bytes, and the order of those that differ. */
class Received {
  count = 0
  readonly order: Array<number> = []
  readonly #fd: number
  readonly #buffer = new Uint8Array(1 << 16)

  constructor(fd: number) {
    this.#fd = fd
  }

  read(): void {
    const length = readInto(this.#fd, this.#buffer)
    this.count += length
    for (const byte of this.#buffer.subarray(0, length)) if (this.order.at(-1) !== byte) this.order.push(byte)
  }
}

/**
 * Makes every step of a fiber be followed by a turn of the event loop, in which reports arrive and
 * other fibers run.
 */
const yielding = Effect.provideService(Scheduler.MaxOpsBeforeYield, 3)

/** Makes its fibers yield at one step, and at no other. */
class OneYield extends Scheduler.MixedScheduler {
  isArmed = false

  override shouldYield(): boolean {
    const { isArmed } = this
    this.isArmed = false
    return isArmed
  }
}

for (const name of twoLayers) {
  describe(`promise 13: a fiber that yields between its steps (${name})`, () => {
    it.live("loses no edge that arrives between an attempt and the wait", () =>
      Effect.gen(function* () {
        const { far, watched } = yield* watchedPair()
        for (let round = 0; round < 20; round++) {
          const fiber = yield* begin(yielding(readText(watched)))
          // Yields at another step in each round.
          for (let i = 0; i < round; i++) yield* turn
          Kernel.writeText(far, "x")
          yield* readyNow
          expect(yield* Fiber.join(fiber)).toBe("x")
        }
        expect(yield* waiters).toBe(0)
      }).pipe(Effect.timeout("100 seconds"), Effect.scoped, Effect.provide(layers[name]()))
    )

    it.live("gets its own bytes from a read that it shares, even if it comes late", () =>
      Effect.gen(function* () {
        const { far, watched } = yield* watchedPair()
        const buffer = new Uint8Array(1)
        const read = watched.read(buffer)
        for (let round = 0; round < 20; round++) {
          const fibers = [yield* begin(yielding(read)), yield* begin(read), yield* begin(yielding(read))]
          const gone = yield* begin(yielding(read))
          for (let i = 0; i < round % 7; i++) yield* turn
          yield* Fiber.interrupt(gone)
          for (let i = 0; i < 3; i++) {
            Kernel.writeText(far, "x")
            yield* readyNow
          }
          for (const fiber of fibers) expect(yield* Fiber.join(fiber)).toBe(1)
        }
        expect(yield* waiters).toBe(0)
      }).pipe(Effect.timeout("100 seconds"), Effect.scoped, Effect.provide(layers[name]()))
    )

    it.live("leaves the wait of a fiber that shares its read alone, if it yields before its turn", () =>
      Effect.gen(function* () {
        const { far, watched } = yield* watchedPair()
        const read = watched.read(new Uint8Array(1))
        const scheduler = new OneYield()
        const late = yield* begin(Effect.provideService(read, Scheduler.Scheduler, scheduler))
        yield* readyNow
        scheduler.isArmed = true
        Kernel.writeText(far, "x")
        while (scheduler.isArmed) yield* readyNow
        // The first of these reads what the late fiber was resumed for, and the second has to wait.
        const others = [yield* begin(read), yield* begin(read)]
        for (let i = 0; i < 20; i++) yield* turn
        Kernel.writeText(far, "yz")
        for (const fiber of [late, ...others]) expect(yield* Fiber.join(fiber)).toBe(1)
        expect(yield* waiters).toBe(0)
      }).pipe(Effect.timeout("100 seconds"), Effect.scoped, Effect.provide(layers[name]()))
    )

    it.live("loses no report of readable", () =>
      Effect.gen(function* () {
        const { far, near, watched } = yield* watchedPair()
        for (let round = 0; round < 20; round++) {
          const fiber = yield* begin(yielding(watched.readable))
          for (let i = 0; i < round; i++) yield* turn
          Kernel.writeText(far, "x")
          yield* readyNow
          const ready = yield* Fiber.join(fiber)
          Kernel.drain(near)
          yield* ready.clear
        }
        expect(yield* waiters).toBe(0)
      }).pipe(Effect.timeout("100 seconds"), Effect.scoped, Effect.provide(layers[name]()))
    )

    it.live("writes by writeAll in one piece", () =>
      Effect.gen(function* () {
        const { far, watched } = yield* watchedPair()
        for (let round = 0; round < 20; round++) {
          const size = 600_000
          const first = yield* begin(yielding(watched.writeAll(new Uint8Array(size).fill(1))))
          const received = new Received(far)
          for (let i = 0; i < round; i++) {
            yield* turn
            received.read()
          }
          yield* readyNow
          const second = yield* begin(watched.writeAll(new Uint8Array(10).fill(2)))
          while (received.count < size + 10) {
            received.read()
            yield* turn
          }
          yield* Fiber.join(first)
          yield* Fiber.join(second)
          // The scheduler decides which of them begins first.
          expect(received.order.toSorted((a, b) => a - b)).toEqual([1, 2])
        }
      }).pipe(Effect.timeout("100 seconds"), Effect.scoped, Effect.provide(layers[name]()))
    )
  })
}

describe("promise 13: closing a descriptor while its fibers are interrupted", () => {
  it.live("a fiber that is interrupted by the end of its own wait leaves nothing behind", () =>
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
    }).pipe(Effect.provide(someLayer()))
  )
})
