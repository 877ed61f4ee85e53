/** If a wait in the kernel fails, no consumer hangs, and nothing is left behind. */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Queue } from "effect"
import { Poller, PollerError } from "effect-amy"
import { breakSelector } from "../support/fault.ts"
import * as Kernel from "../support/kernel.ts"
import { layers, type PollerLayer, rowsHere } from "../support/layers.ts"
import { allFailed, open, operationsNow, outcome, startConsumers } from "../support/opened.ts"
import { startConsumer } from "../support/programs.ts"

const all: { readonly [name: string]: () => PollerLayer } = {
  ...layers,
  "layerBlocking on the main thread": () => Poller.layerBlocking({ allowMainThread: true })
}

const scopedEventfd = Effect.acquireRelease(Effect.sync(Kernel.source), (fd) => Effect.sync(() => Kernel.close(fd)))

const consumersFailed = {
  waitForEver: "WorkerFailed",
  waitAnHour: "WorkerFailed",
  take: "WorkerFailed",
  stream: "WorkerFailed"
}

for (const [name, layer] of Object.entries(all)) {
  describe(`promise 8: if the polling thread dies by itself, consumers fail with WorkerFailed (${name})`, () => {
    it.live("pending consumers and all later operations fail", () =>
      Effect.gen(function* () {
        const opened = yield* open(layer())
        const consumers = yield* startConsumers(opened)
        yield* Effect.scoped(Effect.andThen(breakSelector(opened.poller.handle), consumers)).pipe(
          Effect.map((ends) => expect(ends).toEqual(consumersFailed))
        )
        expect(yield* operationsNow(opened)).toEqual(allFailed)
        yield* opened.close
        // Closing does not change the reason of the failures.
        expect(yield* operationsNow(opened)).toEqual(allFailed)
      })
    )

    it.live("a wait of zero fails", () =>
      Effect.gen(function* () {
        const opened = yield* open(layer())
        yield* breakSelector(opened.poller.handle)
        expect(yield* outcome(opened.poller.wait(0))).toBe("WorkerFailed")
        expect(yield* operationsNow(opened)).toEqual(allFailed)
      }).pipe(Effect.scoped)
    )

    const takers = {
      poll: ({ wait }: Poller.Poller["Service"]) => Effect.map(wait(0), (all) => all.map(({ id }) => id)),
      wait: ({ wait }: Poller.Poller["Service"]) => Effect.map(wait("1 hour"), (all) => all.map(({ id }) => id)),
      queue: ({ queue }: Poller.Poller["Service"]) => Effect.map(Queue.take(queue), ({ id }) => [id])
    }
    for (const [by, take] of Object.entries(takers)) {
      it.live(`notifications that were delivered before can still be taken (by ${by})`, () =>
        Effect.gen(function* () {
          const { poller, registrar } = yield* open(layer())
          const fd = yield* scopedEventfd
          const id = yield* registrar.register(fd, "Read")
          Kernel.signal(fd)
          // Waits until it is in the queue, and leaves it there.
          yield* Queue.peek(poller.queue)
          yield* breakSelector(poller.handle)
          if (!name.startsWith("layerBlocking")) {
            // The other layers fail by themselves. `layerBlocking` fails at the next wait.
            while ((yield* outcome(registrar.register(-1, "Read"))) !== "WorkerFailed") yield* Effect.sleep(1)
          }
          expect(yield* take(poller)).toEqual([id])
          expect(yield* outcome(take(poller))).toBe("WorkerFailed")
        }).pipe(Effect.scoped)
      )
    }

    it.live("the message names the cause and the remedy", () =>
      Effect.gen(function* () {
        const opened = yield* open(layer())
        yield* breakSelector(opened.poller.handle)
        yield* outcome(opened.poller.wait("1 hour"))
        const error = yield* Effect.flip(opened.registrar.register(0, "Read"))
        expect(PollerError.isPollerError(error)).toBe(true)
        expect(error.message).toBe(
          "the thread that waited in the kernel has died of EINVAL (build the layer again to continue)"
        )
      }).pipe(Effect.scoped)
    )

    it.live("the layer can be closed afterwards, and leaks nothing", () =>
      Effect.gen(function* () {
        const before = { descriptors: Kernel.openDescriptors(), threads: Kernel.threadCount() }
        for (let round = 0; round < 5; round++) {
          const opened = yield* open(layer())
          yield* Effect.scoped(
            Effect.andThen(breakSelector(opened.poller.handle), outcome(opened.poller.wait("1 hour")))
          ).pipe(Effect.map((ended) => expect(ended).toBe("WorkerFailed")))
          yield* opened.close
        }
        expect(Kernel.openDescriptors()).toEqual(before.descriptors)
        expect(Kernel.threadCount()).toBe(before.threads)
      }).pipe(Effect.scoped)
    )
  })
}

describe("promise 8: if the polling thread dies by itself, the attached threads' consumers fail, too", () => {
  const owners = rowsHere({
    layerWorker: Poller.layerWorker(),
    layerEventLoop: Poller.layerEventLoop(),
    layerBlocking: Poller.layerBlocking({ allowMainThread: true })
  })
  for (const [name, layer] of Object.entries(owners)) {
    it.live(`attached to a ${name}`, () =>
      Effect.gen(function* () {
        const before = Kernel.openDescriptors()
        const opened = yield* open(layer)
        const threads = [
          yield* startConsumer({ layer: "attached", handle: opened.poller.handle, consume: "stream" }),
          yield* startConsumer({ layer: "attached", handle: opened.poller.handle, consume: "queue" }),
          yield* startConsumer({ layer: "attached", handle: opened.poller.handle, consume: "wait" })
        ]
        const own = yield* Effect.forkScoped(outcome(opened.poller.wait("1 hour")), { startImmediately: true })
        yield* Effect.scoped(Effect.andThen(breakSelector(opened.poller.handle), Fiber.join(own))).pipe(
          Effect.map((ended) => expect(ended).toBe("WorkerFailed"))
        )
        for (const thread of threads) {
          expect(yield* thread.next).toEqual({ _tag: "ended", outcome: "WorkerFailed", operations: allFailed })
          yield* thread.close
          expect(yield* thread.next).toEqual({ _tag: "closed" })
          expect(yield* thread.exited).toBe(0)
        }
        yield* opened.close
        expect(Kernel.openDescriptors()).toEqual(before)
      }).pipe(Effect.scoped)
    )
  }

  it.live("no further thread can attach", () =>
    Effect.gen(function* () {
      const opened = yield* open(Poller.layerWorker())
      yield* breakSelector(opened.poller.handle)
      yield* outcome(opened.poller.wait("1 hour"))
      expect(yield* outcome(open(Poller.layerAttach(opened.poller.handle)))).toBe("WorkerFailed")
    }).pipe(Effect.scoped)
  )
})
