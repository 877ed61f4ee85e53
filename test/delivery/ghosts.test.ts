/**
 * A registration that has ended is not reported any more, wherever its notification was at that
 * time: in the kernel, in shared memory, held back by the polling thread, in this thread's queue,
 * or on its way to a fiber that waits.
 */
import { assert, describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Queue } from "effect"
import { type Notification, Poller, Registrar } from "effect-amy"
import { PollerMemory } from "../../src/internal/shared/pollerMemory.ts"
import { Box } from "../../src/internal/shared/mailboxTable.ts"
import { Dispatcher } from "../../src/internal/delivery/dispatcher.ts"
import { pack } from "../../src/internal/shared/mailbox.ts"
import type { NotificationImpl } from "../../src/internal/delivery/notification.ts"
import { Readiness } from "../../src/internal/kernel/selector.ts"
import { highOf, lowOf } from "../../src/internal/kernel/userData.ts"
import * as Kernel from "../support/kernel.ts"
import { describeLayers, idsReadyNow, layerAttached, type PollerLayer, readyNow } from "../support/layers.ts"
import { times } from "../support/long.ts"
import { random } from "../support/model.ts"
import { contentsOf } from "../../src/internal/layers/pollerHandle.ts"

/** Registers a source. */
const registered = Effect.gen(function* () {
  const fd = Kernel.source()
  return { fd, id: yield* Registrar.register(fd, "Read") }
})

const several = (count: number) => Effect.all(Array.from({ length: count }, () => registered))

/** Checks a condition in every turn of the event loop, until it holds. */
const until = (holds: Effect.Effect<boolean, never, Poller.Poller>): Effect.Effect<void, never, Poller.Poller> =>
  Effect.gen(function* () {
    while (!(yield* holds)) yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
  })

const untilQueued = (count: number) =>
  until(Effect.flatMap(Poller.Poller, ({ queue }) => Effect.map(Queue.size(queue), (size) => size === count)))

const untilMerged = (count: number) =>
  until(Effect.flatMap(Poller.Poller, ({ stats }) => Effect.map(stats, ({ merged }) => merged === count)))

/** Keeps this thread busy until a condition on the shared memory holds. */
const busyUntil = (holds: (memory: PollerMemory) => boolean) =>
  Effect.map(Poller.Poller, ({ handle }) => {
    const memory = new PollerMemory(contentsOf(handle).memory)
    const deadline = performance.now() + 100_000
    while (!holds(memory)) assert(performance.now() < deadline, "the polling thread delivers nothing")
  })

/** Returns how many entries all rings have received. */
const delivered = (memory: PollerMemory): number => {
  let sum = 0
  for (let mailbox = 1; mailbox <= memory.mailboxes.count; mailbox++) {
    sum += Atomics.load(memory.mailboxes.box(mailbox), Box.Tail)
  }
  return sum
}

const deregisterAndClose = ({ fd }: { readonly fd: number }) =>
  Effect.andThen(
    Registrar.deregister(fd),
    Effect.sync(() => Kernel.close(fd))
  )

describeLayers("promise 5: no ghost", (layer) => {
  it.live("a ready descriptor is not reported if it is deregistered before the next wait", () =>
    Effect.gen(function* () {
      const { fd } = yield* registered
      Kernel.signal(fd)
      yield* deregisterAndClose({ fd })
      expect(yield* idsReadyNow).toEqual([])
    }).pipe(Effect.provide(layer()))
  )

  it.live("a notification that is in the queue is removed", () =>
    Effect.gen(function* () {
      const { queue, stats } = yield* Poller.Poller
      const [first, second, third] = yield* several(3)
      for (const { fd } of [first!, second!, third!]) Kernel.signal(fd)
      yield* untilQueued(3)
      yield* deregisterAndClose(second!)
      expect(yield* Queue.size(queue)).toBe(2)
      expect(yield* idsReadyNow).toEqual([first!.id, third!.id])
      Kernel.signal(first!.fd)
      yield* untilQueued(1)
      yield* deregisterAndClose(first!)
      expect(yield* idsReadyNow).toEqual([])
      yield* deregisterAndClose(third!)
      expect((yield* stats).registrations).toBe(0)
    }).pipe(Effect.provide(layer()))
  )

  it.live("a notification that is in the queue is removed if the number is reused at once", () =>
    Effect.gen(function* () {
      const old = yield* registered
      Kernel.signal(old.fd)
      yield* untilQueued(1)
      yield* Registrar.deregister(old.fd)
      const fresh = Kernel.source()
      Kernel.dup2(fresh, old.fd)
      Kernel.close(fresh)
      const id = yield* Registrar.register(old.fd, "Read")
      expect(id).toBe(old.id + 1)
      expect(yield* idsReadyNow).toEqual([])
      Kernel.signal(old.fd)
      expect(yield* idsReadyNow).toEqual([id])
      yield* deregisterAndClose(old)
    }).pipe(Effect.provide(layer()))
  )

  it.live("a descriptor that was closed without deregister is not reported once its number is registered again", () =>
    Effect.gen(function* () {
      const old = yield* registered
      // A duplicate keeps the file open, and so the old registration stays in the kernel.
      const duplicate = Kernel.dup(old.fd)
      Kernel.signal(old.fd)
      yield* untilQueued(1)
      const fresh = Kernel.source()
      Kernel.dup2(fresh, old.fd)
      Kernel.close(fresh)
      const id = yield* Registrar.register(old.fd, "Read")
      Kernel.signal(duplicate)
      expect(yield* idsReadyNow).toEqual([])
      Kernel.signal(old.fd)
      Kernel.signal(duplicate)
      expect(yield* idsReadyNow).toEqual([id])
      yield* deregisterAndClose(old)
      Kernel.signal(duplicate)
      expect(yield* idsReadyNow).toEqual([])
      Kernel.close(duplicate)
    }).pipe(Effect.provide(layer()))
  )

  it.live("a fiber that waits in take, in wait or on the stream does not get it", () =>
    Effect.gen(function* () {
      const poller = yield* Poller.Poller
      const [ended, other] = yield* several(2)
      for (const waiter of [
        Effect.map(Queue.take(poller.queue), ({ id }) => id),
        Effect.map(poller.wait("20 seconds"), (all) => all.map(({ id }) => id).join())
      ]) {
        const fiber = yield* Effect.forkChild(waiter, { startImmediately: true })
        // Nothing yields here, so the waiting fiber has no turn in between.
        Kernel.signal(ended!.fd)
        yield* Registrar.deregister(ended!.fd)
        Kernel.signal(other!.fd)
        expect(String(yield* Fiber.join(fiber))).toBe(String(other!.id))
        expect(yield* idsReadyNow).toEqual([])
        yield* Registrar.register(ended!.fd, "Read")
        // It was signalled before, so it is ready as soon as it is registered.
        expect(yield* readyNow).toHaveLength(1)
      }
      yield* deregisterAndClose(ended!)
      yield* deregisterAndClose(other!)
    }).pipe(Effect.provide(layer()))
  )

  it.live("a fiber that was woken by the same batch as the fiber that deregisters does not get it", () =>
    Effect.gen(function* () {
      const { queue } = yield* Poller.Poller
      const [first, second, third] = yield* several(3)
      const byId = new Map([first!, second!].map((each) => [each.id, each]))
      // The first fiber ends the registration of the other one, whose notification is in the same
      // batch.
      const ender = yield* Effect.forkChild(
        Effect.gen(function* () {
          const { id } = yield* Queue.take(queue)
          byId.delete(id)
          for (const { fd } of byId.values()) yield* Registrar.deregister(fd)
          return id
        }),
        { startImmediately: true }
      )
      const taker = yield* Effect.forkChild(Queue.take(queue), { startImmediately: true })
      Kernel.signal(first!.fd)
      Kernel.signal(second!.fd)
      yield* Fiber.join(ender)
      // In two batches, the second finds no registration. In one batch, the notification is taken
      // back.
      Kernel.signal(third!.fd)
      expect((yield* Fiber.join(taker)).id).toBe(third!.id)
      expect(yield* idsReadyNow).toEqual([])
      for (const { fd } of [first!, second!, third!]) Kernel.close(fd)
    }).pipe(Effect.provide(layer()))
  )

  it.live("after a removal, the other notifications in the queue still merge", () =>
    Effect.gen(function* () {
      const { queue } = yield* Poller.Poller
      const all = yield* several(6)
      const [a, b, c, d, e, f] = all
      for (const [index, { fd }] of all.entries()) {
        if (index === 5) break
        Kernel.signal(fd)
        yield* untilQueued(index + 1)
      }
      yield* Registrar.deregister(c!.fd)
      // All four have merged, and there is still one notification of each.
      for (const { fd } of [e!, d!, b!, a!]) Kernel.signal(fd)
      yield* untilMerged(4)
      expect(yield* Queue.size(queue)).toBe(4)
      // The next report of one that was taken is a new notification.
      const { id } = yield* Queue.take(queue)
      const taken = all.find((each) => each.id === id)!
      const [first, second, third] = [a!, b!, d!, e!].filter((each) => each !== taken)
      Kernel.signal(f!.fd)
      yield* untilQueued(4)
      Kernel.signal(taken.fd)
      yield* untilQueued(5)
      yield* Registrar.deregister(first!.fd)
      yield* Registrar.deregister(f!.fd)
      Kernel.signal(third!.fd)
      Kernel.signal(taken.fd)
      yield* untilMerged(6)
      const rest = [taken, second!, third!]
      expect(yield* idsReadyNow).toEqual(rest.map(({ id }) => id).toSorted((x, y) => x - y))
      for (const each of rest) yield* Registrar.deregister(each.fd)
      for (const { fd } of all) Kernel.close(fd)
    }).pipe(Effect.provide(layer()))
  )

  it.live("thousands of notifications in the queue are removed by deregister", () =>
    Effect.gen(function* () {
      const { queue, stats } = yield* Poller.Poller
      const all: Array<number> = []
      const count = times(2000, 10_000)
      for (let i = 0; i < count; i++) {
        const fd = Kernel.source()
        yield* Registrar.register(fd, "Read")
        all.push(fd)
      }
      for (const fd of all) Kernel.signal(fd)
      yield* untilQueued(count)
      // First the last half from its end, then the first half from its beginning.
      for (const fd of all.splice(count / 2).toReversed()) yield* deregisterAndClose({ fd })
      expect(yield* Queue.size(queue)).toBe(count / 2)
      for (const fd of all) yield* deregisterAndClose({ fd })
      expect(yield* idsReadyNow).toEqual([])
      expect((yield* stats).registrations).toBe(0)
    }).pipe(Effect.provide(layer()))
  )
})

const threaded: ReadonlyArray<readonly [string, (options?: Poller.LayerOptions) => PollerLayer]> = [
  ["layerWorker", Poller.layerWorker],
  ["layerAttach to a layerWorker", layerAttached]
]

for (const [name, layer] of threaded) {
  describe(`promise 5: no ghost out of shared memory (${name})`, () => {
    it.live("an entry that reached the mailbox while this thread was busy is not reported", () =>
      Effect.gen(function* () {
        const [ended, other] = yield* several(2)
        Kernel.signal(ended!.fd)
        Kernel.signal(other!.fd)
        yield* busyUntil((memory) => delivered(memory) === 2)
        yield* Registrar.deregister(ended!.fd)
        expect(yield* idsReadyNow).toEqual([other!.id])
        yield* Registrar.deregister(other!.fd)
        for (const { fd } of [ended!, other!]) Kernel.close(fd)
      }).pipe(Effect.provide(layer()))
    )

    it.live("an entry in the mailbox is not reported if the number is reused at once", () =>
      Effect.gen(function* () {
        const old = yield* registered
        Kernel.signal(old.fd)
        yield* busyUntil((memory) => delivered(memory) === 1)
        yield* Registrar.deregister(old.fd)
        const fresh = Kernel.source()
        Kernel.dup2(fresh, old.fd)
        Kernel.close(fresh)
        const id = yield* Registrar.register(old.fd, "Read")
        expect(yield* idsReadyNow).toEqual([])
        Kernel.signal(old.fd)
        expect(yield* idsReadyNow).toEqual([id])
        yield* deregisterAndClose(old)
      }).pipe(Effect.provide(layer()))
    )

    it.live("an entry that the polling thread holds back for a full mailbox is not reported", () =>
      Effect.gen(function* () {
        const all = yield* several(10)
        for (const { fd } of all) Kernel.signal(fd)
        // One entry is in the ring.
        yield* busyUntil((memory) => memory.overflows >= 9)
        const kept = new Set([all[0]!, all[6]!, all[9]!])
        for (const each of all) if (!kept.has(each)) yield* Registrar.deregister(each.fd)
        expect(yield* idsReadyNow).toEqual([...kept].map(({ id }) => id))
        for (const { fd } of kept) yield* Registrar.deregister(fd)
        expect(yield* idsReadyNow).toEqual([])
        for (const { fd } of all) Kernel.close(fd)
      }).pipe(Effect.provide(layer({ mailboxSize: 1, batchSize: 1 })))
    )
  })
}

const accept = (dispatcher: Dispatcher, id: number, readiness: number) =>
  dispatcher.accept(lowOf(id), pack(highOf(id), readiness))

const bitsOf = (notification: Notification.Notification) => (notification as NotificationImpl).bits

describe("promise 5: the dispatcher takes back accepted reports", () => {
  it("a report in a batch that is not in the queue yet is taken back", () => {
    const dispatcher = Effect.runSync(Dispatcher.make)
    for (const id of [1, 2, 3]) dispatcher.add(id, id + 100, false)
    for (const id of [1, 2, 3]) accept(dispatcher, id, Readiness.Readable)
    dispatcher.remove(dispatcher.registrations.byId(2)!)
    accept(dispatcher, 2, Readiness.Readable)
    accept(dispatcher, 3, Readiness.Writable)
    dispatcher.flush()
    const taken = Effect.runSync(dispatcher.queue.takeAll)
    expect(taken).toMatchObject([
      { id: 1, event: "Read" },
      { id: 3, event: "Both" }
    ])
  })

  it("accepting, flushing, taking and taking back agree with a model in any order", () => {
    const seed = Number(process.env.MODEL_SEED ?? Math.floor(Math.random() * 0x1_0000_0000))
    const next = random(seed)
    const dispatcher = Effect.runSync(Dispatcher.make)
    const bits = [Readiness.Readable, Readiness.Writable, Readiness.ReadClosed, Readiness.Error]
    /** The readiness that waits of each id, and whether the queue has it. */
    const waiting = new Map<number, { bits: number; handedOver: boolean }>()
    const handedOver = () => Array.from(waiting.values()).filter((each) => each.handedOver).length
    let lastId = 0x1_0000_0000
    const live: Array<number> = []
    for (let step = 0; step < times(5000, 50_000); step++) {
      const dice = next()
      const id = live[Math.floor(next() * live.length)]
      if (id === undefined || (dice < 0.1 && live.length < 20)) {
        live.push(++lastId)
        dispatcher.add(lastId, lastId - 0x1_0000_0000, false)
      } else if (dice < 0.5) {
        const readiness = bits[Math.floor(next() * bits.length)]!
        accept(dispatcher, id, readiness)
        const there = waiting.get(id)
        if (there === undefined) waiting.set(id, { bits: readiness, handedOver: false })
        else there.bits |= readiness
      } else if (dice < 0.6) {
        dispatcher.remove(dispatcher.registrations.byId(id)!)
        live.splice(live.indexOf(id), 1)
        waiting.delete(id)
      } else if (dice < 0.8) {
        dispatcher.flush()
        for (const each of waiting.values()) each.handedOver = true
      } else {
        const count = Math.min(Math.floor(next() * 4), handedOver())
        for (let i = 0; i < count; i++) {
          const taken = Effect.runSync(Queue.take(dispatcher.queue.queue))
          // Each id comes once, with its merged readiness. Taking back may change the order.
          expect(waiting.get(taken.id), `step ${step} of MODEL_SEED=${seed}`).toEqual({
            bits: bitsOf(taken),
            handedOver: true
          })
          waiting.delete(taken.id)
        }
      }
      expect(dispatcher.queue.length, `step ${step} of MODEL_SEED=${seed}`).toBe(handedOver())
    }
  })
})
