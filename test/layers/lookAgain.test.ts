/** Who answers a notification is told of the next at once, and the event loop has its turns. */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Queue } from "effect"
import { Poller, Registrar } from "effect-amy"
import { LookAgain } from "../../src/internal/layers/lookAgain.ts"
import * as Kernel from "../support/kernel.ts"

/** How often it is looked in one turn of the loop that finds so many, and then so many with each look. */
const looks = (again: LookAgain, first: number, then: number): number => {
  let count = 1
  for (let found = first; again.isWorthIt(found); found = then) count++
  return count
}

describe("whether the selector is worth another look", () => {
  it("is tried ever less where nothing comes of it, and never given up", () => {
    const again = new LookAgain()
    const turns = Array.from({ length: 1000 }, () => looks(again, 1, 0))
    const tried = turns.flatMap((count, turn) => (count > 1 ? [turn] : []))
    expect(turns.every((count) => count <= 2)).toBe(true)
    expect(tried.slice(0, 8)).toEqual([0, 2, 6, 14, 30, 62, 126, 190])
    expect(tried).toHaveLength(20)
  })

  it("is asked each time where something does", () => {
    const again = new LookAgain()
    looks(again, 1, 0)
    looks(again, 1, 0)
    expect(looks(again, 1, 1)).toBeGreaterThan(2)
    for (let turn = 0; turn < 100; turn++) expect(looks(again, 1, 1)).toBeGreaterThan(1)
  })

  it("is over after some looks, and where there is much or nothing", () => {
    for (let turn = 0; turn < 100; turn++) expect(looks(new LookAgain(), 2, 2)).toBeLessThan(20)
    expect(looks(new LookAgain(), 1, 1000)).toBe(2)
    expect(looks(new LookAgain(), 1000, 1)).toBe(1)
    expect(looks(new LookAgain(), 0, 1)).toBe(1)
  })
})

/** Whoever takes a notification makes its descriptor ready again, for ever. */
const answering = (answer: (fd: number) => void) =>
  Effect.gen(function* () {
    const poller = yield* Poller.Poller
    const fd = yield* Effect.acquireRelease(
      Effect.sync(() => Kernel.eventfd()),
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

describe("who answers each notification with the next", () => {
  const answers: { readonly [name: string]: (fd: number) => void } = {
    "at once": Kernel.signal,
    "by a promise": (fd) => void Promise.resolve().then(() => Kernel.signal(fd)),
    "by a tick": (fd) => process.nextTick(Kernel.signal, fd)
  }
  for (const [name, answer] of Object.entries(answers)) {
    it.live(`${name}, by way of a polling thread: the loop has its turns`, () =>
      Effect.gen(function* () {
        const { count, stop } = yield* answering(answer)
        yield* turns(1000)
        expect(count()).toBeLessThan(20_000)
        yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 1)))
        yield* stop
      }).pipe(Effect.scoped, Effect.provide(Poller.layerWorker()))
    )

    it.live(`${name}: has more than one in a turn of the loop, and the loop has its turns`, () =>
      Effect.gen(function* () {
        const { count, stop } = yield* answering(answer)
        yield* turns(10)
        const before = count()
        yield* turns(1000)
        expect(count() - before).toBeGreaterThan(1500)
        expect(count() - before).toBeLessThan(20_000)
        // So have timers.
        yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 1)))
        yield* stop
      }).pipe(Effect.scoped, Effect.provide(Poller.layerEventLoop()))
    )
  }

  for (const [name, layer] of [
    ["layerEventLoop", Poller.layerEventLoop],
    ["layerWorker", Poller.layerWorker]
  ] as const) {
    it.live(`may close its poller in the midst of that (${name})`, () =>
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
