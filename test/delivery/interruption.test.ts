/** Interrupting a wait leaves no registration and no waiter behind, and loses no edge. */
import { expect, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Option, Queue, Stream } from "effect"
import { type Notification, Poller, Registrar } from "effect-amy"
import * as Kernel from "../support/kernel.ts"
import { describeLayers, idsReadyNow, layerBlocking } from "../support/layers.ts"
import { times } from "../support/long.ts"
import { describeEveryLayer } from "../support/observe.ts"

const sources = (count: number) =>
  Effect.acquireRelease(
    Effect.sync(() => Array.from({ length: count }, Kernel.source)),
    (fds) => Effect.sync(() => fds.forEach(Kernel.close))
  )

type Note = (notification: Notification.Notification) => Effect.Effect<void>

/** The ways of waiting for notifications. */
const waits: {
  readonly [name: string]: (poller: Poller.Poller["Service"], note: Note) => Effect.Effect<unknown, unknown>
} = {
  "wait for ever": (poller, note) => Effect.flatMap(poller.wait(Infinity), (all) => Effect.forEach(all, note)),
  "wait for an hour": (poller, note) => Effect.flatMap(poller.wait("1 hour"), (all) => Effect.forEach(all, note)),
  "wait again and again": (poller, note) =>
    Effect.forever(Effect.flatMap(poller.wait("1 hour"), (all) => Effect.forEach(all, note))),
  "Queue.take": (poller, note) => Effect.flatMap(Queue.take(poller.queue), note),
  "Queue.takeAll": (poller, note) => Effect.flatMap(Queue.takeAll(poller.queue), (all) => Effect.forEach(all, note)),
  "Queue.peek": (poller) => Queue.peek(poller.queue),
  "the stream": (poller, note) => Stream.runForEach(poller.notifications, note)
}

const takersOf = ({ queue }: Poller.Poller["Service"]): number =>
  queue.state._tag === "Done" ? 0 : queue.state.takers.size

const turn = Effect.promise(() => new Promise(setImmediate))

/** Keeps this thread busy for some microseconds. */
const spin = (micros: number): void => {
  for (const end = performance.now() + micros / 1000; performance.now() < end;);
}

describeLayers("promise 13: interrupting a wait", (layer) => {
  for (const [name, waiting] of Object.entries(waits)) {
    it.live(`an interrupted wait leaves no waiter, and the next wait gets the next edge (${name})`, () =>
      Effect.gen(function* () {
        const poller = yield* Poller.Poller
        const [fd] = (yield* sources(1)) as [number]
        const id = yield* Registrar.register(fd, "Read")
        const taken: Array<number> = []
        const note: Note = (each) => Effect.sync(() => void taken.push(each.id))
        for (let round = 0; round < 20; round++) {
          const fibers = yield* Effect.all(
            [1, 2, 3].map(() => Effect.forkChild(waiting(poller, note), { startImmediately: true }))
          )
          expect(takersOf(poller)).toBe(3)
          for (const fiber of fibers) {
            const exit = yield* Effect.andThen(Fiber.interrupt(fiber), Fiber.await(fiber))
            expect(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)).toBe(true)
          }
          expect(takersOf(poller)).toBe(0)
          Kernel.signal(fd)
          expect(yield* idsReadyNow).toEqual([id])
          expect(taken).toEqual([])
        }
      }).pipe(Effect.scoped, Effect.provide(layer()))
    )

    it.live(`an interruption at the moment of an edge loses no edge (${name})`, () =>
      Effect.gen(function* () {
        const poller = yield* Poller.Poller
        const fds = yield* sources(4)
        const ids = yield* Effect.forEach(fds, (fd) => Registrar.register(fd, "Read"))
        const taken: Array<number> = []
        const note: Note = (each) => Effect.sync(() => void taken.push(each.id))
        for (let round = 0; round < times(60, 300); round++) {
          const fiber = yield* Effect.forkChild(waiting(poller, note), { startImmediately: true })
          for (const fd of fds) Kernel.signal(fd)
          // On every layer, the interruption is too early in some rounds, too late in others, and
          // simultaneous in others.
          if (round % 3 > 0) spin((round * 7) % 100)
          for (let turns = round % 4; turns > 0; turns--) yield* turn
          yield* Fiber.interrupt(fiber)
          expect(takersOf(poller)).toBe(0)
          const left = yield* idsReadyNow
          expect([...taken, ...left].toSorted((a, b) => a - b)).toEqual(ids)
          taken.length = 0
        }
        expect(yield* idsReadyNow).toEqual([])
      }).pipe(Effect.scoped, Effect.provide(layer()))
    )
  }

  it.live("a wait that loses a race with a timeout has taken nothing", () =>
    Effect.gen(function* () {
      const poller = yield* Poller.Poller
      const [fd] = (yield* sources(1)) as [number]
      const id = yield* Registrar.register(fd, "Read")
      for (let round = 0; round < times(25, 100); round++) {
        // The descriptor becomes ready at about the time of the timeout.
        const signalled = new Promise<void>((resolve) => {
          setTimeout(() => {
            Kernel.signal(fd)
            resolve()
          }, 1)
        })
        const outcome = yield* Effect.timeoutOption(poller.wait(Infinity), 1)
        const seen = Option.getOrElse(outcome, () => []).map((each) => each.id)
        yield* Effect.promise(() => signalled)
        expect([...seen, ...(yield* idsReadyNow)]).toEqual([id])
        expect(takersOf(poller)).toBe(0)
      }
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("a wait whose own timeout passes at the moment of an edge has either taken the edge or left it", () =>
    Effect.gen(function* () {
      const poller = yield* Poller.Poller
      const [fd] = (yield* sources(1)) as [number]
      const id = yield* Registrar.register(fd, "Read")
      for (let round = 0; round < times(25, 100); round++) {
        const signalled = new Promise<void>((resolve) => {
          setTimeout(() => {
            Kernel.signal(fd)
            resolve()
          }, 1)
        })
        const seen = (yield* poller.wait(1)).map((each) => each.id)
        yield* Effect.promise(() => signalled)
        expect([...seen, ...(yield* idsReadyNow)]).toEqual([id])
        expect(takersOf(poller)).toBe(0)
      }
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("another fiber gets the notification that the interrupted one was about to take", () =>
    Effect.gen(function* () {
      const poller = yield* Poller.Poller
      const [fd] = (yield* sources(1)) as [number]
      const id = yield* Registrar.register(fd, "Read")
      for (let round = 0; round < times(50, 200); round++) {
        const taken: Array<number> = []
        const take = Effect.map(Queue.take(poller.queue), (each) => taken.push(each.id))
        const first = yield* Effect.forkChild(
          round % 2 === 0
            ? take
            : Effect.map(poller.wait("1 hour"), (all) => taken.push(...all.map((each) => each.id))),
          { startImmediately: true }
        )
        const second = yield* Effect.forkChild(take, { startImmediately: true })
        Kernel.signal(fd)
        spin(round % 60)
        if (round % 5 === 0) yield* turn
        yield* Fiber.interrupt(first)
        // If the first fiber was not faster, the second must return by itself.
        if (taken.length === 0) yield* Fiber.join(second)
        yield* Fiber.interrupt(second)
        expect(taken).toEqual([id])
        expect(takersOf(poller)).toBe(0)
      }
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("an interrupted wait of zero leaves all notifications to the next one", () =>
    Effect.gen(function* () {
      const poller = yield* Poller.Poller
      const fds = yield* sources(10)
      const ids = yield* Effect.forEach(fds, (fd) => Registrar.register(fd, "Read"))
      for (let round = 0; round < times(50, 200); round++) {
        for (const fd of fds) Kernel.signal(fd)
        const poll = yield* Effect.forkChild(poller.wait(0), { startImmediately: true })
        if (round % 3 === 1) spin(round % 50)
        if (round % 3 === 2) yield* turn
        yield* Fiber.interrupt(poll)
        const exit = yield* Fiber.await(poll)
        const seen = Exit.isSuccess(exit) ? exit.value.map((each) => each.id) : []
        expect([...seen, ...(yield* idsReadyNow)].toSorted((a, b) => a - b)).toEqual(ids)
      }
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )
})

describeEveryLayer("promise 13: interrupting a fiber that has registered", (layer) => {
  it.live("interruption after registerScoped leaves no registration", () =>
    Effect.gen(function* () {
      const poller = yield* Poller.Poller
      const [fd] = (yield* sources(1)) as [number]
      for (let round = 0; round < 50; round++) {
        const fiber = yield* Effect.forkChild(
          Effect.scoped(Effect.andThen(Registrar.registerScoped(fd, "Read"), Effect.never)),
          { startImmediately: true }
        )
        expect((yield* poller.stats).registrations).toBe(1)
        Kernel.signal(fd)
        yield* Fiber.interrupt(fiber)
        expect((yield* poller.stats).registrations).toBe(0)
        expect(yield* idsReadyNow).toEqual([])
      }
      yield* Registrar.register(fd, "Read")
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )
})

it.live("promise 13: a blocked thread can be interrupted, and the edge is still there (layerBlocking)", () =>
  Effect.gen(function* () {
    const poller = yield* Poller.Poller
    const [fd] = (yield* sources(1)) as [number]
    const id = yield* Registrar.register(fd, "Read")
    for (const waiting of ["wait for ever", "Queue.take", "the stream"]) {
      const taken: Array<number> = []
      const fiber = yield* Effect.forkChild(
        waits[waiting]!(poller, (each) => Effect.sync(() => void taken.push(each.id)))
      )
      // The event loop runs the interruption once this thread returns from the kernel.
      yield* turn
      yield* Fiber.interrupt(fiber)
      expect(takersOf(poller)).toBe(0)
      Kernel.signal(fd)
      expect(yield* idsReadyNow).toEqual([id])
      expect(taken).toEqual([])
    }
  }).pipe(Effect.scoped, Effect.provide(layerBlocking()))
)
