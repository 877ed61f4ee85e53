/**
 * A program that replies to a notification gets the next one soon, and the event loop still has its
 * turns.
 */
import { afterEach, beforeEach, describe, expect, it, vi } from "@effect/vitest"
import { Effect, Fiber, Queue } from "effect"
import { Poller, Registrar } from "effect-amy"
import { TurnBudget } from "../../src/internal/delivery/turnBudget.ts"
import { LookAgain } from "../../src/internal/layers/lookAgain.ts"
import * as Kernel from "../support/kernel.ts"
import { layers, someLayer, twoLayers } from "../support/layers.ts"

/** The clock of a turn, which stands still: on a busy machine a turn would end sooner. */
let time = 0
beforeEach(() => void vi.spyOn(TurnBudget, "now").mockImplementation(() => time))
afterEach(() => void vi.restoreAllMocks())

/**
 * Returns how often one turn looks, if its first look finds `first` events and each later one finds
 * `then`.
 */
const looks = (again: LookAgain, first: number, then: number): number => {
  let count = 1
  for (let found = first; again.isWorthIt(found); found = then) count++
  return count
}

describe("another look at the selector", () => {
  it("is tried ever less often while it finds nothing, but never given up", () => {
    const again = new LookAgain()
    const turns = Array.from({ length: 1000 }, () => looks(again, 1, 0))
    const tried = turns.flatMap((count, turn) => (count > 1 ? [turn] : []))
    expect(turns.every((count) => count <= 2)).toBe(true)
    expect(tried.slice(0, 8)).toEqual([0, 2, 6, 14, 30, 62, 126, 190])
    expect(tried).toHaveLength(20)
  })

  it("is tried each time while it finds something", () => {
    const again = new LookAgain()
    looks(again, 1, 0)
    looks(again, 1, 0)
    expect(looks(again, 1, 1)).toBeGreaterThan(2)
    for (let turn = 0; turn < 100; turn++) expect(looks(again, 1, 1)).toBeGreaterThan(2)
  })

  it("is not tried once a turn has taken a quarter of a millisecond", () => {
    const again = new LookAgain()
    expect(again.isWorthIt(1)).toBe(true)
    time += 0.24
    expect(again.isWorthIt(1)).toBe(true)
    time += 0.02
    expect(again.isWorthIt(1)).toBe(false)
    // The next turn has all of its time.
    expect(looks(again, 1, 1)).toBeGreaterThan(2)
  })

  it("stops after some looks, after a look that finds many events, and after one that finds none", () => {
    for (let turn = 0; turn < 100; turn++) expect(looks(new LookAgain(), 2, 2)).toBeLessThan(20)
    expect(looks(new LookAgain(), 1, 1000)).toBe(2)
    expect(looks(new LookAgain(), 1000, 1)).toBe(1)
    expect(looks(new LookAgain(), 0, 1)).toBe(1)
  })
})

/** Starts a fiber that takes each notification and then makes the descriptor ready again. */
const answering = (answer: (fd: number) => void) =>
  Effect.gen(function* () {
    const poller = yield* Poller.Poller
    const fd = yield* Effect.acquireRelease(
      Effect.sync(() => Kernel.source()),
      (fd) => Effect.sync(() => Kernel.close(fd))
    )
    yield* Registrar.register(fd, "Read")
    let count = 0
    const take = Effect.map(Queue.take(poller.queue), () => {
      count++
      answer(fd)
    })
    const fiber = yield* Effect.forkChild(Effect.forever(take, { disableYield: true }), { startImmediately: true })
    answer(fd)
    return { count: () => count, stop: Fiber.interrupt(fiber) }
  })

const turns = (count: number) =>
  Effect.promise(async () => {
    for (let i = 0; i < count; i++) await new Promise(setImmediate)
  })

describe("a fiber whose reply to each notification causes the next one", () => {
  const answers: { readonly [name: string]: (fd: number) => void } = {
    "at once": Kernel.signal,
    "by a promise": (fd) => void Promise.resolve().then(() => Kernel.signal(fd)),
    "by a tick": (fd) => process.nextTick(Kernel.signal, fd)
  }
  for (const [name, answer] of Object.entries(answers)) {
    it.live(`leaves the event loop its turns, with a polling thread (replies ${name})`, () =>
      Effect.gen(function* () {
        const { count, stop } = yield* answering(answer)
        yield* turns(1000)
        expect(count()).toBeLessThan(20_000)
        yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 1)))
        yield* stop
      }).pipe(Effect.scoped, Effect.provide(Poller.layerWorker()))
    )

    it.live(`gets more than one notification a turn, and leaves the event loop its turns (replies ${name})`, () =>
      Effect.gen(function* () {
        const { count, stop } = yield* answering(answer)
        yield* turns(10)
        const before = count()
        yield* turns(1000)
        expect(count() - before).toBeGreaterThan(1500)
        expect(count() - before).toBeLessThan(20_000)
        // Timers have their turn, too.
        yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 1)))
        yield* stop
      }).pipe(Effect.scoped, Effect.provide(someLayer()))
    )
  }

  for (const name of twoLayers) {
    const layer = layers[name]
    it.live(`may close its poller at any of them (${name})`, () =>
      Effect.gen(function* () {
        const fds = Kernel.openDescriptors().size
        for (let at = 1; at <= 20; at++) {
          yield* Effect.gen(function* () {
            const done = Promise.withResolvers<void>()
            let left = at
            yield* answering((fd) => (--left === 0 ? done.resolve() : Kernel.signal(fd)))
            yield* Effect.promise(() => done.promise)
          }).pipe(Effect.scoped, Effect.provide(layer()))
        }
        expect(Kernel.openDescriptors().size).toBe(fds)
      })
    )
  }
})
