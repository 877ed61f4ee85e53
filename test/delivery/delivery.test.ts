/** Nothing is lost, memory is bounded, and a slow consumer delays no other. */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Queue, Stream } from "effect"
import { type Notification, Poller, Registrar } from "effect-amy"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { blockUntilOpen, openGate } from "../support/attachedThread.ts"
import * as Kernel from "../support/kernel.ts"
import { describeLayers, idsReadyNow, layerAttached, type PollerLayer, readyNow, rowsHere } from "../support/layers.ts"
import { times } from "../support/long.ts"
import { until } from "../support/observe.ts"
import { makeGate, startThread } from "../support/threads.ts"

/** A descriptor to register, a function that makes it ready, and all descriptors to close. */
interface Source {
  readonly fd: number
  readonly makeReady: () => void
  readonly fds: ReadonlyArray<number>
}

const source = (): Source => {
  const fd = Kernel.source()
  return { fd, makeReady: () => Kernel.signal(fd), fds: [fd] }
}

const pipe = (): Source => {
  const [fd, writer] = Kernel.pipe()
  return { fd, makeReady: () => void Kernel.write(writer, 1), fds: [fd, writer] }
}

const socket = (): Source => {
  const [fd, peer] = Kernel.socketPair()
  return { fd, makeReady: () => void Kernel.write(peer, 1), fds: [fd, peer] }
}

const sources = (makes: ReadonlyArray<readonly [count: number, make: () => Source]>) =>
  Effect.acquireRelease(
    Effect.sync(() => makes.flatMap(([count, make]) => Array.from({ length: count }, make))),
    (all) => Effect.sync(() => all.forEach(({ fds }) => fds.forEach(Kernel.close)))
  )

const registerAll = (all: ReadonlyArray<Source>) => Effect.forEach(all, ({ fd }) => Registrar.register(fd, "Read"))

const ascending = (ids: Iterable<number>): Array<number> => [...ids].toSorted((a, b) => a - b)

const ascendingIds = (all: Iterable<Notification.Notification>) => ascending(Array.from(all, ({ id }) => id))

setFlagsFromString("--expose-gc")
const collectGarbage = runInNewContext("gc") as () => void

/** Returns the bytes in use: of JavaScript's heap, and of the whole process. */
const memory = (): { readonly heap: number; readonly resident: number } => {
  collectGarbage()
  const { heapUsed, rss } = process.memoryUsage()
  return { heap: heapUsed, resident: rss }
}

const mebibyte = 1 << 20

/** Waits for the next turn of the event loop. */
const turn = Effect.promise(() => new Promise(setImmediate))

describe("promise 4: nothing is lost with thousands of descriptors", () => {
  const layers = rowsHere<PollerLayer>({
    layerWorker: Poller.layerWorker(),
    layerEventLoop: Poller.layerEventLoop(),
    "layerWorker with a mailbox of one entry": Poller.layerWorker({ mailboxSize: 1 }),
    "layerEventLoop with batches of seven": Poller.layerEventLoop({ batchSize: 7 })
  })
  // The other ends of the pipes and sockets are not registered.
  const count = times(2000, 10_000)
  const mix = sources([
    [count / 4, pipe],
    [count / 4, socket],
    [count / 2, source]
  ])

  for (const [name, layer] of Object.entries(layers)) {
    it.live(`waits report each descriptor exactly once in each round (${name})`, () =>
      Effect.gen(function* () {
        const all = yield* mix
        const ids = yield* registerAll(all)
        expect(yield* idsReadyNow).toEqual([])
        for (let round = 0; round < 3; round++) {
          for (const each of all) each.makeReady()
          expect(yield* idsReadyNow).toEqual(ids)
          expect(yield* idsReadyNow).toEqual([])
          // Every second round leaves the data unread. More data is an edge nevertheless.
          if (round % 2 === 0) for (const { fd } of all) Kernel.read(fd)
        }
      }).pipe(Effect.scoped, Effect.provide(layer))
    )

    it.live(`the stream reports each descriptor exactly once in each round (${name})`, () =>
      Effect.gen(function* () {
        const poller = yield* Poller.Poller
        const all = yield* mix
        const ids = yield* registerAll(all)
        for (let round = 0; round < 2; round++) {
          const consumer = yield* Effect.forkChild(
            poller.notifications.pipe(Stream.take(ids.length), Stream.runCollect, Effect.map(ascendingIds)),
            { startImmediately: true }
          )
          // The descriptors become ready one after the other, while the poller reports.
          yield* Effect.forEach(all, (each) => Effect.sync(each.makeReady))
          expect(yield* Fiber.join(consumer)).toEqual(ids)
          expect(yield* idsReadyNow).toEqual([])
          for (const { fd } of all) Kernel.read(fd)
        }
      }).pipe(Effect.scoped, Effect.provide(layer))
    )
  }
})

/** The number of edges of each socket during which a consumer sleeps. */
const edges = times(20, 100)

/**
 * A thousand sockets, and functions that make one edge of each: a byte, and in the last round the
 * end.
 */
const asleep = Effect.gen(function* () {
  const pairs = yield* Effect.acquireRelease(
    Effect.sync(() => Array.from({ length: 1000 }, Kernel.socketPair)),
    (pairs) => Effect.sync(() => pairs.flat().forEach(Kernel.close))
  )
  return {
    fds: pairs.map(([ours]) => ours),
    rounds: Array.from({ length: edges }, (_, round) => () => {
      for (const [, theirs] of pairs) {
        if (round < edges - 1) Kernel.write(theirs, 1)
        else Kernel.shutdownWrite(theirs)
      }
    })
  }
})

/** Expects the last edge of each to be among the notifications. Only that one has the end. */
const expectLastEdges = (
  reported: ReadonlyArray<Pick<Notification.Notification, "id" | "readClosed">>,
  ids: ReadonlyArray<number>
) => {
  const ended = new Set(reported.filter(({ readClosed }) => readClosed).map(({ id }) => id))
  expect(ascending(ended)).toEqual(ids)
}

describe("promise 4: a consumer sleeps through many thousand edges", () => {
  const layers = rowsHere<PollerLayer>({
    layerWorker: Poller.layerWorker({ mailboxSize: 1 }),
    layerEventLoop: Poller.layerEventLoop({ mailboxSize: 1 }),
    "layerAttach to a layerWorker": layerAttached({ mailboxSize: 1 })
  })
  for (const [name, layer] of Object.entries(layers)) {
    it.live(`another thread gets its notifications while this one takes none (${name})`, () =>
      Effect.gen(function* () {
        const { handle, queue, stats } = yield* Poller.Poller
        const thread = yield* startThread(handle)
        const others = yield* sources([[100, source]])
        const otherIds = yield* thread.call(
          "registerAll",
          others.map(({ fd }) => fd),
          "Read"
        )
        const { fds, rounds } = yield* asleep
        const ids = yield* Effect.forEach(fds, (fd) => Registrar.register(fd, "Read"))
        // The first round prepares what the measurement must not include.
        rounds[0]!()
        yield* until(() => Queue.sizeUnsafe(queue) === 1000)
        const before = memory()
        for (const makeEdges of rounds.slice(1)) {
          makeEdges()
          for (const { makeReady } of others) makeReady()
          // The other thread receives in every round, while this one takes nothing.
          const reported = yield* thread.call("collect", otherIds)
          expect(new Set(reported.map(({ id }) => id)).size).toBe(100)
          expect(Queue.sizeUnsafe(queue)).toBe(1000)
        }
        const after = memory()
        expect(after.heap - before.heap).toBeLessThan(8 * mebibyte)
        expect(after.resident - before.resident).toBeLessThan(96 * mebibyte)
        expect((yield* stats).merged).toBeGreaterThan(0)

        const reported = yield* readyNow
        expect(ascending(reported.map(({ id }) => id))).toEqual(ids)
        expectLastEdges(reported, ids)
        expect(yield* readyNow).toEqual([])
      }).pipe(Effect.scoped, Effect.provide(layer))
    )
  }

  for (const [name, layer] of Object.entries(
    rowsHere({
      layerWorker: Poller.layerWorker({ mailboxSize: 1 }),
      layerEventLoop: Poller.layerEventLoop({ mailboxSize: 1 })
    })
  )) {
    it.live(`other threads get their notifications while a thread is blocked (${name})`, () =>
      Effect.gen(function* () {
        const { handle } = yield* Poller.Poller
        const [sleeper, awake] = yield* Effect.all([startThread(handle), startThread(handle)])
        const others = yield* sources([[100, source]])
        const otherIds = yield* awake.call(
          "registerAll",
          others.map(({ fd }) => fd),
          "Read"
        )
        const mine = yield* sources([[100, source]])
        const myIds = yield* registerAll(mine)
        const { fds, rounds } = yield* asleep
        const ids = yield* sleeper.call("registerAll", fds, "Read")

        const gate = makeGate()
        const sleep = yield* Effect.forkChild(sleeper.call("blockUntilOpen", gate.buffer), { startImmediately: true })
        yield* gate.reached
        const before = memory()
        for (const makeEdges of rounds) {
          makeEdges()
          for (const { makeReady } of others) makeReady()
          yield* awake.call("collect", otherIds)
          for (const { makeReady } of mine) makeReady()
          expect(yield* idsReadyNow).toEqual(myIds)
        }
        const after = memory()
        expect(after.heap - before.heap).toBeLessThan(8 * mebibyte)
        expect(after.resident - before.resident).toBeLessThan(96 * mebibyte)

        openGate(gate.buffer)
        expect(yield* Fiber.join(sleep)).toBe(true)
        const reported = yield* sleeper.call("wait", 0)
        expect(ascending(reported.map(({ id }) => id))).toEqual(ids)
        expectLastEdges(reported, ids)
        expect(yield* sleeper.call("wait", 0)).toEqual([])
        // The poller has kept one entry in the mailbox, and one of each registration.
        const { merged, notifications } = yield* sleeper.call("stats")
        expect(notifications + merged).toBeLessThanOrEqual(1001)
      }).pipe(Effect.scoped, Effect.provide(layer))
    )
  }

  it.live("another thread gets its notifications while this one is blocked (layerWorker)", () =>
    Effect.gen(function* () {
      const { handle } = yield* Poller.Poller
      const thread = yield* startThread(handle)
      const mine = yield* sources([[1000, source]])
      const ids = yield* registerAll(mine)
      const others = yield* sources([[100, source]])
      const otherFds = others.map(({ fd }) => fd)
      const otherIds = yield* thread.call("registerAll", otherFds, "Read")

      // The thread makes all edges itself, first those of this thread. It unblocks this thread once
      // it has its own.
      const gate = makeGate()
      const work = yield* Effect.forkChild(
        Effect.all(
          [
            thread.call(
              "signal",
              mine.map(({ fd }) => fd),
              edges
            ),
            thread.call("signal", otherFds),
            thread.call("collectAndOpen", otherIds, gate.buffer)
          ],
          { concurrency: "unbounded" }
        ),
        { startImmediately: true }
      )
      expect(blockUntilOpen(gate.buffer)).toBe(true)
      const [, , reported] = yield* Fiber.join(work)
      expect(ascending(reported.map(({ id }) => id))).toEqual(otherIds)
      expect(yield* idsReadyNow).toEqual(ids)
      expect(yield* idsReadyNow).toEqual([])
    }).pipe(Effect.scoped, Effect.provide(Poller.layerWorker({ mailboxSize: 1 })))
  )
})

const untilMerged = (count: number) =>
  Effect.gen(function* () {
    const { stats } = yield* Poller.Poller
    yield* until(() => Effect.runSync(stats).merged >= count)
    expect((yield* stats).merged).toBe(count)
  })

describeLayers("promise 4: pending readiness of one id is merged", (layer) => {
  it.live("reports at different times are one notification", () =>
    Effect.gen(function* () {
      const { queue, stats } = yield* Poller.Poller
      const [ours, theirs] = Kernel.socketPair()
      const id = yield* Registrar.register(ours, "Both")
      yield* Queue.peek(queue)
      expect((yield* stats).merged).toBe(0)
      Kernel.write(theirs, 1)
      yield* untilMerged(1)
      Kernel.shutdownWrite(theirs)
      yield* untilMerged(2)
      expect(Queue.sizeUnsafe(queue)).toBe(1)
      const reported = yield* readyNow
      expect(reported.map((each) => [each.id, each.event, each.readClosed])).toEqual([[id, "Both", true]])
      expect(yield* readyNow).toEqual([])
      yield* Registrar.deregister(ours)
      Kernel.close(ours)
      Kernel.close(theirs)
    }).pipe(Effect.provide(layer()))
  )

  it.live("a notification does not change after it was taken, and the next edge is another notification", () =>
    Effect.gen(function* () {
      const { queue } = yield* Poller.Poller
      const [ours, theirs] = Kernel.socketPair()
      const id = yield* Registrar.register(ours, "Read")
      Kernel.write(theirs, 1)
      const first = yield* Queue.take(queue)
      Kernel.shutdownWrite(theirs)
      const second = yield* Queue.take(queue)
      expect([first.id, second.id]).toEqual([id, id])
      expect([first.readClosed, second.readClosed]).toEqual([false, true])
      expect(second).not.toBe(first)
      yield* Registrar.deregister(ours)
      Kernel.close(ours)
      Kernel.close(theirs)
    }).pipe(Effect.provide(layer()))
  )
})

describeLayers("competing consumers", (layer) => {
  it.live("each notification goes to one consumer, whatever the ways of taking", () =>
    Effect.gen(function* () {
      const poller = yield* Poller.Poller
      const all = yield* sources([[300, source]])
      const ids = yield* registerAll(all)
      const taken: Array<number> = []
      const note = ({ id }: Notification.Notification) => Effect.sync(() => void taken.push(id))
      const consumers = yield* Effect.all(
        [
          Effect.forever(Effect.flatMap(Queue.take(poller.queue), note)),
          Effect.forever(Effect.flatMap(Queue.take(poller.queue), note)),
          Effect.forever(Effect.flatMap(Queue.takeAll(poller.queue), (some) => Effect.forEach(some, note))),
          Effect.forever(Effect.flatMap(poller.wait("1 minute"), (some) => Effect.forEach(some, note))),
          Stream.runForEach(poller.notifications, note),
          Stream.runForEach(poller.notifications, note)
        ].map((consumer) => Effect.forkChild(consumer, { startImmediately: true }))
      )
      for (let round = 1; round <= 20; round++) {
        for (const [index, { makeReady }] of all.entries()) {
          makeReady()
          // Some are reported alone, and some together.
          if (index % 7 === round % 7) yield* turn
        }
        yield* until(() => taken.length >= ids.length)
        // No notification is left, and none was taken twice.
        expect(yield* idsReadyNow).toEqual([])
        expect(ascending(taken)).toEqual(ids)
        taken.length = 0
      }
      for (const consumer of consumers) yield* Fiber.interrupt(consumer)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )
})

describeLayers("the steps of a consumer", (layer) => {
  it.live("a promise that a consumer makes is resolved without another event", () =>
    Effect.gen(function* () {
      const { queue } = yield* Poller.Poller
      const [{ fd, makeReady }] = (yield* sources([[1, source]])) as [Source]
      const id = yield* Registrar.register(fd, "Read")
      // Nothing else happens in this process meanwhile. A promise that is not resolved in one round
      // would end it all.
      for (let round = 0; round < times(200, 1000); round++) {
        const taker = yield* Effect.forkChild(Queue.take(queue), { startImmediately: true })
        makeReady()
        expect((yield* Fiber.join(taker)).id).toBe(id)
        yield* Effect.promise(() => Promise.resolve())
      }
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )
})
