/** What a thread has open for a poller when it is terminated is closed by another thread. */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { PollChannel, Poller, Registrar, UserEvent } from "effect-amy"
import * as Kernel from "../support/kernel.ts"
import type { PollerLayer } from "../support/layers.ts"
import { isLong } from "../support/long.ts"
import { until } from "../support/observe.ts"
import { open, outcome } from "../support/opened.ts"
import {
  type ConsumerData,
  type LeavingData,
  type LeavingMessage,
  startConsumer,
  startThread
} from "../support/programs.ts"

const owners: { readonly [name: string]: PollerLayer } = {
  layerWorker: Poller.layerWorker(),
  ...(isLong && {
    layerEventLoop: Poller.layerEventLoop(),
    layerBlocking: Poller.layerBlocking({ allowMainThread: true })
  })
}

/** Attaches until a condition holds. A thread that has just ended may still be there for the kernel. */
const attachUntil = (handle: Poller.PollerHandle, condition: () => boolean) =>
  Effect.repeat(Effect.scoped(Layer.build(Poller.layerAttach(handle))), { until: condition, times: 100 })

/** Starts a thread that opens everything. Returns what it posted. */
const startLeaving = Effect.fnUntraced(function* (data: LeavingData) {
  const thread = yield* startThread<LeavingMessage>(
    "leavingThread",
    data,
    data.sender === undefined ? [] : [data.sender.port]
  )
  return { ...(yield* thread.next), terminate: Effect.promise(() => thread.worker.terminate()) }
})

for (const [name, layer] of Object.entries(owners)) {
  describe(`a terminated thread's timer, user events and channels (${name})`, () => {
    it.live("are closed with the poller", () =>
      Effect.gen(function* () {
        const before = Kernel.openDescriptors()
        const owner = yield* open(layer)
        const { terminate } = yield* startLeaving({ handle: owner.poller.handle })
        yield* terminate
        expect(Kernel.openDescriptors().size).toBeGreaterThan(before.size + 20)
        yield* owner.close
        yield* until(() => Kernel.openDescriptors().size <= before.size)
        expect(Kernel.openDescriptors()).toEqual(before)
      })
    )
  })
}

describe("a terminated thread's timer, user events and channels", () => {
  it.live("are closed by the next thread that attaches, however many could attach", () =>
    Effect.gen(function* () {
      const owner = yield* open(Poller.layerEventLoop())
      const before = Kernel.openDescriptors()
      for (let round = 0; round < 3; round++) {
        const { terminate } = yield* startLeaving({ handle: owner.poller.handle })
        yield* terminate
      }
      yield* attachUntil(owner.poller.handle, () => Kernel.openDescriptors().size <= before.size)
      expect(Kernel.openDescriptors()).toEqual(before)
    })
  )

  it.live("are closed by an attached thread meanwhile, and the mailbox is free again", () =>
    Effect.gen(function* () {
      const owner = yield* open(Poller.layerEventLoop({ maxThreads: 3 }))
      const { poller } = yield* open(Poller.layerAttach(owner.poller.handle))
      const before = Kernel.openDescriptors()
      const { terminate } = yield* startLeaving({ handle: owner.poller.handle })
      yield* terminate
      yield* until(() => Kernel.openDescriptors().size <= before.size)
      expect(Kernel.openDescriptors()).toEqual(before)
      yield* open(Poller.layerAttach(poller.handle))
    })
  )

  it.live("have ended for other threads, whose numbers they do not touch", () =>
    Effect.gen(function* () {
      const owner = yield* open(Poller.layerEventLoop())
      const { events, terminate } = yield* startLeaving({ handle: owner.poller.handle })
      const event = yield* UserEvent.fromHandle(events[0]!)
      yield* event.trigger
      yield* terminate
      const before = Kernel.openDescriptors()
      yield* attachUntil(owner.poller.handle, () => Kernel.openDescriptors().size < before.size - 20)
      const closed = [...before.keys()].filter((fd) => !Kernel.openDescriptors().has(fd))
      const reused: Array<number> = []
      while (!closed.every((fd) => reused.includes(fd))) reused.push(Kernel.source())
      expect(yield* outcome(event.trigger)).toBe("Closed")
      for (const handle of events) expect(yield* outcome(UserEvent.fromHandle(handle))).toBe("Closed")
      expect(reused.map((fd) => Kernel.read(fd, 8))).toEqual(reused.map(() => -1))
      // The numbers are not the library's any more.
      for (const fd of reused) expect(yield* outcome(owner.registrar.deregister(fd))).toBe("NotRegistered")
      reused.forEach(Kernel.close)
    })
  )

  it.live("do not include a descriptor that its program has opened", () =>
    Effect.gen(function* () {
      const before = Kernel.openDescriptors()
      const owner = yield* open(Poller.layerEventLoop())
      const thread = yield* startConsumer({ layer: "attached", handle: owner.poller.handle })
      yield* Effect.promise(() => thread.worker.terminate())
      yield* owner.close
      yield* until(() => Kernel.openDescriptors().size <= before.size + 1)
      expect([...Kernel.openDescriptors().keys()].filter((fd) => !before.has(fd))).toEqual([thread.fd])
      Kernel.close(thread.fd)
    })
  )
})

describe("a terminated thread that used an event and a channel of another thread", () => {
  it.live("leaves nothing open, and harms neither of them", () =>
    Effect.gen(function* () {
      const before = Kernel.openDescriptors()
      const owner = yield* open(Poller.layerEventLoop())
      yield* Effect.gen(function* () {
        const event = yield* UserEvent.make
        const channel = yield* PollChannel.unbounded<number>()
        const during = Kernel.openDescriptors()
        const left = new Set<number>()
        for (let round = 0; round < 2; round++) {
          const sender = yield* channel.sender.handle
          const { terminate } = yield* startLeaving({ handle: owner.poller.handle, event: event.handle, sender })
          expect(yield* channel.receiver.receive).toBe(1)
          yield* terminate
          for (const fd of Kernel.openDescriptors().keys()) if (!during.has(fd)) left.add(fd)
        }
        // Opening a handle closes what other threads have left.
        yield* Effect.repeat(Effect.scoped(UserEvent.fromHandle(event.handle)), {
          until: () => Kernel.openDescriptors().size <= during.size,
          times: 100
        })
        expect(Kernel.openDescriptors()).toEqual(during)
        for (const fd of left) {
          Kernel.dup2(0, fd)
          expect(yield* outcome(owner.registrar.deregister(fd))).toBe("NotRegistered")
          Kernel.close(fd)
        }
        yield* event.trigger
        yield* channel.sender.send(2)
        expect(yield* channel.receiver.receive).toBe(2)
      }).pipe(Effect.scoped, Effect.provideService(Registrar.Registrar, owner.registrar))
      yield* owner.close
      expect(Kernel.openDescriptors()).toEqual(before)
    })
  )
})

describe("a terminated owner's descriptors", () => {
  const layers: ReadonlyArray<ConsumerData["layer"]> = isLong ? ["worker", "eventLoop", "blocking"] : ["eventLoop"]
  for (const layer of layers) {
    it.live(`are closed by a thread that is attached (${layer})`, () =>
      Effect.gen(function* () {
        const before = Kernel.openDescriptors()
        const owner = yield* startConsumer({ layer })
        const attached = yield* open(Poller.layerAttach(owner.handle))
        yield* Effect.promise(() => owner.worker.terminate())
        Kernel.close(owner.fd)
        yield* until(() => Kernel.openDescriptors().size <= before.size)
        expect(Kernel.openDescriptors()).toEqual(before)
        expect(yield* outcome(attached.poller.wait("1 hour"))).toBe("WorkerFailed")
        expect(yield* outcome(Effect.scoped(Layer.build(Poller.layerAttach(owner.handle))))).toBe("WorkerFailed")
      })
    )
  }
})
