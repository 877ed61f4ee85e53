/**
 * The behaviours of timers, user events and channels, and of the end of a poller. They run in every
 * world.
 */
import { expect } from "@effect/vitest"
import { Effect, Exit, Fiber, Option, Queue, Scope, Stream } from "effect"
import { PollChannel, Poller, Registrar, UserEvent } from "effect-amy"
import { type DueTimes, expectDueOrder, noteDue } from "./dueOrder.ts"
import { idsReadyNow, readyNow } from "./layers.ts"
import { outcome, startConsumers } from "./opened.ts"
import { said } from "./said.ts"
import type { Behaviour } from "./worlds.ts"

type Behaviours = { readonly [about: string]: { readonly [name: string]: Behaviour } }

/** Starts each operation, and returns the outcomes. */
const operations = Effect.gen(function* () {
  const { queue, wait } = yield* Poller.Poller
  return {
    poll: yield* outcome(wait(0)),
    wait: yield* outcome(wait("1 hour")),
    take: yield* outcome(Queue.take(queue)),
    register: yield* outcome(Registrar.register(0, "Read")),
    deregister: yield* outcome(Registrar.deregister(0)),
    timeout: yield* outcome(Registrar.timeout(1)),
    cancelTimer: yield* outcome(Registrar.cancelTimer(Registrar.RegistrationId(1))),
    userEvent: yield* outcome(UserEvent.make)
  }
})

const allEndWith = (reason: string, end = reason) => ({
  poll: reason,
  wait: reason,
  take: end,
  register: reason,
  deregister: reason,
  timeout: reason,
  cancelTimer: reason,
  userEvent: reason
})

const wait = (timeout: number) => Effect.flatMap(Poller.Poller, (poller) => poller.wait(timeout))

/** A timeout that passes only in a test that hangs. */
const hour = 3_600_000

/** Starts an effect, and returns its fiber once it waits. */
const start = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })

/** Returns once a notification was delivered, and leaves it in the queue. */
const delivered = Effect.flatMap(Poller.Poller, ({ queue }) => Effect.orDie(Queue.peek(queue)))

export const lifeBehaviours: Behaviours = {
  "promise 8: closing": {
    "pending waits fail with Closed, queues and streams end": (world) =>
      Effect.gen(function* () {
        const poller = yield* Poller.Poller
        const ends = yield* startConsumers({ poller })
        yield* world.close
        expect(yield* ends).toEqual({ waitForEver: "Closed", waitAnHour: "Closed", take: "Done", stream: "success" })
      }),
    "later operations fail with Closed, and closing again does nothing": (world) =>
      Effect.gen(function* () {
        yield* world.close
        yield* world.close
        expect(yield* operations).toEqual(allEndWith("Closed", "Done"))
      }),
    "notifications that were delivered before the end can still be taken": (world) =>
      Effect.gen(function* () {
        const { queue } = yield* Poller.Poller
        const socket = yield* world.socket
        const id = yield* Registrar.register(socket, "Read")
        yield* socket.receive
        yield* delivered
        yield* world.close
        expect((yield* Effect.orDie(Queue.take(queue))).id).toBe(id)
        expect(yield* outcome(Queue.take(queue))).toBe("Done")
      })
  },
  "promise 8: if the polling thread dies by itself": {
    "consumers fail with WorkerFailed": (world) =>
      Effect.gen(function* () {
        const poller = yield* Poller.Poller
        const ends = yield* startConsumers({ poller })
        yield* world.kill
        expect(yield* ends).toEqual({
          waitForEver: "WorkerFailed",
          waitAnHour: "WorkerFailed",
          take: "WorkerFailed",
          stream: "WorkerFailed"
        })
        expect(yield* operations).toEqual(allEndWith("WorkerFailed"))
        yield* world.close
        expect(yield* operations).toEqual(allEndWith("WorkerFailed"))
      }),
    "notifications that were delivered before the end can still be taken": (world) =>
      Effect.gen(function* () {
        const { queue } = yield* Poller.Poller
        const socket = yield* world.socket
        const id = yield* Registrar.register(socket, "Read")
        yield* socket.receive
        yield* delivered
        yield* world.kill
        expect((yield* Effect.orDie(Queue.take(queue))).id).toBe(id)
        expect(yield* outcome(Queue.take(queue))).toBe("WorkerFailed")
      }),
    "channels and user events fail, too": (world) =>
      Effect.gen(function* () {
        const event = yield* UserEvent.make
        const { receiver } = yield* PollChannel.unbounded<number>()
        const receiving = yield* start(outcome(receiver.receive))
        yield* world.kill
        expect(yield* Fiber.join(receiving)).toBe("WorkerFailed")
        expect(yield* outcome(event.trigger)).toBe("WorkerFailed")
      })
  },
  "promise 7: time": {
    "a wait without readiness ends with no notification, and not early": (world) =>
      Effect.gen(function* () {
        const before = yield* world.now
        expect(yield* world.passing(20)(wait(20))).toEqual([])
        expect((yield* world.now) - before).toBeGreaterThanOrEqual(20)
      }),
    "a wait of a fraction of a millisecond is rounded up, not to zero": (world) =>
      Effect.gen(function* () {
        const before = yield* world.now
        expect(yield* world.passing(1)(wait(0.25))).toEqual([])
        expect((yield* world.now) - before).toBeGreaterThanOrEqual(0.25)
      }),
    "a timeout is reported once, not early": (world) =>
      Effect.gen(function* () {
        const before = yield* world.now
        const id = yield* Registrar.timeout(20)
        const [notification, ...others] = yield* world.passing(20)(wait(hour))
        expect((yield* world.now) - before).toBeGreaterThanOrEqual(20)
        expect(said(notification!)).toEqual({ id, event: "Read", flags: [] })
        expect(others).toEqual([])
        expect(yield* world.passing(30)(wait(30))).toEqual([])
      }),
    "timeouts are reported in the order in which they are due": (world) =>
      Effect.gen(function* () {
        const { queue } = yield* Poller.Poller
        const due: DueTimes = new Map()
        for (const millis of [30, 10, 20]) yield* noteDue(due, millis, Registrar.timeout, world.now)
        const three = Effect.orDie(Effect.all([Queue.take(queue), Queue.take(queue), Queue.take(queue)]))
        const taken = yield* world.passing(30)(three)
        expectDueOrder(
          taken.map(({ id }) => id),
          due
        )
      }),
    "a timeout of zero is reported": (world) =>
      Effect.gen(function* () {
        const id = yield* Registrar.timeout(0)
        expect((yield* world.passing(0)(wait(hour))).map(said)).toEqual([{ id, event: "Read", flags: [] }])
      }),
    "an interval is reported over and over, and never early": (world) =>
      Effect.gen(function* () {
        const before = yield* world.now
        const id = yield* Registrar.interval(10)
        for (let nth = 1; nth <= 4; nth++) {
          expect((yield* world.passing(10)(wait(hour))).map(said)).toEqual([{ id, event: "Read", flags: [] }])
          expect((yield* world.now) - before).toBeGreaterThanOrEqual(nth * 10)
        }
        yield* Registrar.cancelTimer(id)
        expect(yield* world.passing(30)(wait(30))).toEqual([])
      }),
    "several missed periods of an interval are one notification": (world) =>
      Effect.gen(function* () {
        const id = yield* Registrar.interval(5)
        yield* world.passing(40)(Effect.sleep(40))
        expect(yield* idsReadyNow).toEqual([id])
        yield* Registrar.cancelTimer(id)
        expect(yield* idsReadyNow).toEqual([])
      })
  },
  "promise 12: timers": {
    "an invalid duration is refused": () =>
      Effect.gen(function* () {
        for (const time of [-1, NaN, "-1 second"] as const) {
          expect(yield* outcome(Registrar.timeout(time))).toBe("InvalidArgument")
          expect(yield* outcome(Registrar.interval(time))).toBe("InvalidArgument")
          expect(yield* outcome(Effect.flatMap(Poller.Poller, (poller) => poller.wait(time)))).toBe("InvalidArgument")
        }
        expect(yield* outcome(Registrar.interval(0))).toBe("InvalidArgument")
        // None of them has used up an id.
        expect(yield* Registrar.timeout("1 hour")).toBe(1)
      }),
    "a timer that is unknown, cancelled or finished cannot be cancelled": (world) =>
      Effect.gen(function* () {
        expect(yield* outcome(Registrar.cancelTimer(Registrar.RegistrationId(1)))).toBe("NotRegistered")
        const cancelled = yield* Registrar.timeout("1 hour")
        yield* Registrar.cancelTimer(cancelled)
        expect(yield* outcome(Registrar.cancelTimer(cancelled))).toBe("NotRegistered")
        const finished = yield* Registrar.timeout(1)
        yield* world.passing(1)(wait(hour))
        expect(yield* outcome(Registrar.cancelTimer(finished))).toBe("NotRegistered")
        const socket = yield* world.socket
        const id = yield* Registrar.register(socket, "Read")
        expect(yield* outcome(Registrar.cancelTimer(id))).toBe("NotRegistered")
      }),
    "a timer whose notification was not taken can be cancelled, and is not reported": (world) =>
      Effect.gen(function* () {
        const id = yield* Registrar.timeout(1)
        yield* world.passing(1)(delivered)
        yield* Registrar.cancelTimer(id)
        expect(yield* readyNow).toEqual([])
      })
  },
  "user events": {
    "several triggers before the notification is taken are one notification": () =>
      Effect.gen(function* () {
        const event = yield* UserEvent.make
        expect(yield* readyNow).toEqual([])
        yield* event.trigger
        yield* event.trigger
        expect((yield* readyNow).map(said)).toEqual([{ id: event.id, event: "Read", flags: [] }])
        expect(yield* readyNow).toEqual([])
        yield* event.trigger
        expect(yield* idsReadyNow).toEqual([event.id])
      }),
    "clear takes back a trigger, whether it was delivered or not": () =>
      Effect.gen(function* () {
        const event = yield* UserEvent.make
        yield* event.clear
        yield* event.trigger
        yield* event.clear
        expect(yield* readyNow).toEqual([])
        yield* event.trigger
        yield* delivered
        yield* event.clear
        expect(yield* readyNow).toEqual([])
        yield* event.trigger
        expect(yield* idsReadyNow).toEqual([event.id])
      }),
    "promise 8: a user event fails with Closed once its scope is closed, and is not reported": () =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const event = yield* Scope.provide(UserEvent.make, scope)
        yield* event.trigger
        yield* delivered
        yield* Scope.close(scope, Exit.void)
        expect(yield* readyNow).toEqual([])
        expect(yield* outcome(event.trigger)).toBe("Closed")
        expect(yield* outcome(event.clear)).toBe("Closed")
      }),
    "a trigger ends a wait": () =>
      Effect.gen(function* () {
        const event = yield* UserEvent.make
        const waiting = yield* start(wait(hour))
        yield* event.trigger
        expect((yield* Fiber.join(waiting)).map(({ id }) => id)).toEqual([event.id])
      })
  },
  "promise 15: a channel within one thread": {
    "the first message is reported, and those behind it are not": () =>
      Effect.gen(function* () {
        const { receiver, sender, stats } = yield* PollChannel.unbounded<string>()
        expect(yield* readyNow).toEqual([])
        yield* sender.send("a")
        yield* sender.send("b")
        expect((yield* readyNow).map(said)).toEqual([{ id: receiver.id, event: "Read", flags: [] }])
        yield* sender.send("c")
        expect(yield* readyNow).toEqual([])
        expect(yield* stats).toEqual({ sent: 3, pending: 3, triggers: 1 })
        for (const value of ["a", "b", "c"]) expect(yield* receiver.tryReceive).toEqual(Option.some(value))
        expect(yield* receiver.tryReceive).toEqual(Option.none())
        yield* sender.send("d")
        expect(yield* idsReadyNow).toEqual([receiver.id])
        expect(yield* stats).toEqual({ sent: 4, pending: 1, triggers: 2 })
      }),
    "a waiting receiver gets the message, and nothing is reported": () =>
      Effect.gen(function* () {
        const { receiver, sender } = yield* PollChannel.unbounded<number>()
        const receiving = yield* start(receiver.receive)
        yield* sender.send(1)
        expect(yield* Fiber.join(receiving)).toBe(1)
        expect(yield* readyNow).toEqual([])
      }),
    "a bounded sender suspends while the channel is full": () =>
      Effect.gen(function* () {
        const { receiver, sender } = yield* PollChannel.bounded<number>(1)
        expect(yield* sender.trySend(1)).toBe(true)
        expect(yield* sender.trySend(2)).toBe(false)
        const sending = yield* start(sender.send(3))
        expect(sending.pollUnsafe()).toBeUndefined()
        expect(yield* receiver.receive).toBe(1)
        yield* Fiber.join(sending)
        expect(yield* receiver.receive).toBe(3)
        expect(yield* outcome(PollChannel.bounded(0))).toBe("InvalidArgument")
      }),
    "the receiver's stream ends when all senders are closed": () =>
      Effect.gen(function* () {
        const { receiver, sender } = yield* PollChannel.unbounded<number>()
        const streaming = yield* start(Stream.runCollect(receiver.stream))
        for (let i = 0; i < 100; i++) yield* sender.send(i)
        yield* sender.close
        expect(yield* Fiber.join(streaming)).toEqual(Array.from({ length: 100 }, (_, i) => i))
        expect(yield* outcome(receiver.tryReceive)).toBe("Closed")
        expect(yield* outcome(sender.send(0))).toBe("Closed")
      }),
    "sending fails with Closed once the receiver is gone": () =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const { receiver, sender } = yield* Scope.provide(PollChannel.unbounded<number>(), scope)
        yield* sender.send(1)
        yield* Scope.close(scope, Exit.void)
        expect(yield* outcome(sender.send(2))).toBe("Closed")
        expect(yield* outcome(sender.trySend(2))).toBe("Closed")
        expect(yield* outcome(receiver.tryReceive)).toBe("Closed")
        expect(yield* readyNow).toEqual([])
      }),
    "a channel ends with its poller": (world) =>
      Effect.gen(function* () {
        const { receiver } = yield* PollChannel.unbounded<number>()
        const streaming = yield* start(Stream.runCollect(receiver.stream))
        const receiving = yield* start(outcome(receiver.receive))
        yield* world.close
        expect(yield* Fiber.join(streaming)).toEqual([])
        expect(yield* Fiber.join(receiving)).toBe("Closed")
      }),
    "a value that cannot be cloned is refused, and the channel still works": () =>
      Effect.gen(function* () {
        const { receiver, sender } = yield* PollChannel.bounded<unknown>(1)
        expect(yield* outcome(sender.send(() => 0))).toBe("InvalidArgument")
        yield* sender.send("data")
        expect(yield* receiver.receive).toBe("data")
      })
  }
}
