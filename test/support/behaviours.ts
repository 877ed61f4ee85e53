/** The behaviours of registrations and their readiness. Each is a test that runs in every world. */
import { expect } from "@effect/vitest"
import { Effect, Queue } from "effect"
import { Poller, Registrar } from "effect-amy"
import { idsReadyNow, readyNow } from "./layers.ts"
import { outcome } from "./opened.ts"
import { said } from "./said.ts"
import type { Behaviour, World } from "./worlds.ts"

const saidNow = Effect.map(readyNow, (all) => all.map(said))

/** Returns once a notification was delivered, and leaves it in the queue. */
const delivered = Effect.flatMap(Poller.Poller, ({ queue }) => Effect.orDie(Queue.peek(queue)))

const registrations = Effect.flatMap(Poller.Poller, ({ stats }) => Effect.map(stats, (all) => all.registrations))

/**
 * Returns the flags for two closed ends. epoll reports both ends, and each filter of a kqueue its
 * own.
 */
const endsFor = (world: World, own: "readClosed" | "writeClosed") =>
  world.kernel === "kqueue" ? [own] : ["readClosed", "writeClosed"]

/** Returns the flags for a broken pipe. A kqueue and Windows report no error for it. */
const brokenFor = (world: World, end: "readClosed" | "writeClosed") => {
  if (world.kernel === "afd") return ["readClosed", "writeClosed"]
  return world.kernel === "kqueue" ? [end] : [end, "error"]
}

/** Whether the kernel reports each direction by itself. */
const reportsApart = ({ kernel }: World) => kernel !== "epoll"

/**
 * Whether each arrival is a change. On Windows only the first is, until an attempt has found nothing
 * more.
 */
const hasEdges = ({ kernel }: World) => kernel !== "afd"

/** Returns the flags for a connection that the peer has reset. Windows reports no error for it. */
const resetFor = (world: World) => [...endsFor(world, "readClosed"), ...(world.kernel === "afd" ? [] : ["error"])]

type Behaviours = { readonly [about: string]: { readonly [name: string]: Behaviour } }

export const readinessBehaviours: Behaviours = {
  "promise 3: edge-triggered by default": {
    "each change is reported once, and nothing is reported in between": (world) =>
      Effect.gen(function* () {
        const socket = yield* world.socket
        const id = yield* Registrar.register(socket, "Read")
        expect(yield* saidNow).toEqual([])
        yield* socket.receive
        expect(yield* saidNow).toEqual([{ id, event: "Read", flags: [] }])
        expect(yield* saidNow).toEqual([])
        // A second byte is a change, too, even if the first one was not read.
        yield* socket.receive
        expect(yield* saidNow).toEqual(hasEdges(world) ? [{ id, event: "Read", flags: [] }] : [])
        yield* socket.drain
        expect(yield* saidNow).toEqual([])
        yield* socket.receive
        expect(yield* saidNow).toEqual([{ id, event: "Read", flags: [] }])
      }),
    "a descriptor that is ready already is reported when it is registered": (world) =>
      Effect.gen(function* () {
        const socket = yield* world.socket
        yield* socket.receive
        const id = yield* Registrar.register(socket, "Read")
        expect(yield* idsReadyNow).toEqual([id])
        expect(yield* idsReadyNow).toEqual([])
      }),
    "readiness reaches the queue without a wait": (world) =>
      Effect.gen(function* () {
        const { queue } = yield* Poller.Poller
        const socket = yield* world.socket
        yield* socket.receive
        const id = yield* Effect.scoped(
          Effect.tap(Registrar.registerScoped(socket, "Read"), (id) =>
            Effect.map(Effect.orDie(Queue.take(queue)), (notification) => expect(notification.id).toBe(id))
          )
        )
        const next = yield* Registrar.register(socket, "Read")
        expect((yield* Effect.orDie(Queue.take(queue))).id).toBe(next)
        yield* Registrar.reregister(socket, next, "Read")
        expect((yield* Effect.orDie(Queue.take(queue))).id).toBe(next)
        expect(next).toBe(id + 1)
      }),
    "room to write is reported once, and again after there was no room": (world) =>
      Effect.gen(function* () {
        const socket = yield* world.socket
        const id = yield* Registrar.register(socket, "Write")
        expect(yield* saidNow).toEqual([{ id, event: "Write", flags: [] }])
        expect(yield* saidNow).toEqual([])
        yield* socket.fill
        expect(yield* saidNow).toEqual([])
        yield* socket.makeRoom
        expect(yield* saidNow).toEqual([{ id, event: "Write", flags: [] }])
      }),
    "a notification holds the whole readiness within the interest": (world) =>
      Effect.gen(function* () {
        const socket = yield* world.socket
        const id = yield* Registrar.register(socket, "Both")
        expect(yield* saidNow).toEqual([{ id, event: "Write", flags: [] }])
        yield* socket.receive
        // Each filter of a kqueue reports its own readiness alone.
        const event = reportsApart(world) ? "Read" : "Both"
        expect(yield* saidNow).toEqual([{ id, event, flags: [] }])
        yield* socket.fill
        if (!hasEdges(world)) yield* socket.drain
        yield* socket.receive
        expect(yield* saidNow).toEqual([{ id, event: "Read", flags: [] }])
      }),
    "a oneshot registration is reported once, and again after a reregister": (world) =>
      Effect.gen(function* () {
        const socket = yield* world.socket
        const id = yield* Registrar.register(socket, "Read", { mode: "oneshot" })
        yield* socket.receive
        expect(yield* idsReadyNow).toEqual([id])
        yield* socket.receive
        expect(yield* idsReadyNow).toEqual([])
        yield* Registrar.reregister(socket, id, "Read", { mode: "oneshot" })
        expect(yield* idsReadyNow).toEqual([id])
        yield* socket.receive
        expect(yield* idsReadyNow).toEqual([])
        // From here on the registration is edge-triggered.
        yield* Registrar.reregister(socket, id, "Read")
        expect(yield* idsReadyNow).toEqual([id])
        if (!hasEdges(world)) yield* socket.drain
        yield* socket.receive
        expect(yield* idsReadyNow).toEqual([id])
      }),
    "a oneshot registration for reading and writing is reported once in all": (world) =>
      Effect.gen(function* () {
        const socket = yield* world.socket
        yield* socket.fill
        const id = yield* Registrar.register(socket, "Both", { mode: "oneshot" })
        expect(yield* saidNow).toEqual([])
        yield* socket.receive
        expect(yield* saidNow).toEqual([{ id, event: "Read", flags: [] }])
        yield* socket.makeRoom
        expect(yield* saidNow).toEqual([])
      })
  },
  "promise 3: reregister": {
    "a reregistered descriptor that is ready is reported again": (world) =>
      Effect.gen(function* () {
        const socket = yield* world.socket
        const id = yield* Registrar.register(socket, "Read")
        yield* Registrar.reregister(socket, id, "Read")
        expect(yield* idsReadyNow).toEqual([])
        yield* socket.receive
        expect(yield* idsReadyNow).toEqual([id])
        yield* Registrar.reregister(socket, id, "Read")
        expect(yield* idsReadyNow).toEqual([id])
        yield* socket.drain
        yield* Registrar.reregister(socket, id, "Read")
        expect(yield* idsReadyNow).toEqual([])
      }),
    "reregister can widen the interest": (world) =>
      Effect.gen(function* () {
        const socket = yield* world.socket
        const id = yield* Registrar.register(socket, "Read")
        expect(yield* saidNow).toEqual([])
        yield* Registrar.reregister(socket, id, "Both")
        expect(yield* saidNow).toEqual([{ id, event: "Write", flags: [] }])
      }),
    "reregister can narrow the interest to reading": (world) =>
      Effect.gen(function* () {
        const socket = yield* world.socket
        const id = yield* Registrar.register(socket, "Both")
        expect(yield* saidNow).toEqual([{ id, event: "Write", flags: [] }])
        yield* Registrar.reregister(socket, id, "Read")
        expect(yield* saidNow).toEqual([])
        yield* socket.fill
        yield* socket.makeRoom
        expect(yield* saidNow).toEqual([])
        yield* socket.receive
        expect(yield* saidNow).toEqual([{ id, event: "Read", flags: [] }])
      }),
    "reregister can narrow the interest to writing": (world) =>
      Effect.gen(function* () {
        const socket = yield* world.socket
        yield* socket.fill
        const id = yield* Registrar.register(socket, "Both")
        yield* Registrar.reregister(socket, id, "Write")
        yield* socket.receive
        expect(yield* saidNow).toEqual([])
        yield* socket.makeRoom
        expect(yield* saidNow).toEqual([{ id, event: "Write", flags: [] }])
      })
  },
  "promise 4: nothing is lost, memory is bounded": {
    "reports of one registration merge into one notification while nothing takes it": (world) =>
      Effect.gen(function* () {
        const socket = yield* world.socket
        yield* socket.fill
        const id = yield* Registrar.register(socket, "Both")
        yield* socket.receive
        yield* delivered
        yield* socket.drain
        yield* socket.makeRoom
        expect(yield* saidNow).toEqual([{ id, event: "Both", flags: [] }])
        expect(yield* saidNow).toEqual([])
      }),
    "at most one notification of each registration waits, however often it changes": (world) =>
      Effect.gen(function* () {
        const { stats } = yield* Poller.Poller
        const sockets = yield* Effect.all([world.socket, world.socket, world.socket])
        const ids = yield* Effect.forEach(sockets, (socket) => Registrar.register(socket, "Read"))
        for (let round = 0; round < 50; round++) {
          for (const socket of sockets) yield* socket.receive
          yield* delivered
        }
        expect(yield* idsReadyNow).toEqual(ids)
        expect((yield* stats).notifications).toBe(3)
      }),
    "an edge that arrives while nothing takes notifications is still there later": (world) =>
      Effect.gen(function* () {
        const { queue, wait } = yield* Poller.Poller
        const socket = yield* world.socket
        const id = yield* Registrar.register(socket, "Read")
        yield* socket.receive
        yield* delivered
        expect((yield* Effect.orDie(Queue.take(queue))).id).toBe(id)
        if (!hasEdges(world)) yield* socket.drain
        yield* socket.receive
        expect((yield* wait("1 hour")).map(said)).toEqual([{ id, event: "Read", flags: [] }])
      })
  },
  "promise 5: no ghost": {
    "deregister removes a notification that waits in the queue": (world) =>
      Effect.gen(function* () {
        const [kept, socket] = yield* Effect.all([world.socket, world.socket])
        const keptId = yield* Registrar.register(kept, "Read")
        yield* Registrar.register(socket, "Read")
        yield* socket.receive
        yield* delivered
        yield* kept.receive
        yield* Registrar.deregister(socket)
        expect(yield* idsReadyNow).toEqual([keptId])
        yield* socket.receive
        expect(yield* idsReadyNow).toEqual([])
      }),
    "a former registration is not reported if its number is reused at once": (world) =>
      Effect.gen(function* () {
        const socket = yield* world.socket
        const id = yield* Registrar.register(socket, "Read")
        yield* socket.receive
        yield* delivered
        yield* Registrar.deregister(socket)
        yield* socket.close
        const next = yield* world.socketAt(socket.fd)
        const nextId = yield* Registrar.register(next, "Read")
        expect(nextId).toBeGreaterThan(id)
        expect(yield* idsReadyNow).toEqual([])
        yield* next.receive
        expect(yield* idsReadyNow).toEqual([nextId])
      }),
    "a descriptor that was closed without deregister is not reported after its number is reused": (world) =>
      Effect.gen(function* () {
        const socket = yield* world.socket
        yield* Registrar.register(socket, "Read")
        yield* socket.receive
        yield* delivered
        yield* socket.close
        const next = yield* world.socketAt(socket.fd)
        const nextId = yield* Registrar.register(next, "Read")
        expect(yield* idsReadyNow).toEqual([])
        yield* next.receive
        expect(yield* idsReadyNow).toEqual([nextId])
        expect(yield* registrations).toBe(1)
      }),
    "the end of registerScoped's scope deregisters": (world) =>
      Effect.gen(function* () {
        const socket = yield* world.socket
        yield* Effect.scoped(
          Effect.gen(function* () {
            yield* Registrar.registerScoped(socket, "Read")
            yield* socket.receive
            yield* delivered
          })
        )
        expect(yield* idsReadyNow).toEqual([])
        expect(yield* outcome(Registrar.deregister(socket))).toBe("NotRegistered")
      })
  },
  "promise 6: closed and failed ends are seen": {
    "the end of the peer's output is reported as readClosed": (world) =>
      Effect.gen(function* () {
        const socket = yield* world.socket
        const id = yield* Registrar.register(socket, "Read")
        yield* socket.endInput
        expect(yield* saidNow).toEqual([{ id, event: "Read", flags: ["readClosed"] }])
      }),
    "a half-close is reported for writing, too, if there is room": (world) =>
      Effect.gen(function* () {
        const socket = yield* world.socket
        const id = yield* Registrar.register(socket, "Write")
        expect(yield* saidNow).toEqual([{ id, event: "Write", flags: [] }])
        yield* socket.endInput
        // It is no event for what waits for writing alone.
        expect(yield* saidNow).toEqual(reportsApart(world) ? [] : [{ id, event: "Write", flags: [] }])
      }),
    "a hang-up is reported to a registration for reading": (world) =>
      Effect.gen(function* () {
        const socket = yield* world.socket
        const id = yield* Registrar.register(socket, "Read")
        yield* socket.hangUp
        expect(yield* saidNow).toEqual([{ id, event: "Read", flags: endsFor(world, "readClosed") }])
      }),
    "a hang-up is reported to a registration for writing": (world) =>
      Effect.gen(function* () {
        const socket = yield* world.socket
        yield* socket.fill
        const id = yield* Registrar.register(socket, "Write")
        expect(yield* saidNow).toEqual([])
        yield* socket.hangUp
        expect(yield* saidNow).toEqual([{ id, event: "Write", flags: endsFor(world, "writeClosed") }])
      }),
    "a hang-up before register is reported": (world) =>
      Effect.gen(function* () {
        const socket = yield* world.socket
        yield* socket.hangUp
        const id = yield* Registrar.register(socket, "Both")
        expect(yield* saidNow).toEqual([{ id, event: "Both", flags: ["readClosed", "writeClosed"] }])
      }),
    "a peer that closes with unread bytes is reported as an error": (world) =>
      Effect.gen(function* () {
        const socket = yield* world.socket
        const id = yield* Registrar.register(socket, "Read")
        yield* socket.reset
        expect(yield* saidNow).toEqual([{ id, event: "Read", flags: resetFor(world) }])
      }),
    "the end of a pipe's reader is reported as writeClosed": (world) =>
      Effect.gen(function* () {
        const writer = yield* world.pipeWriter
        const id = yield* Registrar.register(writer, "Write")
        expect(yield* saidNow).toEqual([{ id, event: "Write", flags: [] }])
        yield* writer.breakPipe
        expect(yield* saidNow).toEqual([{ id, event: "Write", flags: brokenFor(world, "writeClosed") }])
      }),
    'a notification that is neither readable nor writable has the event "Both"': (world) =>
      Effect.gen(function* () {
        const writer = yield* world.pipeWriter
        yield* writer.fill
        const id = yield* Registrar.register(writer, "Write")
        yield* writer.breakPipe
        // A kqueue reports it by the filter for writing.
        const event = reportsApart(world) ? "Write" : "Both"
        expect(yield* saidNow).toEqual([{ id, event, flags: brokenFor(world, "writeClosed") }])
      }),
    "an error is reported whatever the interest": (world) =>
      Effect.gen(function* () {
        const writer = yield* world.pipeWriter
        const id = yield* Registrar.register(writer, "Read")
        expect(yield* saidNow).toEqual([])
        yield* writer.breakPipe
        const event = reportsApart(world) ? "Read" : "Both"
        const flags = brokenFor(world, world.kernel === "kqueue" ? "readClosed" : "writeClosed")
        expect(yield* saidNow).toEqual([{ id, event, flags }])
      }),
    "out-of-band data is reported to a registration with priority": (world) =>
      Effect.gen(function* () {
        const { wait } = yield* Poller.Poller
        const socket = yield* world.urgentSocket
        const id = yield* Registrar.register(socket, "Read", { priority: true })
        yield* socket.urge
        const [notification] = yield* wait("10 seconds")
        expect(said(notification!)).toMatchObject({ id, flags: ["priority"] })
        yield* Registrar.reregister(socket, id, "Read")
        expect((yield* readyNow).filter(({ priority }) => priority)).toEqual([])
      })
  },
  "promise 12: registering what cannot be registered": {
    "a refused registration fails with its reason and changes nothing": (world) =>
      Effect.gen(function* () {
        const socket = yield* world.socket
        const other = yield* world.socket
        const unpollable = yield* world.unpollable
        const closedNumber = yield* world.closedNumber
        const id = yield* Registrar.register(socket, "Read")
        expect(yield* outcome(Registrar.register(closedNumber, "Read"))).toBe("BadDescriptor")
        expect(yield* outcome(Registrar.register(-1, "Read"))).toBe("BadDescriptor")
        expect(yield* outcome(Registrar.register(0.5, "Read"))).toBe("InvalidArgument")
        expect(yield* outcome(Registrar.register(NaN, "Read"))).toBe("InvalidArgument")
        expect(yield* outcome(Registrar.register(unpollable, "Read"))).toBe("NotPollable")
        expect(yield* outcome(Registrar.register(socket, "Write"))).toBe("AlreadyRegistered")
        expect(yield* outcome(Registrar.reregister(other, id, "Read"))).toBe("NotRegistered")
        expect(yield* outcome(Registrar.reregister(socket, Registrar.RegistrationId(id + 1), "Read"))).toBe(
          "NotRegistered"
        )
        expect(yield* outcome(Registrar.deregister(other))).toBe("NotRegistered")
        expect(yield* outcome(Registrar.register(other, "Read", { exclusive: true, mode: "oneshot" }))).toBe(
          "InvalidArgument"
        )
        expect(yield* registrations).toBe(1)
        yield* socket.receive
        expect(yield* saidNow).toEqual([{ id, event: "Read", flags: [] }])
        expect(yield* Registrar.register(other, "Read")).toBe(id + 1)
      }),
    "a number that is not open fails differently from one that is not registered": (world) =>
      Effect.gen(function* () {
        const socket = yield* world.socket
        const closedNumber = yield* world.closedNumber
        expect(yield* outcome(Registrar.deregister(closedNumber))).toBe("BadDescriptor")
        yield* Registrar.register(socket, "Read")
        yield* Registrar.deregister(socket)
        expect(yield* outcome(Registrar.deregister(socket))).toBe("NotRegistered")
      }),
    "an exclusive registration cannot be changed": (world) =>
      Effect.gen(function* () {
        const socket = yield* world.socket
        if (world.kernel !== "epoll") {
          // Only an epoll instance has exclusive registrations. The refusal registers nothing.
          expect(yield* outcome(Registrar.register(socket, "Read", { exclusive: true }))).toBe("UnsupportedPlatform")
          expect(yield* outcome(Registrar.deregister(socket))).toBe("NotRegistered")
          return
        }
        const id = yield* Registrar.register(socket, "Read", { exclusive: true })
        expect(yield* outcome(Registrar.reregister(socket, id, "Write"))).toBe("InvalidArgument")
        yield* socket.receive
        expect(yield* idsReadyNow).toEqual([id])
        yield* Registrar.deregister(socket)
      })
  },
  "promise 2: ids": {
    "ids begin with 1, rise, and are shared by registrations, timers and events": (world) =>
      Effect.gen(function* () {
        const socket = yield* world.socket
        const event = Effect.map(
          Effect.flatMap(Registrar.Registrar, (registrar) => registrar.userEvent),
          ({ id }) => id
        )
        expect(yield* Registrar.register(socket, "Read")).toBe(1)
        expect(yield* Registrar.timeout("1 hour")).toBe(2)
        expect(yield* event).toBe(3)
        expect(yield* Registrar.interval("1 hour")).toBe(4)
        yield* Registrar.deregister(socket)
        expect(yield* Registrar.register(socket, "Read")).toBe(5)
      })
  }
}
