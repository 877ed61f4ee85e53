/** layerBlocking: the thread that calls is the one that waits in the kernel. */
import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Queue, Stream } from "effect"
import { Poller, Registrar } from "effect-amy"
import * as Kernel from "../support/kernel.ts"
import { open, outcome } from "../support/opened.ts"
import { type ConsumerData, startConsumer } from "../support/programs.ts"

const onMain = Poller.layerBlocking({ allowMainThread: true })

const scopedEventfd = Effect.acquireRelease(Effect.sync(Kernel.eventfd), (fd) => Effect.sync(() => Kernel.close(fd)))

/** Whoever waits on demand begins in the next turn of the event loop. */
const turnsOfTheLoop = Effect.repeat(
  Effect.promise(() => new Promise((resolve) => setImmediate(resolve))),
  { times: 5 }
)

describe("layerBlocking: refused on the main thread unless allowMainThread", () => {
  it.live("refused, and nothing is left open", () =>
    Effect.gen(function* () {
      const before = Kernel.openDescriptors()
      for (const options of [undefined, {}, { allowMainThread: false }, { allowMainThread: undefined }]) {
        expect(yield* outcome(Effect.scoped(open(Poller.layerBlocking(options))))).toBe("InvalidArgument")
      }
      expect(Kernel.openDescriptors()).toEqual(before)
    })
  )

  it.live("allowed", () =>
    Effect.gen(function* () {
      const poller = yield* Poller.Poller
      const fd = yield* scopedEventfd
      const id = yield* Registrar.register(fd, "Read")
      Kernel.signal(fd)
      expect((yield* poller.wait(Duration.infinity)).map((one) => one.id)).toEqual([id])
    }).pipe(Effect.scoped, Effect.provide(onMain))
  )

  it.live("it starts no thread", () =>
    Effect.gen(function* () {
      const before = Kernel.threadCount()
      const opened = yield* open(onMain)
      yield* opened.poller.wait(1)
      expect(Kernel.threadCount()).toBe(before)
    }).pipe(Effect.scoped)
  )
})

describe("layerBlocking: wait", () => {
  it.live("reports what is ready however short the timeout", () =>
    Effect.gen(function* () {
      const poller = yield* Poller.Poller
      const fd = yield* scopedEventfd
      const id = yield* Registrar.register(fd, "Read")
      for (let i = 0; i < 100; i++) {
        Kernel.signal(fd)
        expect((yield* poller.wait("1 nanos")).map((one) => one.id)).toEqual([id])
      }
    }).pipe(Effect.scoped, Effect.provide(onMain))
  )

  it.live("gives the thread's other fibers and timers a turn while it goes on", () =>
    Effect.gen(function* () {
      const poller = yield* Poller.Poller
      const fd = yield* scopedEventfd
      const id = yield* Registrar.register(fd, "Read")
      // Only another fiber of this very thread ends the wait.
      yield* Effect.forkScoped(
        Effect.andThen(
          Effect.sleep(10),
          Effect.sync(() => Kernel.signal(fd))
        )
      )
      expect((yield* poller.wait(Duration.infinity)).map((one) => one.id)).toEqual([id])
    }).pipe(Effect.scoped, Effect.provide(onMain))
  )

  it.live("can be interrupted", () =>
    Effect.gen(function* () {
      const poller = yield* Poller.Poller
      const waiter = yield* Effect.forkScoped(poller.wait(Duration.infinity), { startImmediately: true })
      yield* Fiber.interrupt(waiter)
      const fd = yield* scopedEventfd
      const id = yield* Registrar.register(fd, "Read")
      Kernel.signal(fd)
      expect((yield* poller.wait(Duration.infinity)).map((one) => one.id)).toEqual([id])
    }).pipe(Effect.scoped, Effect.provide(onMain))
  )
})

describe("layerBlocking: its queue and stream fill on demand", () => {
  it.live("a taker that finds the queue empty waits in the kernel", () =>
    Effect.gen(function* () {
      const poller = yield* Poller.Poller
      const [first, second] = [yield* scopedEventfd, yield* scopedEventfd]
      const ids = [yield* Registrar.register(first, "Read"), yield* Registrar.register(second, "Read")]
      Kernel.signal(first)
      expect((yield* Queue.take(poller.queue)).id).toBe(ids[0])
      const taker = yield* Effect.forkScoped(Queue.take(poller.queue), { startImmediately: true })
      Kernel.signal(second)
      expect((yield* Fiber.join(taker)).id).toBe(ids[1])
    }).pipe(Effect.scoped, Effect.provide(onMain))
  )

  it.live("nobody waits in the kernel while nobody takes", () =>
    Effect.gen(function* () {
      const poller = yield* Poller.Poller
      const fd = yield* scopedEventfd
      yield* Registrar.register(fd, "Read")
      Kernel.signal(fd)
      yield* turnsOfTheLoop
      expect((yield* poller.stats).waits).toBe(0)
      const taker = yield* Effect.forkScoped(Queue.take(poller.queue), { startImmediately: true })
      yield* Fiber.interrupt(taker)
      yield* turnsOfTheLoop
      expect((yield* poller.stats).waits).toBe(0)
    }).pipe(Effect.scoped, Effect.provide(onMain))
  )

  it.live("a stream goes on for as long as it is run", () =>
    Effect.gen(function* () {
      const poller = yield* Poller.Poller
      const fd = yield* scopedEventfd
      const id = yield* Registrar.register(fd, "Read")
      Kernel.signal(fd)
      const seen = yield* poller.notifications.pipe(
        Stream.map((one) => one.id),
        // Each notification causes the next.
        Stream.tap(() => Effect.sync(() => Kernel.signal(fd))),
        Stream.take(500),
        Stream.runCollect
      )
      expect(seen).toEqual(Array.from({ length: 500 }, () => id))
    }).pipe(Effect.scoped, Effect.provide(onMain))
  )

  it.live("several takers, each gets its own", () =>
    Effect.gen(function* () {
      const poller = yield* Poller.Poller
      const fds = [yield* scopedEventfd, yield* scopedEventfd, yield* scopedEventfd]
      const ids: Array<number> = []
      for (const fd of fds) ids.push(yield* Registrar.register(fd, "Read"))
      const takers = yield* Effect.forkScoped(
        Effect.all(
          fds.map(() => Queue.take(poller.queue)),
          { concurrency: "unbounded" }
        ),
        { startImmediately: true }
      )
      for (const fd of fds) Kernel.signal(fd)
      expect((yield* Fiber.join(takers)).map((one) => one.id).toSorted()).toEqual(ids)
    }).pipe(Effect.scoped, Effect.provide(onMain))
  )
})

describe("layerBlocking in a worker thread", () => {
  for (const consume of ["wait", "queue", "stream"] as const) {
    it.live(`by ${consume} it receives what other threads make ready, and closes when told`, () =>
      Effect.gen(function* () {
        const before = { descriptors: Kernel.openDescriptors(), threads: Kernel.threadCount() }
        const thread = yield* startConsumer({ layer: "blocking", consume })
        for (let i = 0; i < 50; i++) {
          Kernel.signal(thread.fd)
          expect(yield* thread.next).toEqual({ _tag: "notified", ids: [thread.id] })
        }
        // Messages to that thread have their turn, too.
        yield* thread.close
        expect(yield* thread.next).toEqual({ _tag: "closed" })
        expect(yield* thread.exited).toBe(0)
        expect(Kernel.openDescriptors()).toEqual(before.descriptors)
        expect(Kernel.threadCount()).toBe(before.threads)
      }).pipe(Effect.scoped)
    )
  }
})

describe("threads attached to a poller without a thread of its own receive theirs", () => {
  for (const layer of ["blocking", "eventLoop"] as const satisfies ReadonlyArray<ConsumerData["layer"]>) {
    it.live(`a layer of kind ${layer} in a worker thread; this thread and another one attached`, () =>
      Effect.gen(function* () {
        const owner = yield* startConsumer({ layer })
        const other = yield* startConsumer({ layer: "attached", handle: owner.handle })
        const { poller, registrar } = yield* open(Poller.layerAttach(owner.handle))
        const fd = yield* scopedEventfd
        const id = yield* registrar.register(fd, "Read")
        expect(new Set([owner.id, other.id, id]).size).toBe(3)
        for (let i = 0; i < 20; i++) {
          Kernel.signal(fd)
          Kernel.signal(other.fd)
          Kernel.signal(owner.fd)
          expect((yield* poller.wait(Duration.infinity)).map((one) => one.id)).toEqual([id])
          expect(yield* other.next).toEqual({ _tag: "notified", ids: [other.id] })
          expect(yield* owner.next).toEqual({ _tag: "notified", ids: [owner.id] })
        }
        // A poll is a barrier, whoever it is that has to be asked.
        expect(yield* poller.wait(0)).toEqual([])
        Kernel.signal(fd)
        expect((yield* poller.wait(0)).map((one) => one.id)).toEqual([id])

        // The owner closes: everyone who is attached sees the end.
        yield* owner.close
        expect(yield* owner.next).toEqual({ _tag: "closed" })
        expect(yield* other.next).toMatchObject({ _tag: "ended", outcome: "success" })
        expect(yield* outcome(poller.wait(Duration.infinity))).toBe("Closed")
        yield* other.close
        yield* other.exited
      }).pipe(Effect.scoped)
    )
  }

  it.live("layerBlocking and layerEventLoop on the main thread, another thread attached", () =>
    Effect.gen(function* () {
      for (const layer of [onMain, Poller.layerEventLoop()]) {
        const { close, poller } = yield* open(layer)
        const thread = yield* startConsumer({ layer: "attached", handle: poller.handle })
        // Whoever waits here delivers there.
        const waiter = yield* Effect.forkScoped(poller.wait(Duration.infinity), { startImmediately: true })
        for (let i = 0; i < 3; i++) {
          Kernel.signal(thread.fd)
          expect(yield* thread.next).toEqual({ _tag: "notified", ids: [thread.id] })
        }
        yield* Fiber.interrupt(waiter)
        yield* close
        expect(yield* thread.next).toMatchObject({ _tag: "ended", outcome: "success" })
        yield* thread.close
        yield* thread.exited
      }
    }).pipe(Effect.scoped)
  )
})
