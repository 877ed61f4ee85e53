/** Channels whose receiver is registered with a poller, on one thread and across threads. */
import { describe, expect, it } from "@effect/vitest"
import { Context, Duration, Effect, Exit, Fiber, Layer, Option, Scheduler, Scope, Stream } from "effect"
import { PollChannel, Poller, Registrar } from "effect-amy"
import { Counts } from "../../src/internal/channel/counts.ts"
import type { ChannelCommand, ChannelThreadData, Message } from "../support/channelThread.ts"
import * as Kernel from "../support/kernel.ts"
import { describeLayers, idsReadyNow, readyNow, someLayer } from "../support/layers.ts"
import { times } from "../support/long.ts"
import { outcomeOf, reasonOf } from "../support/outcome.ts"
import { YieldAt } from "../support/scheduler.ts"
import { start, type Thread } from "../support/thread.ts"
import { waiters } from "../support/waiters.ts"

const wait = Effect.flatMap(Poller.Poller, (poller) => poller.wait(Duration.infinity))

/** Receives everything that is there now. */
const drain = <A>(receiver: PollChannel.Receiver<A>) =>
  Effect.gen(function* () {
    const all: Array<A> = []
    for (;;) {
      const value = yield* receiver.tryReceive
      if (Option.isNone(value)) return all
      all.push(value.value)
    }
  })

/** Receives everything until all senders are gone. */
const rest = <A>(receiver: PollChannel.Receiver<A>) => Stream.runCollect(receiver.stream)

/**
 * Returns once every fiber that can run has had many turns, so that only those that wait are left.
 */
const settled = Effect.repeat(Effect.yieldNow, { times: 20 })

/** Starts a thread with a sender of its own. */
const open = (sender: PollChannel.Sender<Message>, options: Omit<ChannelThreadData, "handle">) =>
  Effect.gen(function* () {
    const handle = yield* sender.handle
    return yield* start("channelThread", { handle, ...options } satisfies ChannelThreadData, [handle.port])
  })

const opened = (sender: PollChannel.Sender<Message>, options: Omit<ChannelThreadData, "handle">) =>
  Effect.tap(open(sender, options), (thread) => Effect.map(thread.message, (message) => expect(message).toBe("open")))

const request = (thread: Thread, command: ChannelCommand) => Effect.andThen(thread.post(command), thread.message)

/** Returns the indices from each thread, in the order of arrival. */
const byName = (messages: ReadonlyArray<Message>): Record<string, ReadonlyArray<number>> => {
  const all: Record<string, Array<number>> = {}
  for (const [name, index] of messages) (all[name] ??= []).push(index)
  return all
}

const upTo = (count: number): ReadonlyArray<number> => Array.from({ length: count }, (_, index) => index)

describeLayers("promise 15: a sender wakes the poller at most once per drained batch", (layer) => {
  it.live("the first message to an empty channel is reported, and no other until it is empty again", () =>
    Effect.gen(function* () {
      const { receiver, sender, stats } = yield* PollChannel.unbounded<number>()
      expect(yield* readyNow).toEqual([])
      for (let round = 1; round <= 5; round++) {
        for (let i = 0; i < 100; i++) yield* sender.send(i)
        expect(yield* idsReadyNow).toEqual([receiver.id])
        // The notification was taken, but the channel is not empty, so there is no second report.
        yield* sender.send(100)
        expect(yield* readyNow).toEqual([])
        expect(yield* stats).toEqual({ sent: round * 101, pending: 101, triggers: round })
        expect(yield* drain(receiver)).toEqual(upTo(101))
        expect(yield* stats).toEqual({ sent: round * 101, pending: 0, triggers: round })
        expect(yield* readyNow).toEqual([])
      }
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("several threads that send at the same time cause one report for each batch", () =>
    Effect.gen(function* () {
      const { receiver, sender, stats } = yield* PollChannel.unbounded<Message>()
      const count = 3000
      for (const name of ["a", "b", "c"]) yield* open(sender, { name, commands: [{ send: count }] })
      const messages: Array<Message> = []
      let reports = 0
      let drains = 0
      while (messages.length < 3 * count) {
        for (const { id } of yield* wait) {
          expect(id).toBe(receiver.id)
          reports++
        }
        drains++
        messages.push(...(yield* drain(receiver)))
      }
      expect(byName(messages)).toEqual({ a: upTo(count), b: upTo(count), c: upTo(count) })
      const { pending, sent, triggers } = yield* stats
      expect([sent, pending]).toEqual([3 * count, 0])
      expect(triggers).toBeLessThanOrEqual(drains + 1)
      expect(reports).toBeLessThanOrEqual(triggers)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("a fiber that waits in receive gets the message, and the poller reports nothing", () =>
    Effect.gen(function* () {
      const { receiver, sender, stats } = yield* PollChannel.unbounded<number>()
      for (let i = 1; i <= 20; i++) {
        const waiting = yield* Effect.forkChild(receiver.receive, { startImmediately: true })
        yield* sender.send(i)
        expect(yield* Fiber.join(waiting)).toBe(i)
        expect(yield* drain(receiver)).toEqual([])
        expect(yield* readyNow).toEqual([])
      }
      expect((yield* stats).triggers).toBe(20)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )
})

describeLayers("promise 15: a sender never loses a message that send accepted", (layer) => {
  it.live("every value that can be cloned arrives", () =>
    Effect.gen(function* () {
      const values = [
        undefined,
        null,
        0,
        "",
        false,
        10n,
        [1, [2]],
        { a: { b: 1 } },
        new Map([[1, new Set([2])]]),
        new Uint8Array([1, 2, 3]),
        new Date(0),
        new Error("an error"),
        "x".repeat(1_000_000)
      ]
      const { receiver, sender } = yield* PollChannel.unbounded<unknown>()
      for (const value of values) yield* sender.send(value)
      expect(yield* drain(receiver)).toEqual(values)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("a value that cannot be cloned is refused, and the channel remains usable", () =>
    Effect.gen(function* () {
      const { receiver, sender, stats } = yield* PollChannel.bounded<unknown>(2)
      for (let i = 0; i < 5; i++) {
        expect(yield* reasonOf(sender.send(() => {}))).toBe("InvalidArgument")
        expect(yield* reasonOf(sender.trySend(Symbol("none")))).toBe("InvalidArgument")
      }
      expect(yield* stats).toEqual({ sent: 0, pending: 0, triggers: 0 })
      expect(yield* readyNow).toEqual([])
      // The place of each refused value was given back.
      expect([yield* sender.trySend(1), yield* sender.trySend(2), yield* sender.trySend(3)]).toEqual([
        true,
        true,
        false
      ])
      expect(yield* idsReadyNow).toEqual([receiver.id])
      expect(yield* drain(receiver)).toEqual([1, 2])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("messages sent before the sender closed are received, and then the receiver ends", () =>
    Effect.gen(function* () {
      const { receiver, sender } = yield* PollChannel.unbounded<number>()
      for (let i = 0; i < 2500; i++) yield* sender.send(i)
      yield* sender.close
      yield* sender.close
      expect(yield* reasonOf(sender.send(1))).toBe("Closed")
      expect(yield* reasonOf(sender.trySend(1))).toBe("Closed")
      expect(yield* reasonOf(sender.handle)).toBe("Closed")
      // This thread knows of the end of the port by now, although it comes after all of the
      // messages.
      yield* Effect.promise(() => new Promise((resolve) => void setImmediate(resolve)))
      expect(yield* receiver.receive).toBe(0)
      expect(yield* rest(receiver)).toEqual(upTo(2500).slice(1))
      expect(yield* reasonOf(receiver.receive)).toBe("Closed")
      expect(yield* reasonOf(receiver.tryReceive)).toBe("Closed")
      expect(yield* rest(receiver)).toEqual([])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("the end of the last sender is reported as a notification", () =>
    Effect.gen(function* () {
      const { receiver, sender } = yield* PollChannel.unbounded<number>()
      yield* sender.close
      const notifications = yield* wait
      expect(notifications.map(({ id }) => id)).toEqual([receiver.id])
      expect(yield* reasonOf(receiver.tryReceive)).toBe("Closed")
      expect(yield* readyNow).toEqual([])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("the end of the last sender resumes a waiting receiver", () =>
    Effect.gen(function* () {
      const { receiver, sender } = yield* PollChannel.unbounded<number>()
      const handle = yield* sender.handle
      const scope = yield* Scope.make()
      const second = yield* Scope.provide(PollChannel.fromHandle<number>(handle), scope)
      const waiting = yield* Effect.forkChild(reasonOf(receiver.receive), { startImmediately: true })
      const streaming = yield* Effect.forkChild(rest(receiver), { startImmediately: true })
      yield* sender.close
      yield* readyNow
      expect([waiting.pollUnsafe(), streaming.pollUnsafe()]).toEqual([undefined, undefined])
      yield* Scope.close(scope, Exit.void)
      expect(yield* reasonOf(second.send(1))).toBe("Closed")
      expect(yield* Fiber.join(waiting)).toBe("Closed")
      expect(yield* Fiber.join(streaming)).toEqual([])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("many threads send, each in its order, and the stream ends with the last of them", () =>
    Effect.gen(function* () {
      const { receiver, sender, stats } = yield* PollChannel.unbounded<Message>()
      const threads = yield* Effect.all(
        ["a", "b", "c", "d"].map((name) => open(sender, { name, commands: [{ send: 1000 }] }))
      )
      yield* sender.close
      expect(byName(yield* rest(receiver))).toEqual({ a: upTo(1000), b: upTo(1000), c: upTo(1000), d: upTo(1000) })
      for (const thread of threads) expect([yield* thread.message, yield* thread.exited]).toEqual(["ok", 0])
      expect(yield* stats).toMatchObject({ sent: 4000, pending: 0 })
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("a thread makes a handle for yet another thread", () =>
    Effect.gen(function* () {
      const { receiver, sender } = yield* PollChannel.unbounded<Message>()
      const thread = yield* open(sender, {
        name: "a",
        commands: [{ send: 100 }, { fork: "b", send: 300 }, { send: 100 }, { fork: "c", send: 300 }]
      })
      yield* sender.close
      expect(byName(yield* rest(receiver))).toEqual({ a: upTo(200), b: upTo(300), c: upTo(300) })
      expect(yield* thread.exited).toBe(0)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("a terminated thread loses no accepted message, and its end is seen", () =>
    Effect.gen(function* () {
      const { receiver, sender } = yield* PollChannel.unbounded<Message>()
      const accepted = new SharedArrayBuffer(4)
      const thread = yield* open(sender, { name: "a", commands: [{ send: 1_000_000_000 }], accepted })
      const other = yield* opened(sender, { name: "b" })
      yield* sender.close
      const first = yield* receiver.receive
      yield* thread.terminate
      const count = Atomics.load(new Int32Array(accepted), 0)
      expect(yield* request(other, { send: 10 })).toBe("ok")
      yield* other.post("end" satisfies ChannelCommand)
      const { a, b } = byName([first, ...(yield* rest(receiver))])
      // The thread may have sent one more message that it could not count any more.
      expect(a!.length).toBeGreaterThanOrEqual(count)
      expect(a).toEqual(upTo(a!.length))
      expect(b).toEqual(upTo(10))
      expect(yield* reasonOf(receiver.receive)).toBe("Closed")
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("an interruption of receive loses no message, at whatever moment it comes", () =>
    Effect.gen(function* () {
      const { receiver, sender } = yield* PollChannel.unbounded<number>()
      const received: Array<number> = []
      let interrupted = 0
      for (let i = 0; i < 200; i++) {
        const waiting = yield* Effect.forkChild(receiver.receive, { startImmediately: true })
        yield* sender.send(i)
        if (i % 4 === 1) yield* readyNow
        if (i % 4 === 2) yield* Effect.sleep(0)
        if (i % 4 === 3) yield* Effect.yieldNow
        yield* Fiber.interrupt(waiting)
        const exit = yield* Fiber.await(waiting)
        if (Exit.isSuccess(exit)) received.push(exit.value)
        else {
          interrupted++
          received.push(yield* receiver.receive)
        }
      }
      expect(received).toEqual(upTo(200))
      // Both outcomes occurred.
      expect(interrupted).toBeGreaterThan(0)
      expect(interrupted).toBeLessThan(200)
      expect(yield* drain(receiver)).toEqual([])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("a message that arrives as a receive is interrupted is reported to the poller", () =>
    Effect.gen(function* () {
      const { receiver, sender } = yield* PollChannel.unbounded<number>()
      for (let i = 0; i < 20; i++) {
        const waiting = yield* Effect.forkChild(receiver.receive, { startImmediately: true })
        yield* Fiber.interrupt(waiting)
        yield* sender.send(i)
        expect(yield* idsReadyNow).toEqual([receiver.id])
        expect(yield* drain(receiver)).toEqual([i])
      }
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("competing receivers get each message once, and no message waits while one of them waits", () =>
    Effect.gen(function* () {
      const { receiver, sender } = yield* PollChannel.unbounded<number>()
      const received: Array<number> = []
      const workers = yield* Effect.all(
        Array.from({ length: 8 }, () =>
          Effect.forkChild(Effect.forever(Effect.map(receiver.receive, (value) => void received.push(value))), {
            startImmediately: true
          })
        )
      )
      for (let i = 0; i < 500; i++) {
        yield* sender.send(i)
        if (i % 7 === 0) yield* readyNow
      }
      yield* sender.close
      for (const worker of workers) yield* Effect.exit(Fiber.join(worker))
      expect(received.toSorted((a, b) => a - b)).toEqual(upTo(500))
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )
})

describeLayers("promise 15: a sender fails with Closed once the receiver is gone", (layer) => {
  it.live("because the channel's scope has closed: in every thread, suspended or not", () =>
    Effect.gen(function* () {
      yield* readyNow
      const before = Kernel.openDescriptors().size
      const scope = yield* Scope.make()
      const { receiver, sender } = yield* Scope.provide(PollChannel.bounded<Message>(1), scope)
      const thread = yield* opened(sender, { name: "a" })
      yield* sender.send(["main", 0])
      const handle = yield* sender.handle
      // Both suspend, because the channel is full.
      const suspended = yield* Effect.forkChild(reasonOf(sender.send(["main", 1])), { startImmediately: true })
      yield* thread.post({ send: 1 } satisfies ChannelCommand)
      yield* Scope.close(scope, Exit.void)
      expect(yield* Fiber.join(suspended)).toBe("Closed")
      expect(yield* thread.message).toBe("Closed")
      expect(yield* request(thread, { send: 1 })).toBe("Closed")
      expect(yield* request(thread, "try")).toBe("Closed")
      expect(yield* reasonOf(sender.send(["main", 1]))).toBe("Closed")
      expect(yield* reasonOf(sender.trySend(["main", 1]))).toBe("Closed")
      expect(yield* reasonOf(sender.handle)).toBe("Closed")
      expect(yield* reasonOf(Effect.scoped(PollChannel.fromHandle(handle)))).toBe("Closed")
      expect(yield* readyNow).toEqual([])
      expect(yield* reasonOf(receiver.tryReceive)).toBe("Closed")
      yield* thread.post("end" satisfies ChannelCommand)
      expect(yield* thread.exited).toBe(0)
      expect(Kernel.openDescriptors().size).toBeLessThanOrEqual(before)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("a receiver that waits while the scope closes fails with Closed, and its stream ends", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { receiver } = yield* Scope.provide(PollChannel.unbounded<number>(), scope)
      const waiting = yield* Effect.forkChild(reasonOf(receiver.receive), { startImmediately: true })
      const streaming = yield* Effect.forkChild(rest(receiver), { startImmediately: true })
      yield* Scope.close(scope, Exit.void)
      expect(yield* Fiber.join(waiting)).toBe("Closed")
      expect(yield* Fiber.join(streaming)).toEqual([])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("because the poller has closed, although the channel's scope is open", () =>
    Effect.gen(function* () {
      const pollerScope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(layer(), pollerScope)
      const { receiver, sender } = yield* Effect.provide(PollChannel.bounded<Message>(1), context)
      const thread = yield* opened(sender, { name: "a" })
      yield* sender.send(["main", 0])
      const suspended = yield* Effect.forkChild(reasonOf(sender.send(["main", 1])), { startImmediately: true })
      yield* thread.post({ send: 1 } satisfies ChannelCommand)
      yield* Scope.close(pollerScope, Exit.void)
      expect(yield* Fiber.join(suspended)).toBe("Closed")
      expect(yield* thread.message).toBe("Closed")
      expect(yield* reasonOf(sender.send(["main", 1]))).toBe("Closed")
      // What was accepted before can still be received.
      expect(yield* receiver.receive).toEqual(["main", 0])
      expect(yield* reasonOf(receiver.receive)).toBe("Closed")
      expect(yield* reasonOf(receiver.tryReceive)).toBe("Closed")
      expect(yield* rest(receiver)).toEqual([])
      expect(yield* outcomeOf(Effect.scoped(Effect.provide(PollChannel.unbounded(), context)))).toBe("Closed")
    }).pipe(Effect.scoped)
  )

  for (const end of ["closes its channel", "is terminated"] as const) {
    it.live(`because the thread that receives ${end}`, () =>
      Effect.gen(function* () {
        const { handle: poller } = yield* Poller.Poller
        const thread = yield* start("receiverThread", { poller, capacity: 2 })
        const handle = (yield* thread.message) as PollChannel.SenderHandle
        const sender = yield* PollChannel.fromHandle<number>(handle)
        yield* sender.send(1)
        yield* sender.send(2)
        expect(yield* sender.trySend(3)).toBe(false)
        const suspended = yield* Effect.forkChild(reasonOf(sender.send(3)), { startImmediately: true })
        yield* end === "is terminated" ? thread.terminate : thread.post("close")
        expect(yield* Fiber.join(suspended)).toBe("Closed")
        expect(yield* reasonOf(sender.send(4))).toBe("Closed")
        expect(yield* reasonOf(sender.trySend(4))).toBe("Closed")
        expect(yield* reasonOf(sender.handle)).toBe("Closed")
      }).pipe(Effect.scoped, Effect.provide(layer()))
    )
  }
})

describeLayers("promise 15: a bounded sender suspends while the channel is full", (layer) => {
  it.live("and resumes as soon as there is room, in order; the thread is not blocked", () =>
    Effect.gen(function* () {
      const { receiver, sender, stats } = yield* PollChannel.bounded<number>(3)
      const sent: Array<number> = []
      const sending = yield* Effect.forkChild(
        Effect.forEach(upTo(10), (i) => Effect.map(sender.send(i), () => void sent.push(i))),
        { startImmediately: true }
      )
      yield* settled
      expect(sent).toEqual([0, 1, 2])
      expect(yield* sender.trySend(100)).toBe(false)
      expect(yield* stats).toEqual({ sent: 3, pending: 3, triggers: 1 })
      // The channel never holds more than its capacity.
      for (let i = 0; i < 10; i++) {
        expect(yield* receiver.receive).toBe(i)
        yield* settled
        expect((yield* stats).pending).toBeLessThanOrEqual(3)
      }
      yield* Fiber.join(sending)
      expect(sent).toEqual(upTo(10))
      expect(yield* sender.trySend(100)).toBe(true)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("and keeps a thread alive that has nothing else to do", () =>
    Effect.gen(function* () {
      const { receiver, sender } = yield* PollChannel.bounded<Message>(1)
      const thread = yield* open(sender, { name: "a", commands: [{ send: 1 }, { send: 3 }] })
      expect(yield* thread.message).toBe("ok")
      const ended = yield* Effect.forkChild(thread.exited, { startImmediately: true })
      // Long enough for a thread that thinks it is done to be gone.
      yield* Effect.raceFirst(Fiber.await(ended), Effect.sleep(300))
      expect(ended.pollUnsafe()).toBeUndefined()
      yield* sender.close
      expect(yield* rest(receiver)).toEqual(upTo(4).map((index) => ["a", index]))
      expect(yield* thread.message).toBe("ok")
      expect(yield* Fiber.join(ended)).toBe(0)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("and fails if it is closed meanwhile", () =>
    Effect.gen(function* () {
      const { receiver, sender } = yield* PollChannel.bounded<number>(1)
      yield* sender.send(0)
      const suspended = yield* Effect.forkChild(reasonOf(sender.send(1)), { startImmediately: true })
      yield* sender.close
      expect(yield* Fiber.join(suspended)).toBe("Closed")
      expect(yield* rest(receiver)).toEqual([0])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("and, interrupted, sends nothing and takes no place", () =>
    Effect.gen(function* () {
      const { receiver, sender } = yield* PollChannel.bounded<number>(1)
      yield* sender.send(-1)
      const fibers = yield* Effect.all(
        upTo(30).map((i) => Effect.forkChild(sender.send(i), { startImmediately: true }))
      )
      for (let i = 0; i < 30; i += 2) yield* Fiber.interrupt(fibers[i]!)
      const received = [yield* receiver.receive]
      for (let i = 0; i < 15; i++) received.push(yield* receiver.receive)
      for (let i = 1; i < 30; i += 2) yield* Fiber.join(fibers[i]!)
      expect(received.toSorted((a, b) => a - b)).toEqual([-1, ...upTo(30).filter((i) => i % 2 === 1)])
      expect(yield* drain(receiver)).toEqual([])
      expect(yield* sender.trySend(1)).toBe(true)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("in several threads, some interrupted: all others resume, and every accepted message arrives", () =>
    Effect.gen(function* () {
      const { receiver, sender } = yield* PollChannel.bounded<Message>(2)
      const names = ["a", "b", "c"]
      const threads = yield* Effect.all(
        names.map((name) => open(sender, { name, commands: [{ together: 60 }, { together: 60 }] }))
      )
      yield* sender.close
      const received = byName(yield* rest(receiver))
      for (const [i, thread] of threads.entries()) {
        const first = (yield* thread.message) as ReadonlyArray<number>
        const second = (yield* thread.message) as ReadonlyArray<number>
        expect(first.length).toBeGreaterThanOrEqual(40)
        expect(received[names[i]!]!.toSorted((a, b) => a - b)).toEqual([...first, ...second])
        expect(yield* thread.exited).toBe(0)
      }
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("and, in a thread that is terminated, keeps no place from other senders", () =>
    Effect.gen(function* () {
      const { receiver, sender } = yield* PollChannel.bounded<Message>(1)
      const [one, two] = yield* Effect.all([opened(sender, { name: "a" }), opened(sender, { name: "b" })])
      yield* sender.send(["main", 0])
      expect(yield* request(one, { start: 20 })).toBe("started")
      yield* two.post({ send: 5 } satisfies ChannelCommand)
      yield* one.terminate
      yield* sender.close
      const received: Array<Message> = []
      while (received.filter(([name]) => name === "b").length < 5) received.push(yield* receiver.receive)
      expect(yield* two.message).toBe("ok")
      expect(byName(received)["b"]).toEqual(upTo(5))
      yield* two.post("end" satisfies ChannelCommand)
      expect(byName(yield* rest(receiver))["b"]).toBeUndefined()
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("and gives its place back for a value that cannot be cloned, in another thread too", () =>
    Effect.gen(function* () {
      const { receiver, sender } = yield* PollChannel.bounded<Message>(1)
      const thread = yield* opened(sender, { name: "a" })
      for (let i = 0; i < 3; i++) expect(yield* request(thread, "function")).toBe("InvalidArgument")
      expect(yield* request(thread, "try")).toBe(true)
      expect(yield* request(thread, "try")).toBe(false)
      expect(yield* receiver.receive).toEqual(["a", 0])
      expect(yield* request(thread, "try")).toBe(true)
      expect(yield* receiver.receive).toEqual(["a", 1])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )
})

describeLayers("opening a channel", (layer) => {
  it.live("with an invalid capacity fails with InvalidArgument, and changes nothing", () =>
    Effect.gen(function* () {
      const first = yield* PollChannel.bounded<number>(1)
      const before = Kernel.openDescriptors().size
      for (const capacity of [0, -1, 1.5, NaN, Infinity, 2 ** 31, "4" as unknown as number]) {
        expect(yield* reasonOf(PollChannel.bounded<number>(capacity))).toBe("InvalidArgument")
      }
      expect(Kernel.openDescriptors().size).toBeLessThanOrEqual(before)
      expect((yield* PollChannel.unbounded<number>()).receiver.id).toBe(first.receiver.id + 1)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("a hundred times leaves no descriptor open", () =>
    Effect.gen(function* () {
      yield* readyNow
      const before = Kernel.openDescriptors().size
      for (let i = 0; i < 100; i++) {
        yield* Effect.scoped(
          Effect.gen(function* () {
            const { sender } = yield* PollChannel.unbounded<number>()
            const second = yield* PollChannel.fromHandle<number>(yield* sender.handle)
            yield* sender.send(1)
            yield* second.send(2)
          })
        )
      }
      expect(Kernel.openDescriptors().size).toBeLessThanOrEqual(before)
      expect(yield* readyNow).toEqual([])
    }).pipe(Effect.provide(layer()))
  )
})

describe("promise 15: a great many messages, a million in the long run", () => {
  it.live(
    "from three threads arrive in the order of each sender, and none is lost",
    () =>
      Effect.gen(function* () {
        const { receiver, sender, stats } = yield* PollChannel.unbounded<Message>()
        const count = times(30_000, 333_334)
        const names = ["a", "b", "c"]
        for (const name of names) yield* open(sender, { name, commands: [{ send: count }] })
        yield* sender.close
        const next = new Map(names.map((name) => [name, 0]))
        let outOfOrder = 0
        yield* Stream.runForEachArray(receiver.stream, (messages) =>
          Effect.sync(() => {
            for (const [name, index] of messages) {
              if (index !== next.get(name)) outOfOrder++
              next.set(name, index + 1)
            }
          })
        )
        expect(outOfOrder).toBe(0)
        expect([...next.values()]).toEqual([count, count, count])
        expect(yield* stats).toMatchObject({ sent: 3 * count, pending: 0 })
      }).pipe(Effect.scoped, Effect.provide(Poller.layerWorker())),
    600_000
  )
})

describe("a channel of layerBlocking", () => {
  it.live("ends the wait of a thread that is blocked in the kernel", () =>
    Effect.gen(function* () {
      const { receiver, sender } = yield* PollChannel.unbounded<Message>()
      yield* open(sender, { name: "a", commands: [{ send: 100 }] })
      yield* sender.close
      const received: Array<Message> = []
      while (received.length < 100) {
        expect((yield* wait).map(({ id }) => id)).toEqual([receiver.id])
        received.push(...(yield* drain(receiver)))
      }
      expect(byName(received)).toEqual({ a: upTo(100) })
    }).pipe(Effect.scoped, Effect.provide(Poller.layerBlocking({ allowMainThread: true })))
  )
})

describe("the id of a receiver", () => {
  it.live("is the next id of its registrar", () =>
    Effect.gen(function* () {
      const context = yield* Layer.build(someLayer())
      const id = yield* Context.get(context, Registrar.Registrar).timeout("1 hour")
      const { receiver } = yield* Effect.provide(PollChannel.unbounded<number>(), context)
      expect(receiver.id).toBe(id + 1)
    }).pipe(Effect.scoped)
  )
})

describe("promise 13: interruption of a suspended sender leaves nothing behind", () => {
  it.live("at most one wait in shared memory is left after many interruptions", () =>
    Effect.gen(function* () {
      const counts = Counts.make(1)
      expect(counts.reserve()).toBe(true)
      for (let i = 0; i < 100; i++) {
        const waiting = yield* Effect.forkChild(counts.awaitFree, { startImmediately: true })
        yield* Fiber.interrupt(waiting)
      }
      const waits: Array<number> = []
      for (let word = 0; word < counts.words.length; word++) waits.push(Atomics.notify(counts.words, word))
      expect(Math.max(...waits)).toBeLessThanOrEqual(1)

      // A later wait is woken all the same.
      const waiting = yield* Effect.forkChild(counts.awaitFree, { startImmediately: true })
      counts.free()
      yield* Fiber.join(waiting)
    })
  )
})

describeLayers("a handle makes one sender", (layer) => {
  it.live("a handle that is used again is refused, and nothing is lost", () =>
    Effect.gen(function* () {
      const { receiver, sender, stats } = yield* PollChannel.unbounded<number>()
      const handle = yield* sender.handle
      const once = (value: number) =>
        Effect.scoped(Effect.flatMap(PollChannel.fromHandle<number>(handle), (second) => second.send(value)))
      yield* once(1)
      expect(yield* reasonOf(once(2))).toBe("InvalidArgument")
      expect(yield* stats).toMatchObject({ sent: 1 })
      expect(yield* receiver.receive).toBe(1)
      yield* sender.send(3)
      expect(yield* receiver.receive).toBe(3)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("a handle whose port was closed makes no sender", () =>
    Effect.gen(function* () {
      const { sender } = yield* PollChannel.unbounded<number>()
      const handle = yield* sender.handle
      const closed = Promise.withResolvers<void>()
      handle.port.once("close", () => closed.resolve())
      handle.port.close()
      yield* Effect.promise(() => closed.promise)
      expect(yield* reasonOf(Effect.scoped(PollChannel.fromHandle<number>(handle)))).toBe("Closed")
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("a handle that is used and transferred loses what is sent here, and the receiver remains usable", () =>
    Effect.gen(function* () {
      const { receiver, sender } = yield* PollChannel.unbounded<number>()
      const handle = yield* sender.handle
      const second = yield* PollChannel.fromHandle<number>(handle)
      structuredClone(handle.port, { transfer: [handle.port] }).close()
      yield* second.send(1)
      expect(yield* receiver.tryReceive).toEqual(Option.none())
      // The next message is reported, and received.
      yield* readyNow
      yield* sender.send(2)
      expect(yield* idsReadyNow).toEqual([receiver.id])
      expect(yield* receiver.receive).toBe(2)
      expect(yield* receiver.tryReceive).toEqual(Option.none())
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )
})

describe("a receiver on layerBlocking", () => {
  const layer = Poller.layerBlocking({ allowMainThread: true })

  it.live("is woken although no fiber waits in the poller", () =>
    Effect.gen(function* () {
      const { receiver, sender } = yield* PollChannel.unbounded<number>()
      const receiving = yield* Effect.forkChild(receiver.receive, { startImmediately: true })
      yield* Effect.yieldNow
      yield* sender.send(1)
      expect(yield* Fiber.join(receiving)).toBe(1)
      const interrupted = yield* Effect.forkChild(receiver.receive, { startImmediately: true })
      yield* Fiber.interrupt(interrupted)
      expect(yield* waiters).toBe(0)
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.live("is woken by a sender of another thread, and by the end of it", () =>
    Effect.gen(function* () {
      const { receiver, sender } = yield* PollChannel.unbounded<Message>()
      yield* open(sender, { name: "other", commands: [{ send: 10 }] })
      yield* sender.close
      expect(byName(yield* rest(receiver))).toEqual({ other: upTo(10) })
      expect(yield* waiters).toBe(0)
    }).pipe(Effect.scoped, Effect.provide(layer))
  )
})

describeLayers("promise 15: a receiver that is made to yield", (layer) => {
  const receiving: {
    readonly [name: string]: (receiver: PollChannel.Receiver<number>) => Effect.Effect<unknown, unknown>
  } = {
    receive: ({ receive }) => receive,
    stream: ({ stream }) => Stream.runHead(stream)
  }
  for (const [name, receive] of Object.entries(receiving)) {
    it.live(`at any step of ${name} is woken by a message sent at that moment`, () =>
      Effect.gen(function* () {
        for (let step = 1; step <= 15; step++) {
          yield* Effect.gen(function* () {
            const { receiver, sender } = yield* PollChannel.unbounded<number>()
            const fiber = yield* Effect.forkChild(
              Effect.provideService(receive(receiver), Scheduler.Scheduler, new YieldAt(step)),
              { startImmediately: true }
            )
            yield* sender.send(step)
            expect(yield* Fiber.join(fiber)).toEqual(name === "receive" ? step : Option.some(step))
          }).pipe(Effect.scoped)
        }
        expect(yield* waiters).toBe(0)
      }).pipe(Effect.timeout("100 seconds"), Effect.provide(layer()))
    )
  }
})
