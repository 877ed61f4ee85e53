/** `layerBlocking`: the calling thread itself waits in the kernel. */
import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Queue, Stream } from "effect"
import { Poller, Registrar } from "effect-amy"
import * as Kernel from "../support/kernel.ts"
import { open, outcome } from "../support/opened.ts"
import { type ConsumerData, startConsumer } from "../support/programs.ts"
import { someLayer } from "../support/layers.ts"
import { pair } from "../net/tcp/support.ts"

const onMain = Poller.layerBlocking({ allowMainThread: true })

const scopedEventfd = Effect.acquireRelease(Effect.sync(Kernel.source), (fd) => Effect.sync(() => Kernel.close(fd)))

/** Waits some turns of the event loop. A wait on demand would begin in the next one. */
const turnsOfTheLoop = Effect.repeat(
  Effect.promise(() => new Promise((resolve) => setImmediate(resolve))),
  { times: 5 }
)

describe("layerBlocking: refused on the main thread unless allowMainThread", () => {
  it.live("the refusal leaves nothing open", () =>
    Effect.gen(function* () {
      const before = Kernel.openDescriptors()
      for (const options of [undefined, {}, { allowMainThread: false }, { allowMainThread: undefined }]) {
        expect(yield* outcome(Effect.scoped(open(Poller.layerBlocking(options))))).toBe("InvalidArgument")
      }
      expect(Kernel.openDescriptors()).toEqual(before)
    })
  )

  it.live("it works if allowMainThread is set", () =>
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
  it.live("in the midst of a batch, the thread serves the others of the batch before it blocks", () =>
    Effect.gen(function* () {
      const poller = yield* Poller.Poller
      const fd = yield* scopedEventfd
      const id = yield* Registrar.register(fd, "Read")
      const connections = yield* Effect.all(Array.from({ length: 4 }, () => pair))
      const waits: Array<number> = []
      const serve = Effect.fnUntraced(function* ({ server }: (typeof connections)[number], index: number) {
        yield* server.read(new Uint8Array(10))
        waits.push((yield* poller.stats).waits)
        if (index === 0) return yield* poller.wait(Duration.infinity)
        if (index === connections.length - 1) Kernel.signal(fd)
        return []
      })
      const serving = yield* Effect.forkScoped(Effect.all(connections.map(serve), { concurrency: "unbounded" }), {
        startImmediately: true
      })
      for (const { client, server } of connections) {
        yield* client.tryWrite(new Uint8Array(10))
        Kernel.untilPending(server.fd, 10)
      }
      const [reported] = yield* Fiber.join(serving)
      expect(reported!.map((one) => one.id)).toEqual([id])
      expect(waits).toHaveLength(4)
      // No wait in the kernel came between them.
      expect(new Set(waits).size).toBe(1)
    }).pipe(Effect.scoped, Effect.provide(onMain))
  )

  it.live("even the shortest wait reports a ready descriptor", () =>
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

  it.live("other fibers and timers of the thread run during a wait", () =>
    Effect.gen(function* () {
      const poller = yield* Poller.Poller
      const fd = yield* scopedEventfd
      const id = yield* Registrar.register(fd, "Read")
      // Only another fiber of this thread can end the wait.
      yield* Effect.forkScoped(
        Effect.andThen(
          Effect.sleep(10),
          Effect.sync(() => Kernel.signal(fd))
        )
      )
      expect((yield* poller.wait(Duration.infinity)).map((one) => one.id)).toEqual([id])
    }).pipe(Effect.scoped, Effect.provide(onMain))
  )

  it.live("a wait can be interrupted", () =>
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
  it.live("taking from the empty queue waits in the kernel", () =>
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

  it.live("nothing waits in the kernel while no fiber takes from the queue", () =>
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

  it.live("a stream receives notifications as long as it runs", () =>
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

  it.live("each of several takers gets a notification of its own", () =>
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
    it.live(`it receives by ${consume} what other threads make ready, and can be closed`, () =>
      Effect.gen(function* () {
        const before = { descriptors: Kernel.openDescriptors(), threads: Kernel.threadCount() }
        const thread = yield* startConsumer({ layer: "blocking", consume })
        for (let i = 0; i < 50; i++) {
          Kernel.signal(thread.fd)
          expect(yield* thread.next).toEqual({ _tag: "notified", ids: [thread.id] })
        }
        // The thread handles messages, too.
        yield* thread.close
        expect(yield* thread.next).toEqual({ _tag: "closed" })
        expect(yield* thread.exited).toBe(0)
        expect(Kernel.openDescriptors()).toEqual(before.descriptors)
        expect(Kernel.threadCount()).toBe(before.threads)
      }).pipe(Effect.scoped)
    )
  }
})

describe("threads that are attached to a poller without a polling thread receive notifications", () => {
  for (const layer of ["blocking", "eventLoop"] as const satisfies ReadonlyArray<ConsumerData["layer"]>) {
    it.live(`from a layer of kind ${layer} in a worker thread, in this thread and another one`, () =>
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
        // A wait of zero is a barrier, even if it has to ask another thread.
        expect(yield* poller.wait(0)).toEqual([])
        Kernel.signal(fd)
        expect((yield* poller.wait(0)).map((one) => one.id)).toEqual([id])

        // When the owner closes, the attached threads see the end.
        yield* owner.close
        expect(yield* owner.next).toEqual({ _tag: "closed" })
        expect(yield* other.next).toMatchObject({ _tag: "ended", outcome: "success" })
        expect(yield* outcome(poller.wait(Duration.infinity))).toBe("Closed")
        yield* other.close
        yield* other.exited
      }).pipe(Effect.scoped)
    )
  }

  it.live("from a layer on the main thread, in another thread", () =>
    Effect.gen(function* () {
      for (const layer of [onMain, someLayer()]) {
        const { close, poller } = yield* open(layer)
        const thread = yield* startConsumer({ layer: "attached", handle: poller.handle })
        // A wait on this thread delivers to the other one.
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
