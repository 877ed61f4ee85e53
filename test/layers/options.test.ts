/** The options of registrations and pollers: modes, sizes, threads. And the statistics. */
import { NodeWorker } from "@effect/platform-node"
import { describe, expect, it, vi } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Metric, Queue, Scope, Stream } from "effect"
import { Poller, Registrar } from "effect-amy"
import * as EffectWorker from "effect/workers/Worker"
import { once } from "node:events"
import * as Kernel from "../support/kernel.ts"
import { describeLayers, idsReadyNow, type PollerLayer, readyNow } from "../support/layers.ts"
import type { Request, Response } from "../support/nodeWorker.ts"
import { describeEveryLayer, until } from "../support/observe.ts"
import { startThread, startWorker } from "../support/threads.ts"
import { notLinux, onLinux } from "../support/platform.ts"

const sources = (count: number) =>
  Effect.acquireRelease(
    Effect.sync(() => Array.from({ length: count }, Kernel.source)),
    (fds) => Effect.sync(() => fds.forEach(Kernel.close))
  )

const tcpPair = Effect.acquireRelease(Effect.sync(Kernel.tcpPair), (pair) =>
  Effect.sync(() => pair.forEach(Kernel.close))
)

const ascending = (ids: Iterable<number>): Array<number> => [...ids].toSorted((a, b) => a - b)

describeEveryLayer("priority", (layer) => {
  it.live("out-of-band data of a TCP socket is reported with the flag priority", () =>
    Effect.gen(function* () {
      const [ours, theirs] = yield* tcpPair
      const id = yield* Registrar.register(ours, "Read", { priority: true })
      expect(yield* readyNow).toEqual([])
      Kernel.sendOutOfBand(theirs)
      const reported = yield* readyNow
      // It is neither readable nor writable, so the event is "Both".
      expect(reported.map((each) => [each.id, each.priority, each.event])).toEqual([[id, true, "Both"]])
      expect(reported.some((each) => each.readClosed || each.writeClosed || each.error)).toBe(false)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("a registration without priority does not report it, until reregister asks for it", () =>
    Effect.gen(function* () {
      const [ours, theirs] = yield* tcpPair
      const id = yield* Registrar.register(ours, "Read")
      Kernel.sendOutOfBand(theirs)
      expect(yield* readyNow).toEqual([])
      Kernel.write(theirs, 1)
      expect((yield* readyNow).map((each) => [each.priority, each.event])).toEqual([[false, "Read"]])
      yield* Registrar.reregister(ours, id, "Read", { priority: true })
      expect((yield* readyNow).map((each) => [each.id, each.priority])).toEqual([[id, true]])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("ordinary data is not reported with the flag priority", () =>
    Effect.gen(function* () {
      const [ours, theirs] = yield* tcpPair
      yield* Registrar.register(ours, "Both", { priority: true })
      Kernel.write(theirs, 1)
      expect((yield* readyNow).map((each) => [each.priority, each.event])).toEqual([[false, "Both"]])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )
})

/** Counts over many edges of one descriptor how many of two pollers have reported it. */
const countOfTwo = Effect.fnUntraced(function* (layer: PollerLayer, options: Registrar.RegisterOptions, edges: number) {
  const scope = yield* Scope.Scope
  const [fd] = (yield* sources(1)) as [number]
  const open = Effect.map(Layer.buildWithScope(layer, scope), (context) => ({
    poller: Context.get(context, Poller.Poller),
    registrar: Context.get(context, Registrar.Registrar)
  }))
  const [one, two] = yield* Effect.all([open, open])
  yield* one.registrar.register(fd, "Read", options)
  yield* two.registrar.register(fd, "Read", options)
  const counts = { none: 0, one: 0, both: 0 }
  for (let edge = 0; edge < edges; edge++) {
    Kernel.signal(fd)
    const heard = (yield* one.poller.wait(0)).length + (yield* two.poller.wait(0)).length
    if (heard === 0) counts.none++
    else if (heard === 1) counts.one++
    else counts.both++
    Kernel.drain(fd)
  }
  return counts
})

describe("exclusive", () => {
  it.live.skipIf(notLinux)(
    onLinux("EPOLLEXCLUSIVE", "an edge may wake only one of two pollers that are blocked in the kernel"),
    () =>
      Effect.gen(function* () {
        const counts = yield* countOfTwo(Poller.layerWorker(), { exclusive: true }, 300)
        // The kernel wakes only one of the threads that are blocked. Threads that are about to block
        // see the edge, too.
        expect(counts.none).toBe(0)
        expect(counts.one).toBeGreaterThan(0)
      }).pipe(Effect.scoped)
  )

  it.live("without the option, an edge wakes both", () =>
    Effect.gen(function* () {
      expect(yield* countOfTwo(Poller.layerWorker(), {}, 300)).toEqual({ none: 0, one: 0, both: 300 })
    }).pipe(Effect.scoped)
  )
})

describeEveryLayer("exclusive", (layer) => {
  it.live.skipIf(notLinux)(
    onLinux("EPOLLEXCLUSIVE", "an exclusive registration reports as any other, and deregister removes it"),
    () =>
      Effect.gen(function* () {
        const [fd] = (yield* sources(1)) as [number]
        const id = yield* Registrar.register(fd, "Read", { exclusive: true })
        for (let i = 0; i < 3; i++) {
          Kernel.signal(fd)
          expect(yield* idsReadyNow).toEqual([id])
          expect(yield* idsReadyNow).toEqual([])
        }
        yield* Registrar.deregister(fd)
        Kernel.signal(fd)
        expect(yield* idsReadyNow).toEqual([])
      }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live.skipIf(notLinux)(
    onLinux("EPOLLEXCLUSIVE", "an exclusive registration can be neither oneshot nor priority, and cannot be changed"),
    () =>
      Effect.gen(function* () {
        const [fd, other] = (yield* sources(2)) as [number, number]
        const refusals = [
          Registrar.register(fd, "Read", { exclusive: true, mode: "oneshot" }),
          Registrar.register(fd, "Read", { exclusive: true, priority: true })
        ]
        for (const refusal of refusals) expect((yield* Effect.flip(refusal)).reason._tag).toBe("InvalidArgument")
        const id = yield* Registrar.register(fd, "Read", { exclusive: true })
        expect((yield* Effect.flip(Registrar.reregister(fd, id, "Both"))).reason._tag).toBe("InvalidArgument")
        const plain = yield* Registrar.register(other, "Read")
        const change = Registrar.reregister(other, plain, "Read", { exclusive: true })
        expect((yield* Effect.flip(change)).reason._tag).toBe("InvalidArgument")
        // The registrations are unchanged.
        Kernel.signal(fd)
        Kernel.signal(other)
        expect(yield* idsReadyNow).toEqual([id, plain])
      }).pipe(Effect.scoped, Effect.provide(layer()))
  )
})

describeEveryLayer("sizes", (layer) => {
  for (const options of [{ batchSize: 1 }, { mailboxSize: 1 }, { batchSize: 1, mailboxSize: 1 }, { batchSize: 3 }]) {
    it.live(`a poller with ${JSON.stringify(options)} loses nothing`, () =>
      Effect.gen(function* () {
        const fds = yield* sources(100)
        const ids = yield* Effect.forEach(fds, (fd) => Registrar.register(fd, "Read"))
        for (let round = 0; round < 5; round++) {
          fds.forEach(Kernel.signal)
          expect(yield* idsReadyNow).toEqual(ids)
          expect(yield* idsReadyNow).toEqual([])
        }
      }).pipe(Effect.scoped, Effect.provide(layer(options)))
    )
  }

  it.live("an invalid size is refused, and the error names the option", () =>
    Effect.gen(function* () {
      for (const [name, value] of [
        ["batchSize", 0],
        ["batchSize", 65_537],
        ["mailboxSize", -1],
        ["mailboxSize", 1.5],
        ["mailboxSize", Number.NaN],
        ["maxThreads", 2048]
      ] as const) {
        const error = yield* Effect.flip(Effect.scoped(Layer.build(layer({ [name]: value }))))
        expect(error.reason._tag).toBe("InvalidArgument")
        expect(error.message).toContain(`invalid ${name} ${value}`)
      }
    })
  )
})

describeLayers("statistics", (layer, layerName) => {
  const figures = ["notifications", "merged", "batches", "waits", "wakeups", "overflows", "registrations"] as const

  /**
   * Returns this poller's series of a metric. An attached layer has its own beside those of its
   * poller.
   */
  const seriesOf = (name: string) => {
    const kind = { layerWorker: "worker", layerEventLoop: "event-loop", "layerAttach to a layerWorker": "attached" }
    return Effect.map(Metric.snapshot, (all) =>
      all.filter(
        (each) => each.id === `effect_amy_${name}` && each.attributes?.["poller"]?.startsWith(`${kind[layerName]}-`)
      )
    )
  }

  it.live("stats count the events, and the metrics have the same values", () =>
    Effect.gen(function* () {
      const { queue, stats } = yield* Poller.Poller
      const fds = yield* sources(10)
      yield* Effect.forEach(fds, (fd) => Registrar.register(fd, "Read"))
      yield* Registrar.deregister(fds[9]!)
      expect(yield* stats).toMatchObject({ notifications: 0, merged: 0, batches: 0, overflows: 0, registrations: 9 })

      for (let round = 1; round <= 5; round++) {
        fds.forEach(Kernel.signal)
        expect((yield* readyNow).length).toBe(9)
        const { batches, notifications } = yield* stats
        expect(notifications).toBe(9 * round)
        expect(batches).toBeGreaterThanOrEqual(round)
        expect(batches).toBeLessThanOrEqual(notifications)
      }
      // One notification stays in the queue, and a second edge merges into it.
      Kernel.signal(fds[0]!)
      yield* Queue.peek(queue)
      Kernel.signal(fds[0]!)
      yield* until(() => Effect.runSync(stats).merged === 1)

      const before = yield* stats
      const states = yield* Effect.forEach(figures, seriesOf)
      const after = yield* stats
      expect(before).toMatchObject({ notifications: 46, merged: 1, overflows: 0, registrations: 9 })
      expect(before.waits).toBeGreaterThan(0)
      for (const [index, series] of states.entries()) {
        expect(series.length).toBe(1)
        const { type } = series[0]!
        const state = series[0]!.state as { readonly count?: number; readonly value?: number }
        const name = figures[index]!
        expect(type).toBe(name === "registrations" ? "Gauge" : "Counter")
        const value = state.count ?? state.value
        // The polling thread may have counted further meanwhile.
        expect(value).toBeGreaterThanOrEqual(before[name])
        expect(value).toBeLessThanOrEqual(after[name])
      }
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("what goes straight to its consumer counts as well, before that runs", () =>
    Effect.gen(function* () {
      const { stats } = yield* Poller.Poller
      const [fd] = yield* sources(1)
      const seen: Array<readonly [notifications: number, batches: number]> = []
      const look = Effect.map(stats, ({ batches, notifications }) => seen.push([notifications, batches]))
      const watching = Stream.runForEach(Registrar.watch(fd!, "Read"), () => look)
      yield* Effect.forkChild(watching, { startImmediately: true })
      for (let round = 1; round <= 5; round++) {
        Kernel.signal(fd!)
        yield* until(() => seen.length === round)
      }
      expect(seen).toEqual([1, 2, 3, 4, 5].map((count) => [count, count]))
      expect(yield* stats).toMatchObject({ notifications: 5, batches: 5, merged: 0 })

      // Reports for the queue that come with others are in the same batch.
      const others = yield* sources(3)
      yield* Effect.forEach(others, (other) => Registrar.register(other, "Read"))
      for (const each of [fd!, ...others]) Kernel.signal(each)
      expect((yield* readyNow).length).toBe(3)
      yield* until(() => seen.length === 6)
      const { batches, notifications } = yield* stats
      expect(notifications).toBe(9)
      expect(batches).toBeGreaterThan(5)
      expect(batches).toBeLessThanOrEqual(9)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("the metrics end with the poller", () =>
    Effect.gen(function* () {
      yield* Effect.provide(
        Effect.map(seriesOf("waits"), (series) => expect(series.length).toBe(1)),
        Layer.fresh(layer())
      )
      expect(yield* seriesOf("waits")).toEqual([])
    })
  )
})

describe("statistics of a full mailbox", () => {
  it.live("overflows are counted, and nothing is lost", () =>
    Effect.gen(function* () {
      const { stats } = yield* Poller.Poller
      const fds = yield* sources(100)
      const ids = yield* Effect.forEach(fds, (fd) => Registrar.register(fd, "Read"))
      fds.forEach(Kernel.signal)
      expect(yield* idsReadyNow).toEqual(ids)
      expect((yield* stats).overflows).toBeGreaterThan(0)
    }).pipe(Effect.scoped, Effect.provide(Poller.layerWorker({ mailboxSize: 1 })))
  )
})

describeLayers("several threads", (layer) => {
  it.live("each thread receives the notifications of its own registrations, and no others", () =>
    Effect.gen(function* () {
      const { handle, stats } = yield* Poller.Poller
      const threads = yield* Effect.all([startThread(handle), startThread(handle), startThread(handle)], {
        concurrency: "unbounded"
      })
      const groups = yield* Effect.forEach(threads, (thread) =>
        Effect.flatMap(sources(50), (fds) =>
          Effect.map(thread.call("registerAll", fds, "Read"), (ids) => ({ thread, fds, ids }))
        )
      )
      const mine = yield* sources(50)
      const myIds = yield* Effect.forEach(mine, (fd) => Registrar.register(fd, "Read"))
      expect((yield* stats).registrations).toBe(200)
      for (let round = 0; round < 5; round++) {
        for (let i = 0; i < 50; i++) for (const { fds } of groups) Kernel.signal(fds[i]!)
        mine.forEach(Kernel.signal)
        for (const { ids, thread } of groups) {
          expect(ascending((yield* thread.call("wait", 0)).map(({ id }) => id))).toEqual(ids)
        }
        expect(yield* idsReadyNow).toEqual(myIds)
      }
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("no more than maxThreads can attach, and a place can be reused", () =>
    Effect.gen(function* () {
      const { handle } = yield* Poller.Poller
      const attach = Layer.build(Layer.fresh(Poller.layerAttach(handle)))
      yield* Effect.scoped(
        Effect.gen(function* () {
          // The test itself has one of the three places, or two if it is attached.
          const results = yield* Effect.all([1, 2, 3].map(() => Effect.exit(attach)))
          expect(results.some(Exit.isSuccess)).toBe(true)
          const refused = yield* Effect.flip(attach)
          expect(refused.reason._tag).toBe("LimitReached")
          expect(refused.message).toContain("maxThreads")
        })
      )
      yield* Effect.scoped(attach)
    }).pipe(Effect.provide(layer({ maxThreads: 3 })))
  )
})

describe("several threads", () => {
  it.live("a thread that only polls, with layerBlocking, delivers to the threads that attach to it", () =>
    Effect.gen(function* () {
      const worker = startWorker("blockingThread")
      const exited = once(worker, "exit")
      const [handle] = (yield* Effect.promise(() => once(worker, "message"))) as [Poller.PollerHandle]
      yield* Effect.gen(function* () {
        const { wait } = yield* Poller.Poller
        const fds = yield* sources(20)
        const ids = yield* Effect.forEach(fds, (fd) => Registrar.register(fd, "Read"))
        for (let round = 0; round < 5; round++) {
          Kernel.signal(fds[round]!)
          expect((yield* wait("20 seconds")).map(({ id }) => id)).toEqual([ids[round]])
        }
        fds.forEach(Kernel.signal)
        expect(yield* idsReadyNow).toEqual(ids)
      }).pipe(Effect.scoped, Effect.provide(Poller.layerAttach(handle)))
      worker.postMessage("end")
      expect(yield* Effect.promise(() => exited)).toEqual([0])
    })
  )

  it.live("a thread that Effect starts (NodeWorker) attaches by a handle in a message", () =>
    Effect.gen(function* () {
      const { handle, stats } = yield* Poller.Poller
      const platform = yield* EffectWorker.WorkerPlatform
      const worker = yield* platform.spawn<Response, Request>(0)
      const response = yield* Deferred.make<Response>()
      const running = yield* Effect.forkChild(worker.run((message) => Deferred.succeed(response, message)))
      const [fd] = (yield* sources(1)) as [number]
      yield* worker.send({ handle, fd })
      yield* until(() => Effect.runSync(stats).registrations === 1)
      Kernel.signal(fd)
      const { id, reported } = yield* Deferred.await(response)
      expect(id).toBe(1)
      expect(reported.map((each) => [each.id, each.event])).toEqual([[1, "Read"]])
      expect(yield* readyNow).toEqual([])
      expect((yield* stats).registrations).toBe(0)
      yield* Fiber.interrupt(running)
    }).pipe(
      Effect.scoped,
      Effect.provide(NodeWorker.layer(() => startWorker("nodeWorker"))),
      Effect.provide(Poller.layerWorker())
    )
  )
})

describe("mailboxes for which there is no memory", () => {
  it.live("fail with LimitReached, and nothing stays open", () =>
    Effect.gen(function* () {
      const before = Kernel.openDescriptors()
      yield* Effect.acquireRelease(
        Effect.sync(() =>
          vi.stubGlobal(
            "SharedArrayBuffer",
            // It must be a function, because it is called with `new`.
            vi.fn(function () {
              throw new RangeError("Array buffer allocation failed")
            })
          )
        ),
        () => Effect.sync(() => vi.unstubAllGlobals())
      )
      for (const layer of [Poller.layerWorker, Poller.layerEventLoop]) {
        const error = yield* Effect.flip(
          Effect.provide(Poller.Poller, layer({ maxThreads: 2000, mailboxSize: 1 << 20 }))
        )
        expect(error.reason._tag).toBe("LimitReached")
        expect(error.message).toContain("2000 mailboxes of 1048576 entries")
      }
      expect(Kernel.openDescriptors()).toEqual(before)
    }).pipe(Effect.scoped)
  )
})
