/** Amy's own tests, for this library. */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Option } from "effect"
import { PollChannel, Poller, Registrar } from "effect-amy"
import { once } from "node:events"
import { connect } from "node:net"
import * as Kernel from "./support/kernel.ts"
import { readyNow, rowsHere } from "./support/layers.ts"
import { outcome } from "./support/opened.ts"
import { startWorker } from "./support/threads.ts"
import { said } from "./support/said.ts"

const wait = (timeout: number) => Effect.flatMap(Poller.Poller, (poller) => poller.wait(timeout))

/** Waits for a notification, much longer than any is late. */
const reported = Effect.map(wait(60_000), (notifications) => notifications.map(said))

const read = (id: number) => [{ id, event: "Read", flags: [] }]

const scopedDescriptors = (make: () => ReadonlyArray<number>) =>
  Effect.acquireRelease(Effect.sync(make), (fds) => Effect.sync(() => fds.forEach(Kernel.close)))

for (const [name, layer] of Object.entries(
  rowsHere({
    layerWorker: Poller.layerWorker(),
    layerEventLoop: Poller.layerEventLoop()
  })
)) {
  describe(`amy's channel tests (${name})`, () => {
    it.live("a sent message wakes the poller, and can be received", () =>
      Effect.gen(function* () {
        const { receiver, sender } = yield* PollChannel.unbounded<string>()
        expect(yield* readyNow).toEqual([])
        const waiting = yield* Effect.forkChild(reported, { startImmediately: true })
        yield* sender.send("a")
        expect(yield* Fiber.join(waiting)).toEqual(read(receiver.id))
        expect(yield* receiver.tryReceive).toEqual(Option.some("a"))
        expect(yield* receiver.tryReceive).toEqual(Option.none())
      }).pipe(Effect.scoped, Effect.provide(layer))
    )

    it.live("several messages wake the poller once", () =>
      Effect.gen(function* () {
        const { receiver, sender } = yield* PollChannel.unbounded<string>()
        yield* sender.send("a")
        yield* sender.send("b")
        expect(yield* reported).toEqual(read(receiver.id))
        expect(yield* receiver.tryReceive).toEqual(Option.some("a"))
        expect(yield* receiver.tryReceive).toEqual(Option.some("b"))
        expect(yield* readyNow).toEqual([])
      }).pipe(Effect.scoped, Effect.provide(layer))
    )

    it.live("a message between the notification and the receiving does not wake it again", () =>
      Effect.gen(function* () {
        const { receiver, sender } = yield* PollChannel.unbounded<string>()
        yield* sender.send("a")
        expect(yield* reported).toEqual(read(receiver.id))
        yield* sender.send("b")
        expect(yield* receiver.tryReceive).toEqual(Option.some("a"))
        expect(yield* receiver.tryReceive).toEqual(Option.some("b"))
        expect(yield* readyNow).toEqual([])
      }).pipe(Effect.scoped, Effect.provide(layer))
    )

    it.live(
      "a channel that was not found empty is not reported again, and its next message is received with the last",
      () =>
        Effect.gen(function* () {
          const { receiver, sender } = yield* PollChannel.unbounded<string>()
          yield* sender.send("a")
          expect(yield* reported).toEqual(read(receiver.id))
          expect(yield* receiver.tryReceive).toEqual(Option.some("a"))
          // Amy wakes its poller here. A receiver that empties the channel misses nothing without
          // that.
          yield* sender.send("b")
          expect(yield* readyNow).toEqual([])
          expect(yield* receiver.tryReceive).toEqual(Option.some("b"))
          expect(yield* receiver.tryReceive).toEqual(Option.none())
        }).pipe(Effect.scoped, Effect.provide(layer))
    )

    it.live("once it was found empty, the next message wakes the poller again", () =>
      Effect.gen(function* () {
        const { receiver, sender } = yield* PollChannel.unbounded<string>()
        for (const message of ["a", "b", "c"]) {
          yield* sender.send(message)
          expect(yield* reported).toEqual(read(receiver.id))
          expect(yield* receiver.tryReceive).toEqual(Option.some(message))
          expect(yield* receiver.tryReceive).toEqual(Option.none())
          expect(yield* readyNow).toEqual([])
        }
      }).pipe(Effect.scoped, Effect.provide(layer))
    )

    it.live("a bounded channel takes as many messages as its bound, and more once they are received", () =>
      Effect.gen(function* () {
        const { receiver, sender } = yield* PollChannel.bounded<string>(1)
        expect(yield* readyNow).toEqual([])
        yield* sender.send("a")
        expect(yield* reported).toEqual(read(receiver.id))
        expect(yield* sender.trySend("b")).toBe(false)
        expect(yield* receiver.tryReceive).toEqual(Option.some("a"))
        expect(yield* receiver.tryReceive).toEqual(Option.none())
        expect(yield* sender.trySend("b")).toBe(true)
        expect(yield* receiver.tryReceive).toEqual(Option.some("b"))
      }).pipe(Effect.scoped, Effect.provide(layer))
    )
  })

  describe(`amy's timer tests (${name})`, () => {
    it.live("a timeout is reported once, and not early", () =>
      Effect.gen(function* () {
        const before = performance.now()
        const id = yield* Registrar.timeout(50)
        expect(yield* reported).toEqual(read(id))
        expect(performance.now() - before).toBeGreaterThanOrEqual(50)
        expect(yield* readyNow).toEqual([])
      }).pipe(Effect.provide(layer))
    )

    it.live("an interval is reported over and over, never early, until it is cancelled", () =>
      Effect.gen(function* () {
        const before = performance.now()
        const id = yield* Registrar.interval(50)
        for (let nth = 1; nth < 5; nth++) {
          expect(yield* reported).toEqual(read(id))
          expect(performance.now() - before).toBeGreaterThanOrEqual(nth * 50)
        }
        yield* Registrar.cancelTimer(id)
        const cancelled = performance.now()
        expect(yield* wait(120)).toEqual([])
        expect(performance.now() - cancelled).toBeGreaterThanOrEqual(120)
      }).pipe(Effect.provide(layer))
    )

    it.live("the timer that is due first is reported first, and removing one leaves the other", () =>
      Effect.gen(function* () {
        const late = yield* Registrar.timeout(200)
        const removed = yield* Registrar.timeout(5)
        const early = yield* Registrar.timeout(10)
        yield* Registrar.cancelTimer(removed)
        const ids: Array<number> = []
        while (ids.length < 2) ids.push(...(yield* reported).map(({ id }) => id))
        expect(ids).toEqual([early, late])
        // In amy, this succeeds.
        expect(yield* outcome(Registrar.cancelTimer(removed))).toBe("NotRegistered")
      }).pipe(Effect.provide(layer))
    )
  })

  describe(`amy's edge-trigger test (${name})`, () => {
    it.live("a connected TCP socket is reported as writable once, even if nothing is written", () =>
      Effect.gen(function* () {
        const [client] = yield* scopedDescriptors(Kernel.tcpPair)
        const id = yield* Registrar.register(client!, "Write")
        expect(yield* reported).toEqual([{ id, event: "Write", flags: [] }])
        expect(yield* readyNow).toEqual([])
        Kernel.write(client!)
        expect(yield* readyNow).toEqual([])
      }).pipe(Effect.scoped, Effect.provide(layer))
    )
  })

  describe(`amy's multi-threaded example (${name})`, () => {
    it.live("one thread polls, another one registers and does the work, and a client gets its line back", () =>
      Effect.gen(function* () {
        const poller = yield* Poller.Poller
        const worker = startWorker("echoThread", poller.handle)
        const received: Array<unknown> = []
        const exited = once(worker, "exit")
        const port = yield* Effect.promise(
          () =>
            new Promise<number>((resolve, reject) => {
              worker.on("error", reject)
              worker.on("message", (message: { readonly port?: number }) => {
                if (message.port === undefined) received.push(message)
                else resolve(message.port)
              })
            })
        )
        const client = connect(port, "127.0.0.1")
        const echoed = yield* Effect.promise(async () => {
          await once(client, "connect")
          client.write("Hello, World!\n")
          const [bytes] = (await once(client, "data")) as [Buffer]
          return bytes.toString()
        })
        expect(echoed).toBe("Hello, World!\n")
        // The client ends after the thread, which would otherwise be notified of that.
        expect(yield* Effect.promise(() => exited)).toEqual([0])
        client.destroy()
        // The thread registers the listener first, and then its connection.
        expect(received).toEqual([[[1, "Read"]], { acceptedAgain: -1 }, [[2, "Read"]], [[2, "Write"]], { left: 0 }])
        // Neither the polling thread nor the owner of the poller received any of it.
        expect((yield* poller.stats).notifications).toBe(0)
        expect(yield* readyNow).toEqual([])
      }).pipe(Effect.provide(layer))
    )
  })
}
