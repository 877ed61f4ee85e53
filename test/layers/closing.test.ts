/** The end of a layer's scope ends everything that the layer opened and started. */
import { describe, expect, it } from "@effect/vitest"
import { Context, Duration, Effect, Exit, Fiber, Layer, Queue, Scope, Stream } from "effect"
import { Poller, Registrar } from "effect-amy"
import { contentsOf } from "../../src/internal/layers/pollerHandle.ts"
import { collectGarbage } from "../support/garbage.ts"
import * as Kernel from "../support/kernel.ts"
import { layers, type PollerLayer, rowsHere } from "../support/layers.ts"
import { times } from "../support/long.ts"
import { manySources, registerAll } from "../support/many.ts"
import { allClosed, open, operationsNow, outcome, startConsumers } from "../support/opened.ts"
import { type ConsumerData, startConsumer } from "../support/programs.ts"
import { notLinux, onLinux } from "../support/platform.ts"

const all: { readonly [name: string]: (options?: Poller.LayerOptions) => PollerLayer } = {
  ...layers,
  "layerBlocking on the main thread": (options) => Poller.layerBlocking({ ...options, allowMainThread: true })
}

const scopedEventfd = Effect.acquireRelease(Effect.sync(Kernel.source), (fd) => Effect.sync(() => Kernel.close(fd)))

/** Returns the open descriptors and the number of threads of the process. */
const possessions = () => ({ descriptors: Kernel.openDescriptors(), threads: Kernel.threadCount() })

const consumersEnded = { waitForEver: "Closed", waitAnHour: "Closed", take: "Done", stream: "success" }

for (const [name, layer] of Object.entries(all)) {
  describe(`promise 8: closing (${name})`, () => {
    it.live("closing joins the thread and closes every descriptor that the library opened", () =>
      Effect.gen(function* () {
        const before = possessions()
        const { close, poller, registrar } = yield* open(layer())
        const fd = yield* scopedEventfd
        yield* registrar.register(fd, "Read")
        Kernel.signal(fd)
        yield* poller.wait(Duration.infinity)
        expect(Kernel.openDescriptors().size).toBeGreaterThan(before.descriptors.size + 1)
        const polls = !/^layer(EventLoop|Blocking)/.test(name)
        if (polls && before.threads > 0) expect(Kernel.threadCount()).toBeGreaterThan(before.threads)
        yield* close
        const after = possessions()
        expect([...after.descriptors.keys()].filter((each) => !before.descriptors.has(each))).toEqual([fd])
        expect(after.threads).toBe(before.threads)
      }).pipe(Effect.scoped)
    )

    it.live("closing ends pending waits, queues and streams, and later operations fail with Closed", () =>
      Effect.gen(function* () {
        const opened = yield* open(layer())
        const consumers = yield* startConsumers(opened)
        yield* opened.close
        expect(yield* consumers).toEqual(consumersEnded)
        expect(yield* operationsNow(opened)).toEqual(allClosed)
      })
    )

    it.live("a consumer that closes the scope itself ends, too", () =>
      Effect.gen(function* () {
        const { close, poller, registrar } = yield* open(layer())
        const fd = yield* scopedEventfd
        const id = yield* registrar.register(fd, "Read")
        const seen: Array<number> = []
        Kernel.signal(fd)
        yield* Stream.runForEach(poller.notifications, (one) => {
          seen.push(one.id)
          return close
        })
        expect(seen).toEqual([id])
      })
    )

    it.live("notifications that were delivered before the end can be taken, and then the queue ends", () =>
      Effect.gen(function* () {
        const { close, poller, registrar } = yield* open(layer())
        const fd = yield* scopedEventfd
        const id = yield* registrar.register(fd, "Read")
        Kernel.signal(fd)
        // Waits until it is in the queue, and leaves it there.
        yield* Queue.peek(poller.queue)
        yield* close
        expect((yield* Queue.take(poller.queue)).id).toBe(id)
        expect(yield* outcome(Queue.take(poller.queue))).toBe("Done")
        expect(yield* outcome(poller.wait(0))).toBe("Closed")
      })
    )

    it.live("closing is quick with thousands of registrations, whether all of them are ready or none", () =>
      Effect.gen(function* () {
        const fds = yield* manySources(times(2000, 10_000))
        for (const ready of [false, true]) {
          const before = possessions()
          const opened = yield* open(layer())
          yield* registerAll(opened.registrar, fds)
          const consumers = yield* startConsumers(opened)
          if (ready) for (const fd of fds) Kernel.signal(fd)
          const used = process.cpuUsage()
          yield* opened.close
          const { system, user } = process.cpuUsage(used)
          const ends = yield* consumers
          if (!ready) expect(ends).toEqual(consumersEnded)
          // In microseconds of processor time, which a busy machine does not change. It takes about
          // a tenth of that.
          expect(system + user).toBeLessThan(1_000_000)
          // Notifications that were delivered before the end are still in the queue.
          yield* Queue.clear(opened.poller.queue).pipe(Effect.ignore)
          expect(yield* operationsNow(opened)).toEqual(allClosed)
          expect(possessions()).toEqual(before)
        }
      })
    )

    it.live("closing is idempotent", () =>
      Effect.gen(function* () {
        const before = possessions()
        const opened = yield* open(layer())
        yield* Effect.all([opened.close, opened.close], { concurrency: "unbounded" })
        yield* opened.close
        expect(yield* operationsNow(opened)).toEqual(allClosed)
        expect(possessions()).toEqual(before)
      })
    )

    it.live("closing one poller does not touch another", () =>
      Effect.gen(function* () {
        const [first, second] = [yield* open(layer()), yield* open(layer())]
        const fd = yield* scopedEventfd
        yield* first.registrar.register(fd, "Read")
        const id = yield* second.registrar.register(fd, "Read")
        yield* first.close
        Kernel.signal(fd)
        expect((yield* second.poller.wait(Duration.infinity)).map((one) => one.id)).toEqual([id])
        expect(yield* operationsNow(first)).toEqual(allClosed)
      })
    )

    it.live("a layer that is built twice makes one poller, which closes with the last of the scopes", () =>
      Effect.gen(function* () {
        const before = possessions()
        const shared = layer()
        const memo = yield* Layer.makeMemoMap
        const scopes = [yield* Scope.make(), yield* Scope.make()] as const
        const first = yield* Layer.buildWithMemoMap(shared, memo, scopes[0])
        const second = yield* Layer.buildWithMemoMap(shared, memo, scopes[1])
        const poller = Context.get(second, Poller.Poller)
        expect(Context.get(first, Poller.Poller)).toBe(poller)
        yield* Scope.close(scopes[0], Exit.void)
        expect(yield* poller.wait(0)).toEqual([])
        yield* Scope.close(scopes[1], Exit.void)
        expect(yield* outcome(poller.wait(0))).toBe("Closed")
        expect(possessions()).toEqual(before)

        // The next build makes a new poller.
        const anew = yield* open(shared)
        expect(yield* anew.poller.wait(0)).toEqual([])
        yield* anew.close
        expect(possessions()).toEqual(before)
      })
    )

    it.live("an interrupted scope closes the poller, too", () =>
      Effect.gen(function* () {
        const before = possessions()
        const running = yield* Effect.forkScoped(
          Effect.flatMap(Poller.Poller, (poller) => poller.wait(Duration.infinity)).pipe(Effect.provide(layer())),
          { startImmediately: true }
        )
        // The interruption may come at any point of building or waiting.
        yield* Fiber.interrupt(running)
        expect(possessions()).toEqual(before)
      })
    )
  })
}

const turnOfTheLoop = Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))

/** Returns the bytes in use, once the event loop has freed what was closed. */
const memory = Effect.gen(function* () {
  for (let i = 0; i < 4; i++) {
    yield* turnOfTheLoop
    collectGarbage()
  }
  const { arrayBuffers, external, heapUsed } = process.memoryUsage()
  return heapUsed + external + arrayBuffers
})

describe("promise 8: opening and closing over and over leaves nothing", () => {
  for (const [name, layer] of Object.entries(
    rowsHere({
      layerWorker: Poller.layerWorker,
      layerEventLoop: Poller.layerEventLoop
    })
  )) {
    it.live(
      name,
      (test) =>
        Effect.gen(function* () {
          const fd = yield* scopedEventfd
          // Node counts no shared memory that can grow.
          const shared: Array<WeakRef<SharedArrayBuffer>> = []
          const once = Effect.gen(function* () {
            const poller = yield* Poller.Poller
            shared.push(new WeakRef(contentsOf(poller.handle).memory))
            yield* Registrar.register(fd, "Read")
            Kernel.signal(fd)
            yield* poller.wait(Duration.infinity)
          }).pipe(Effect.provide(Layer.fresh(layer())))
          // The first rounds load and compile code, which is no leak.
          yield* Effect.repeat(once, { times: 4 })
          const before = { ...possessions(), memory: yield* memory }
          yield* Effect.repeat(once, { times: times(30, 200) })
          expect(possessions()).toEqual({ descriptors: before.descriptors, threads: before.threads })
          const grown = ((yield* memory) - before.memory) / 1024
          yield* Effect.promise(() => test.annotate(`${Math.round(grown)} KiB more at the end`))
          expect(grown).toBeLessThan(4 * 1024)
          // The one that was closed last may still be referred to.
          expect(shared.filter((each) => each.deref() !== undefined).length).toBeLessThanOrEqual(1)
        }),
      // A start takes some 50 ms of processor time, and ten times as long on a busy machine.
      600_000
    )
  }
})

const eventpolls = () => [...Kernel.openDescriptors().values()].filter((what) => what.includes("eventpoll")).length

describe("promise 8: when the owner closes, attached threads see the end", () => {
  for (const layer of ["worker", "eventLoop", "blocking"] as const satisfies ReadonlyArray<ConsumerData["layer"]>) {
    const name = `their consumers end and their duplicates are closed (a thread with a layer of kind ${layer})`
    it.live.skipIf(notLinux)(onLinux("the names of descriptors", name), () =>
      Effect.gen(function* () {
        const before = possessions()
        const without = eventpolls()
        const owner = yield* startConsumer({ layer })
        const withOwner = eventpolls()
        const attached = []
        for (const consume of ["stream", "queue", "wait"] as const) {
          attached.push({ consume, ...(yield* startConsumer({ layer: "attached", handle: owner.handle, consume })) })
        }
        const withAttached = eventpolls()
        const here = yield* open(Poller.layerAttach(owner.handle))
        const consumers = yield* startConsumers(here)
        yield* owner.close
        expect(yield* owner.next).toEqual({ _tag: "closed" })
        expect(yield* consumers).toEqual(consumersEnded)
        expect(yield* operationsNow(here)).toEqual(allClosed)
        const ends = { stream: "success", queue: "Done", wait: "Closed" }
        for (const thread of attached) {
          expect(yield* thread.next).toEqual({
            _tag: "ended",
            outcome: ends[thread.consume],
            operations: allClosed
          })
        }
        yield* owner.exited
        // Their layers are still open, but each has closed its duplicate of the epoll descriptor.
        expect(eventpolls() - without).toBe(withAttached - withOwner - attached.length)
        expect(yield* outcome(open(Poller.layerAttach(owner.handle)))).toBe("Closed")
        for (const thread of attached) {
          yield* thread.close
          expect(yield* thread.next).toEqual({ _tag: "closed" })
          expect(yield* thread.exited).toBe(0)
        }
        expect(possessions()).toEqual(before)
      })
    )
  }

  it.live("this thread's duplicates are closed with the poller, before its own layer closes", () =>
    Effect.gen(function* () {
      const before = possessions()
      const owner = yield* open(Poller.layerWorker())
      const attached = yield* open(Poller.layerAttach(owner.poller.handle))
      const end = yield* Effect.forkScoped(Stream.runDrain(attached.poller.notifications), { startImmediately: true })
      yield* owner.close
      yield* Fiber.join(end)
      // The consumers end first. The duplicates are closed afterwards, in the same turn.
      yield* Effect.yieldNow
      expect(possessions()).toEqual(before)
      expect(yield* operationsNow(attached)).toEqual(allClosed)
      yield* attached.close
      expect(possessions()).toEqual(before)
    })
  )
})

describe("promise 8: a thread that detaches from a poller that stays open", () => {
  it.live("its operations fail with Closed, and touch neither its former mailbox nor its former descriptors", () =>
    Effect.gen(function* () {
      const owner = yield* open(Poller.layerWorker({ maxThreads: 2 }))
      const left = yield* open(Poller.layerAttach(owner.poller.handle))
      const consumers = yield* startConsumers(left)
      yield* left.close
      expect(yield* consumers).toEqual(consumersEnded)

      // The next thread gets the same numbers and the same mailbox.
      const next = yield* open(Poller.layerAttach(owner.poller.handle))
      const fd = yield* scopedEventfd
      const id = yield* next.registrar.register(fd, "Read")
      Kernel.signal(fd)
      yield* Effect.repeat(
        Effect.gen(function* () {
          expect(yield* operationsNow(left)).toEqual(allClosed)
        }),
        { times: 3 }
      )
      expect((yield* next.poller.wait(Duration.infinity)).map((one) => one.id)).toEqual([id])
      yield* left.close
      Kernel.signal(fd)
      expect((yield* next.poller.wait(0)).map((one) => one.id)).toEqual([id])
    })
  )

  it.live("it does not write to descriptors that have reused its numbers", () =>
    Effect.gen(function* () {
      const owner = yield* open(Poller.layerWorker())
      const before = Kernel.openDescriptors()
      const left = yield* open(Poller.layerAttach(owner.poller.handle))
      const its = [...Kernel.openDescriptors().keys()].filter((fd) => !before.has(fd))
      expect(its.length).toBe(2)
      yield* left.close
      const sources = yield* manySources(its.length)
      expect(sources.toSorted()).toEqual(its.toSorted())
      expect(yield* outcome(left.poller.wait(0))).toBe("Closed")
      expect(yield* outcome(left.poller.wait(1))).toBe("Closed")
      expect(sources.map((fd) => Kernel.read(fd, 8))).toEqual([-1, -1])
    })
  )
})
