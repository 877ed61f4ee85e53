/** The behaviours of waits for a descriptor that a library reads. They run in every world. */
import { expect } from "@effect/vitest"
import { Effect, Exit, Fiber, Option, Scope } from "effect"
import { AsyncFd, type Event, ForeignFd, Registrar } from "effect-amy"
import { attachmentOf } from "../../src/internal/delivery/registrar.ts"
import { readyNow } from "./layers.ts"
import { outcome } from "./opened.ts"
import {
  atOnce,
  begin,
  beginWaiting,
  type Behaviours,
  expectWaiting,
  ownScope,
  registrations,
  waiters
} from "./waiting.ts"
import type { Socket } from "./worlds.ts"

const allEvents: ReadonlyArray<Event.Event> = ["Read", "Write", "Both"]

/** Returns what each event gives now: an event, or "wait". */
const readiness = (foreign: ForeignFd.ForeignFd) =>
  Effect.forEach(allEvents, (event) =>
    Effect.map(foreign.wait(event, { timeout: 0 }), (ready) => Option.getOrElse(ready, () => "wait"))
  )

/** Waits for an event that has come, and takes what is there. */
const takeAll = (foreign: ForeignFd.ForeignFd, socket: Socket) => Effect.tap(foreign.wait("Read"), () => socket.drain)

const thrower = () => {
  throw new Error("the connection is gone")
}

export const foreignBehaviours: Behaviours = {
  "ForeignFd: what is ready": {
    "is returned at once, for as long as it is ready": (world) =>
      Effect.gen(function* () {
        const socket = yield* world.socket
        const foreign = yield* ForeignFd.make(socket.fd)
        yield* socket.receive
        for (let i = 0; i < 3; i++) expect(yield* atOnce(foreign.wait("Read"))).toBe("Read")
        yield* socket.drain
        const waiting = yield* beginWaiting(foreign.wait("Read"))
        yield* socket.receive
        expect(yield* Fiber.join(waiting)).toBe("Read")
        // Nothing was read, so it is still ready: for this wait, and for one with a time limit.
        expect(yield* atOnce(foreign.wait("Read"))).toBe("Read")
        expect(yield* atOnce(foreign.wait("Read", { timeout: "1 hour" }))).toEqual(Option.some("Read"))
        expect(yield* registrations).toBe(1)
      }),
    "is the part of what is waited for": (world) =>
      Effect.gen(function* () {
        const socket = yield* world.socket
        const foreign = yield* ForeignFd.make({ fd: socket.fd })
        expect(yield* readiness(foreign)).toEqual(["wait", "Write", "Write"])
        yield* socket.receive
        expect(yield* readiness(foreign)).toEqual(["Read", "Write", "Both"])
        yield* socket.fill
        expect(yield* readiness(foreign)).toEqual(["Read", "wait", "Read"])
        yield* socket.drain
        const waiting = yield* beginWaiting(foreign.wait("Both"))
        yield* socket.makeRoom
        expect(yield* Fiber.join(waiting)).toBe("Write")
      }),
    "is something to read at the end of the input, and no room to write": (world) =>
      Effect.gen(function* () {
        const socket = yield* world.socket
        const foreign = yield* ForeignFd.make(socket.fd)
        yield* socket.fill
        const [reading, both] = yield* Effect.all([begin(foreign.wait("Read")), begin(foreign.wait("Both"))])
        const writing = yield* begin(foreign.wait("Write"))
        yield* expectWaiting(reading, both, writing)
        yield* socket.endInput
        expect([yield* Fiber.join(reading), yield* Fiber.join(both)]).toEqual(["Read", "Read"])
        yield* expectWaiting(writing)
        expect(yield* readiness(foreign)).toEqual(["Read", "wait", "Read"])
      }),
    "is everything after a hang-up": (world) =>
      Effect.gen(function* () {
        const socket = yield* world.socket
        const foreign = yield* ForeignFd.make(socket.fd)
        const reading = yield* beginWaiting(foreign.wait("Read"))
        yield* socket.hangUp
        expect(yield* Fiber.join(reading)).toBe("Read")
        expect(yield* readiness(foreign)).toEqual(["Read", "Write", "Both"])
      }),
    "is everything after a reset": (world) =>
      Effect.gen(function* () {
        const socket = yield* world.socket
        const foreign = yield* ForeignFd.make(socket.fd)
        const reading = yield* beginWaiting(foreign.wait("Read"))
        yield* socket.reset
        expect(yield* Fiber.join(reading)).toBe("Read")
        expect(yield* readiness(foreign)).toEqual(["Read", "Write", "Both"])
      }),
    "is a pipe whose reader is gone": (world) =>
      Effect.gen(function* () {
        const pipe = yield* world.pipeWriter
        const foreign = yield* ForeignFd.make(pipe.fd)
        yield* pipe.fill
        const writing = yield* beginWaiting(foreign.wait("Write"))
        yield* pipe.breakPipe
        expect(yield* Fiber.join(writing)).toBe("Write")
      }),
    "is always what cannot be polled": (world) =>
      Effect.gen(function* () {
        const foreign = yield* ForeignFd.make(yield* world.unpollable)
        if (world.kernel === "afd") {
          // On Windows it is no socket, and can be waited for in no way.
          expect(yield* outcome(foreign.wait("Read"))).toBe("NotPollable")
          return
        }
        expect(yield* readiness(foreign)).toEqual(["Read", "Write", "Both"])
        expect(yield* registrations).toBe(0)
      })
  },
  "ForeignFd: several fibers": {
    "go on waiting if one of them took what was there": (world) =>
      Effect.gen(function* () {
        const socket = yield* world.socket
        const foreign = yield* ForeignFd.make(socket.fd)
        const fibers = yield* Effect.forEach([1, 2, 3], () => begin(takeAll(foreign, socket)))
        for (const [index, fiber] of fibers.entries()) {
          yield* expectWaiting(...fibers.slice(index))
          yield* socket.receive
          expect(yield* Fiber.join(fiber)).toBe("Read")
        }
        expect(yield* waiters).toBe(0)
      }),
    "are all resumed if each leaves what is there": (world) =>
      Effect.gen(function* () {
        const socket = yield* world.socket
        const foreign = yield* ForeignFd.make(socket.fd)
        const fibers = yield* Effect.forEach([1, 2, 3], () => begin(foreign.wait("Read")))
        yield* expectWaiting(...fibers)
        yield* socket.receive
        expect(yield* Fiber.joinAll(fibers)).toEqual(["Read", "Read", "Read"])
      }),
    "wait for different events of one descriptor": (world) =>
      Effect.gen(function* () {
        const socket = yield* world.socket
        const foreign = yield* ForeignFd.make(socket.fd)
        yield* socket.fill
        const writing = yield* begin(foreign.wait("Write"))
        const reading = yield* begin(takeAll(foreign, socket))
        yield* expectWaiting(writing, reading)
        yield* socket.receive
        expect(yield* Fiber.join(reading)).toBe("Read")
        yield* expectWaiting(writing)
        const again = yield* begin(foreign.wait("Read"))
        yield* socket.makeRoom
        expect(yield* Fiber.join(writing)).toBe("Write")
        yield* expectWaiting(again)
        yield* socket.receive
        expect(yield* Fiber.join(again)).toBe("Read")
      }),
    "wait by two ForeignFds and a drive of one number": (world) =>
      Effect.gen(function* () {
        const socket = yield* world.socket
        const first = yield* ForeignFd.make(socket.fd)
        const second = yield* ForeignFd.make(() => socket.fd)
        const driven = ForeignFd.drive((ready) =>
          Effect.succeed(ready.length === 0 ? ForeignFd.waitFor(socket.fd, "Read") : ForeignFd.done(ready))
        )
        const fibers = yield* Effect.all([begin(takeAll(first, socket)), begin(takeAll(second, socket))])
        const driving = yield* begin(Effect.tap(driven, () => socket.drain))
        yield* expectWaiting(...fibers)
        expect(yield* registrations).toBe(1)
        for (let i = 0; i < 3; i++) {
          yield* socket.receive
          yield* readyNow
        }
        expect(yield* Fiber.joinAll(fibers)).toEqual(["Read", "Read"])
        expect(yield* Fiber.join(driving)).toEqual([{ fd: socket.fd, event: "Read" }])
        expect(yield* waiters).toBe(0)
      })
  },
  "ForeignFd: a descriptor that is replaced": {
    "between two waits, under another number": (world) =>
      Effect.gen(function* () {
        const [first, second] = yield* Effect.all([world.socket, world.socket])
        let { fd } = first
        const foreign = yield* ForeignFd.make(() => fd)
        yield* first.receive
        expect(yield* foreign.wait("Read")).toBe("Read")
        fd = second.fd
        const waiting = yield* beginWaiting(foreign.wait("Read"))
        yield* second.receive
        expect(yield* Fiber.join(waiting)).toBe("Read")
        expect(foreign.fd).toBe(second.fd)
        expect(yield* registrations).toBe(1)
      }),
    "between two waits, under the same number": (world) =>
      Effect.gen(function* () {
        const first = yield* world.socket
        const foreign = yield* ForeignFd.make(first.fd)
        yield* Fiber.interrupt(yield* beginWaiting(foreign.wait("Read")))
        yield* first.close
        const second = yield* world.socketAt(first.fd)
        const waiting = yield* beginWaiting(foreign.wait("Read"))
        yield* second.receive
        expect(yield* Fiber.join(waiting)).toBe("Read")
        expect(yield* registrations).toBe(1)
      }),
    "during a wait, under another number, with refresh": (world) =>
      Effect.gen(function* () {
        const [first, second] = yield* Effect.all([world.socket, world.socket])
        let { fd } = first
        const foreign = yield* ForeignFd.make(() => fd)
        const fibers = yield* Effect.all([begin(takeAll(foreign, second)), begin(takeAll(foreign, second))])
        yield* expectWaiting(...fibers)
        fd = second.fd
        yield* foreign.refresh
        yield* first.receive
        yield* expectWaiting(...fibers)
        yield* second.receive
        expect(yield* Fiber.join(fibers[0])).toBe("Read")
        yield* expectWaiting(fibers[1])
        yield* second.receive
        expect(yield* Fiber.join(fibers[1])).toBe("Read")
        expect(yield* registrations).toBe(1)
      }),
    "during a wait, under the same number, with refresh": (world) =>
      Effect.gen(function* () {
        const first = yield* world.socket
        const foreign = yield* ForeignFd.make(first.fd)
        const waiting = yield* beginWaiting(foreign.wait("Read"))
        yield* first.close
        const second = yield* world.socketAt(first.fd)
        yield* foreign.refresh
        yield* expectWaiting(waiting)
        yield* second.receive
        expect(yield* Fiber.join(waiting)).toBe("Read")
      }),
    "during a wait, by one that is ready, with refresh": (world) =>
      Effect.gen(function* () {
        const [first, second] = yield* Effect.all([world.socket, world.socket])
        let { fd } = first
        const foreign = yield* ForeignFd.make(() => fd)
        const waiting = yield* beginWaiting(foreign.wait("Read"))
        yield* second.receive
        fd = second.fd
        yield* foreign.refresh
        expect(yield* Fiber.join(waiting)).toBe("Read")
      }),
    "moves the fibers that wait when another wait finds it": (world) =>
      Effect.gen(function* () {
        const [first, second] = yield* Effect.all([world.socket, world.socket])
        let { fd } = first
        const foreign = yield* ForeignFd.make(() => fd)
        const waiting = yield* beginWaiting(foreign.wait("Read"))
        fd = second.fd
        const other = yield* begin(foreign.wait("Read"))
        yield* expectWaiting(waiting, other)
        yield* second.receive
        expect(yield* Fiber.joinAll([waiting, other])).toEqual(["Read", "Read"])
      }),
    "is asked for once a wait, even if the function never returns the same number": (world) =>
      Effect.gen(function* () {
        const sockets = yield* Effect.all([world.socket, world.socket])
        let asked = 0
        const foreign = yield* ForeignFd.make(() => sockets[asked++ % 2]!.fd)
        const fibers = yield* Effect.forEach([1, 2, 3, 4], () => begin(foreign.wait("Read")))
        expect(asked).toBe(4)
        yield* expectWaiting(...fibers)
        yield* sockets[1]!.receive
        expect(yield* Fiber.joinAll(fibers)).toEqual(["Read", "Read", "Read", "Read"])
      }),
    "by none fails the fibers that wait, with refresh": (world) =>
      Effect.gen(function* () {
        const socket = yield* world.socket
        let { fd } = socket
        const foreign = yield* ForeignFd.make(() => fd)
        const waiting = yield* beginWaiting(outcome(foreign.wait("Read")))
        fd = -1
        yield* foreign.refresh
        expect(yield* Fiber.join(waiting)).toBe("BadDescriptor")
        expect(yield* waiters).toBe(0)
      })
  },
  "ForeignFd: what cannot be waited for": {
    "fails with its reason, and leaves the next wait as it was": (world) =>
      Effect.gen(function* () {
        const socket = yield* world.socket
        const closed = yield* world.closedNumber
        yield* socket.receive
        let number: () => unknown = () => socket.fd
        const foreign = yield* ForeignFd.make(() => number() as number)
        for (const [next, reason] of [
          [() => -1, "BadDescriptor"],
          [() => closed, "BadDescriptor"],
          [() => Number.NaN, "InvalidArgument"],
          [() => 1.5, "InvalidArgument"],
          [() => 2 ** 40, "InvalidArgument"],
          [() => undefined, "InvalidArgument"],
          [() => 7n, "InvalidArgument"],
          [thrower, "InvalidArgument"]
        ] as const) {
          number = next
          expect(yield* outcome(foreign.wait("Read")), String(next)).toBe(reason)
          expect(yield* outcome(foreign.wait("Both", { timeout: 1 })), String(next)).toBe(reason)
          number = () => socket.fd
          expect(yield* foreign.wait("Read")).toBe("Read")
        }
        number = thrower
        const message = Effect.match(foreign.wait("Read"), { onFailure: (error) => error.message, onSuccess: String })
        expect(yield* message).toContain("the connection is gone")
        expect(foreign.fd).toBe(-1)
        expect(yield* waiters).toBe(0)
      }),
    "are an invalid event and an invalid timeout": (world) =>
      Effect.gen(function* () {
        const socket = yield* world.socket
        const foreign = yield* ForeignFd.make(socket.fd)
        yield* socket.receive
        for (const event of ["read", undefined, null, 1, "toString"]) {
          expect(yield* outcome(foreign.wait(event as Event.Event))).toBe("InvalidArgument")
        }
        for (const timeout of [-1, Number.NaN, "soon", null]) {
          expect(yield* outcome(foreign.wait("Read", { timeout: timeout as number })), String(timeout)).toBe(
            "InvalidArgument"
          )
        }
      }),
    "is a descriptor that is registered in another way, and the other way round": (world) =>
      Effect.gen(function* () {
        const [registered, watched, held] = yield* Effect.all([world.socket, world.socket, world.socket])
        yield* Registrar.register(registered, "Read")
        const other = yield* ForeignFd.make(registered.fd)
        expect(yield* outcome(other.wait("Read"))).toBe("AlreadyRegistered")
        // A look registers nothing.
        expect(yield* other.wait("Write")).toBe("Write")
        yield* registered.receive
        expect(yield* other.wait("Read")).toBe("Read")

        const asyncFd = yield* AsyncFd.make(watched.fd)
        const waiting = yield* begin(asyncFd.readable)
        expect(yield* outcome(Effect.flatMap(ForeignFd.make(watched.fd), ({ wait }) => wait("Read")))).toBe(
          "AlreadyRegistered"
        )
        yield* watched.receive
        yield* Fiber.join(waiting)

        const scope = yield* ownScope
        const foreign = yield* Scope.provide(ForeignFd.make(held.fd), scope)
        const reading = yield* beginWaiting(foreign.wait("Read"))
        expect(yield* outcome(Registrar.register(held, "Read"))).toBe("AlreadyRegistered")
        yield* held.receive
        expect(yield* Fiber.join(reading)).toBe("Read")
        yield* Scope.close(scope, Exit.void)
        expect(yield* outcome(Registrar.register(held, "Read"))).toBe("success")
      }),
    "is a number that was closed during the wait and registered in another way": (world) =>
      Effect.gen(function* () {
        const first = yield* world.socket
        const foreign = yield* ForeignFd.make(first.fd)
        const waiting = yield* beginWaiting(outcome(foreign.wait("Read")))
        yield* first.close
        const second = yield* world.socketAt(first.fd)
        const id = yield* Registrar.register(second, "Read")
        expect(yield* Fiber.join(waiting)).toBe("NotRegistered")
        expect(yield* outcome(foreign.wait("Read"))).toBe("AlreadyRegistered")
        yield* second.receive
        expect((yield* readyNow).map((notification) => notification.id)).toEqual([id])
      }),
    "is a number that was deregistered during the wait": (world) =>
      Effect.gen(function* () {
        const socket = yield* world.socket
        const foreign = yield* ForeignFd.make(socket.fd)
        const waiting = yield* beginWaiting(outcome(foreign.wait("Read")))
        yield* Registrar.deregister(socket)
        expect(yield* Fiber.join(waiting)).toBe("NotRegistered")
        const again = yield* beginWaiting(foreign.wait("Read"))
        yield* socket.receive
        expect(yield* Fiber.join(again)).toBe("Read")
      })
  },
  "ForeignFd: time": {
    "a timeout is never early, and gives none": (world) =>
      Effect.gen(function* () {
        const socket = yield* world.socket
        const foreign = yield* ForeignFd.make(socket.fd)
        for (const millis of [0.2, 1, 7]) {
          const from = yield* world.now
          const ready = yield* world.passing(Math.ceil(millis))(foreign.wait("Read", { timeout: millis }))
          expect(ready).toEqual(Option.none())
          expect((yield* world.now) - from).toBeGreaterThanOrEqual(millis)
        }
        expect(yield* waiters).toBe(0)
      }),
    "zero only looks, and an infinite timeout waits": (world) =>
      Effect.gen(function* () {
        const socket = yield* world.socket
        const foreign = yield* ForeignFd.make(socket.fd)
        expect(yield* atOnce(foreign.wait("Read", { timeout: 0 }))).toEqual(Option.none())
        expect(yield* registrations).toBe(0)
        for (const timeout of ["infinity", 1e12] as const) {
          const waiting = yield* beginWaiting(
            foreign.wait("Read", { timeout: timeout === "infinity" ? Infinity : timeout })
          )
          yield* socket.receive
          expect(yield* Fiber.join(waiting)).toEqual(Option.some("Read"))
          yield* socket.drain
        }
      }),
    "a timeout ends its own wait alone": (world) =>
      Effect.gen(function* () {
        const socket = yield* world.socket
        const foreign = yield* ForeignFd.make(socket.fd)
        const long = yield* begin(foreign.wait("Read", { timeout: "1 hour" }))
        const ever = yield* begin(foreign.wait("Read"))
        expect(yield* world.passing(2)(foreign.wait("Read", { timeout: 2 }))).toEqual(Option.none())
        yield* expectWaiting(long)
        yield* expectWaiting(ever)
        yield* socket.receive
        expect(yield* Fiber.join(long)).toEqual(Option.some("Read"))
        expect(yield* Fiber.join(ever)).toBe("Read")
      })
  },
  "ForeignFd: the end": {
    "an interrupted wait leaves nothing behind": (world) =>
      Effect.gen(function* () {
        const socket = yield* world.socket
        yield* Effect.scoped(
          Effect.gen(function* () {
            const foreign = yield* ForeignFd.make(socket.fd)
            const waits = [foreign.wait("Read"), Effect.asVoid(foreign.wait("Read", { timeout: "1 hour" }))]
            for (const wait of waits) {
              yield* Fiber.interrupt(yield* begin(wait))
              yield* Fiber.interrupt(yield* beginWaiting(wait))
            }
            expect(yield* waiters).toBe(0)
            yield* socket.receive
            // What came after the interruption is still there, and it is reported to no one else.
            expect(yield* readyNow).toEqual([])
            expect(yield* foreign.wait("Read")).toBe("Read")
          })
        )
        expect(yield* registrations).toBe(0)
        const { dispatcher } = yield* attachmentOf(yield* Registrar.Registrar)
        expect(Array.from(dispatcher.registrations.sources())).toEqual([])
      }),
    "the scope's end fails the waits with Closed, and leaves the descriptor open": (world) =>
      Effect.gen(function* () {
        const socket = yield* world.socket
        const scope = yield* ownScope
        const foreign = yield* Scope.provide(ForeignFd.make(socket.fd), scope)
        const fibers = yield* Effect.all([
          begin(outcome(foreign.wait("Read"))),
          begin(outcome(foreign.wait("Read", { timeout: "1 hour" })))
        ])
        yield* expectWaiting(...fibers)
        yield* Scope.close(scope, Exit.void)
        expect(yield* Fiber.joinAll(fibers)).toEqual(["Closed", "Closed"])
        yield* socket.receive
        expect(yield* outcome(foreign.wait("Read"))).toBe("Closed")
        yield* foreign.refresh
        expect([foreign.fd, String(foreign)]).toEqual([-1, "ForeignFd(closed)"])
        expect([yield* waiters, yield* registrations]).toEqual([0, 0])
        expect(yield* ForeignFd.make(socket.fd).pipe(Effect.flatMap(({ wait }) => wait("Read")))).toBe("Read")
      }),
    "the poller's end fails the waits with Closed": (world) =>
      Effect.gen(function* () {
        const socket = yield* world.socket
        const foreign = yield* ForeignFd.make(socket.fd)
        const driving = ForeignFd.drive(() => Effect.succeed(ForeignFd.waitFor(socket.fd, "Read")))
        const set = yield* ForeignFd.makeSet
        set.update(socket.fd, "Read")
        const fibers = yield* Effect.all([
          begin(outcome(foreign.wait("Read"))),
          begin(outcome(foreign.wait("Read", { timeout: "1 hour" }))),
          begin(outcome(driving)),
          begin(outcome(set.wait())),
          begin(outcome(set.wait({ timeout: "1 hour" })))
        ])
        yield* expectWaiting(...fibers)
        yield* world.close
        expect(yield* Fiber.joinAll(fibers)).toEqual(fibers.map(() => "Closed"))
        set.updateTimeout(0)
        set.update(socket.fd, "None")
        expect(yield* outcome(foreign.wait("Read"))).toBe("Closed")
        expect(yield* outcome(foreign.wait("Write", { timeout: 1 }))).toBe("Closed")
        expect(yield* outcome(driving)).toBe("Closed")
        expect(yield* outcome(set.wait())).toBe("Closed")
        expect(yield* outcome(set.wait({ timeout: 0 }))).toBe("Closed")
        expect(yield* waiters).toBe(0)
      })
  },
  "promise 8: if the polling thread dies by itself": {
    "waits for a library's descriptors fail with WorkerFailed": (world) =>
      Effect.gen(function* () {
        const socket = yield* world.socket
        const foreign = yield* ForeignFd.make(socket.fd)
        const set = yield* ForeignFd.makeSet
        const fibers = yield* Effect.all([
          begin(outcome(foreign.wait("Read"))),
          begin(outcome(foreign.wait("Read", { timeout: "1 hour" }))),
          begin(outcome(set.wait())),
          begin(outcome(ForeignFd.drive(() => Effect.succeed(ForeignFd.waitFor(socket.fd, "Read", { timeout: 9e9 })))))
        ])
        yield* expectWaiting(...fibers)
        yield* world.kill
        expect(yield* Fiber.joinAll(fibers)).toEqual(["WorkerFailed", "WorkerFailed", "WorkerFailed", "WorkerFailed"])
        expect(yield* outcome(foreign.wait("Read"))).toBe("WorkerFailed")
        expect(yield* outcome(set.wait())).toBe("WorkerFailed")
        expect(yield* waiters).toBe(0)
      })
  }
}
