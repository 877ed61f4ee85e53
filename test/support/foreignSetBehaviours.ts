/** The behaviours of a set of descriptors that a library names. They run in every world. */
import { expect } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import { type Event, ForeignFd, Registrar } from "effect-amy"
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
import type { Socket, World } from "./worlds.ts"

/** Makes a set of a number of sockets that are waited for. */
const setOf = (world: World, count: number, event: Event.Event = "Read") =>
  Effect.gen(function* () {
    const sockets: Array<Socket> = []
    for (let i = 0; i < count; i++) sockets.push(yield* world.socket)
    const set = yield* ForeignFd.makeSet
    for (const { fd } of sockets) set.update(fd, event)
    return { set, sockets }
  })

/** Runs a plain function as a library does that calls back, and expects that no fiber runs within. */
const inCallback = (log: Array<string>, callback: () => void) =>
  Effect.sync(() => {
    log.push("called")
    callback()
    log.push("returned")
  })

export const setBehaviours: Behaviours = {
  "ForeignFdSet: what is ready": {
    "is returned for as long as it is ready": (world) =>
      Effect.gen(function* () {
        const { set, sockets } = yield* setOf(world, 3)
        const waiting = yield* beginWaiting(set.wait())
        yield* sockets[1]!.receive
        const second = { fd: sockets[1]!.fd, event: "Read" }
        expect(yield* Fiber.join(waiting)).toEqual([second])
        expect(yield* atOnce(set.wait())).toEqual([second])
        yield* sockets[2]!.receive
        expect((yield* atOnce(set.wait())).toSorted((a, b) => a.fd - b.fd)).toEqual(
          [second, { fd: sockets[2]!.fd, event: "Read" }].toSorted((a, b) => a.fd - b.fd)
        )
        for (const { drain } of sockets) yield* drain
        yield* Fiber.interrupt(yield* beginWaiting(set.wait()))
        expect([set.size, String(set), yield* waiters]).toEqual([3, "ForeignFdSet(3)", 0])
      }),
    "follows what update asks for": (world) =>
      Effect.gen(function* () {
        const { set, sockets } = yield* setOf(world, 1)
        const { drain, fd, fill, receive } = sockets[0]!
        const now = Effect.map(set.wait({ timeout: 0 }), (ready) => ready.map(({ event }) => event))
        expect(yield* now).toEqual([])
        set.update(fd, "Write")
        expect(yield* now).toEqual(["Write"])
        set.update(fd, "Both")
        expect(yield* now).toEqual(["Write"])
        yield* receive
        expect(yield* now).toEqual(["Both"])
        yield* fill
        expect(yield* now).toEqual(["Read"])
        set.update(fd, "Write")
        expect(yield* now).toEqual([])
        set.update(fd, "Read")
        set.update(fd, "Read")
        expect(yield* now).toEqual(["Read"])
        set.update(fd, "None")
        set.update(fd, "None")
        expect(yield* now).toEqual([])
        expect(set.size).toBe(0)
        yield* drain
      }),
    "is something to read at the end of the input, and everything after a hang-up": (world) =>
      Effect.gen(function* () {
        const { set, sockets } = yield* setOf(world, 1, "Both")
        const [socket] = sockets
        yield* socket!.fill
        const waiting = yield* beginWaiting(set.wait())
        yield* socket!.endInput
        expect(yield* Fiber.join(waiting)).toEqual([{ fd: socket!.fd, event: "Read" }])
        yield* socket!.makeRoom
        yield* socket!.hangUp
        expect(yield* set.wait()).toEqual([{ fd: socket!.fd, event: "Both" }])
      }),
    "resumes a fiber that waits, once update asks for it": (world) =>
      Effect.gen(function* () {
        const socket = yield* world.socket
        const set = yield* ForeignFd.makeSet
        const log: Array<string> = []
        const waiting = yield* beginWaiting(Effect.tap(set.wait(), () => Effect.sync(() => log.push("resumed"))))
        yield* inCallback(log, () => set.update(socket.fd, "Write"))
        expect(yield* Fiber.join(waiting)).toEqual([{ fd: socket.fd, event: "Write" }])
        expect(log).toEqual(["called", "returned", "resumed"])
      }),
    "lets the others wait if one fiber took it": (world) =>
      Effect.gen(function* () {
        const { set, sockets } = yield* setOf(world, 2)
        const take = Effect.tap(set.wait(), ([ready]) => sockets.find(({ fd }) => fd === ready!.fd)!.drain)
        const fibers = yield* Effect.all([begin(take), begin(take)])
        for (const [index, fiber] of fibers.entries()) {
          yield* expectWaiting(...fibers.slice(index))
          yield* sockets[index]!.receive
          expect(yield* Fiber.join(fiber)).toEqual([{ fd: sockets[index]!.fd, event: "Read" }])
        }
      }),
    "is not a descriptor that was removed or closed": (world) =>
      Effect.gen(function* () {
        const { set, sockets } = yield* setOf(world, 2)
        for (const { receive } of sockets) yield* receive
        set.update(sockets[0]!.fd, "None")
        yield* sockets[1]!.close
        const waiting = yield* beginWaiting(set.wait())
        // A library may close its descriptor before it says so.
        set.update(sockets[1]!.fd, "None")
        expect(set.size).toBe(0)
        const next = yield* world.socketAt(sockets[1]!.fd)
        yield* next.receive
        yield* expectWaiting(waiting)
        set.update(next.fd, "Read")
        expect(yield* Fiber.join(waiting)).toEqual([{ fd: next.fd, event: "Read" }])
      }),
    "is independent of registrations, of other sets and of other waits": (world) =>
      Effect.gen(function* () {
        const { set, sockets } = yield* setOf(world, 1)
        const { fd, receive } = sockets[0]!
        const other = yield* ForeignFd.makeSet
        other.update(fd, "Read")
        const id = yield* Registrar.register(fd, "Read")
        const fibers = yield* Effect.all([begin(set.wait()), begin(other.wait())])
        yield* expectWaiting(...fibers)
        yield* receive
        const ready = [{ fd, event: "Read" }]
        expect(yield* Fiber.joinAll(fibers)).toEqual([ready, ready])
        expect((yield* readyNow).map((notification) => notification.id)).toEqual([id])
      })
  },
  "ForeignFdSet: keys": {
    "of one descriptor are waited for together, and each gets its part": (world) =>
      Effect.gen(function* () {
        const socket = yield* world.socket
        const { fd } = socket
        const set = yield* ForeignFd.makeKeyedSet<object>()
        const [reading, writing, both] = [{}, {}, {}]
        const now = Effect.map(set.wait({ timeout: 0 }), (ready) => ready.map(({ event, key }) => [key, event]))
        set.update(fd, "Read", reading)
        set.update(fd, "Write", writing)
        expect(set.size).toBe(1)
        expect(yield* now).toEqual([[writing, "Write"]])
        yield* socket.receive
        set.update(fd, "Both", both)
        const found = yield* now
        expect(found.map(([, event]) => event)).toEqual(["Read", "Write", "Both"])
        // Equal objects, so that only identity tells them apart.
        for (const [index, key] of [reading, writing, both].entries()) expect(found[index]![0]).toBe(key)
        set.update(fd, "Read", both)
        set.update(fd, "None", writing)
        expect((yield* now).map(([, event]) => event)).toEqual(["Read", "Read"])
        yield* socket.drain
        set.update(fd, "None", both)
        const waiting = yield* beginWaiting(set.wait())
        set.update(fd, "Write", writing)
        expect((yield* Fiber.join(waiting)).map(({ event, key }) => [key === writing, event])).toEqual([
          [true, "Write"]
        ])
        set.update(fd, "None", writing)
        set.update(fd, "None", writing)
        expect([set.size, yield* now]).toEqual([1, []])
        set.update(fd, "None", reading)
        expect([set.size, yield* now]).toEqual([0, []])
      }),
    "may be those of other descriptors, too, and are removed without an error after a close": (world) =>
      Effect.gen(function* () {
        const [first, second] = yield* Effect.all([world.socket, world.socket])
        const set = yield* ForeignFd.makeKeyedSet<string>()
        for (const { fd } of [first, second]) {
          set.update(fd, "Read", "reading")
          set.update(fd, "Write", "writing")
        }
        yield* first.close
        set.update(first.fd, "None", "reading")
        set.update(first.fd, "None", "writing")
        expect(set.size).toBe(1)
        expect(yield* set.wait()).toEqual([{ fd: second.fd, event: "Write", key: "writing" }])
        set.update(second.fd, "write" as "Write", "reading")
        expect(yield* outcome(set.wait())).toBe("InvalidArgument")
        yield* second.receive
        expect((yield* set.wait()).map(({ event, key }) => `${key} ${event}`)).toEqual([
          "reading Read",
          "writing Write"
        ])
      })
  },
  "ForeignFdSet: an update that cannot be done": {
    "fails the next wait, once, and changes nothing": (world) =>
      Effect.gen(function* () {
        const { set, sockets } = yield* setOf(world, 1)
        yield* sockets[0]!.receive
        const file = yield* world.unpollable
        const closed = yield* world.closedNumber
        const bad: ReadonlyArray<readonly [reason: string, update: () => void]> = [
          ["BadDescriptor", () => set.update(-1, "Read")],
          ["BadDescriptor", () => set.update(closed, "Both")],
          ["NotPollable", () => set.update(file, "Read")],
          ["InvalidArgument", () => set.update(Number.NaN, "Read")],
          ["InvalidArgument", () => set.update(Object.create(null) as number, "Read")],
          ["InvalidArgument", () => set.update(Symbol() as unknown as number, "None")],
          ["InvalidArgument", () => set.update(sockets[0]!.fd, "none" as "None")],
          ["InvalidArgument", () => set.update(sockets[0]!.fd, undefined as unknown as "None")],
          ["InvalidArgument", () => set.updateTimeout(-1)],
          ["InvalidArgument", () => set.updateTimeout(Number.NaN)],
          ["InvalidArgument", () => set.updateTimeout(Symbol() as unknown as number)]
        ]
        for (const [reason, update] of bad) {
          update()
          expect(yield* outcome(set.wait()), String(update)).toBe(reason)
          expect(yield* set.wait(), String(update)).toEqual([{ fd: sockets[0]!.fd, event: "Read" }])
        }
        for (const fd of [-1, closed, file, 12_345]) set.update(fd, "None")
        expect(yield* set.wait()).toEqual([{ fd: sockets[0]!.fd, event: "Read" }])
        expect(set.size).toBe(1)
      }),
    "fails the fibers that wait, and none of them runs inside of update": (world) =>
      Effect.gen(function* () {
        const { set, sockets } = yield* setOf(world, 1)
        const log: Array<string> = []
        const failing = Effect.tap(outcome(set.wait()), (tag) => Effect.sync(() => log.push(tag)))
        const fibers = yield* Effect.all([begin(failing), begin(failing)])
        yield* expectWaiting(...fibers)
        yield* inCallback(log, () => {
          set.update(-1, "Read")
          set.update(Number.NaN, "Read")
        })
        yield* Fiber.joinAll(fibers)
        expect(log).toEqual(["called", "returned", "BadDescriptor", "BadDescriptor"])
        yield* sockets[0]!.receive
        expect(yield* set.wait()).toHaveLength(1)
      }),
    "is one of an invalid timeout of a wait": (world) =>
      Effect.gen(function* () {
        const { set } = yield* setOf(world, 1)
        for (const timeout of [-1, Number.NaN, "soon"]) {
          expect(yield* outcome(set.wait({ timeout: timeout as number }))).toBe("InvalidArgument")
        }
      })
  },
  "ForeignFdSet: time": {
    "the time of updateTimeout ends one wait, with nothing": (world) =>
      Effect.gen(function* () {
        const { set, sockets } = yield* setOf(world, 1)
        const from = yield* world.now
        set.updateTimeout(3)
        expect(yield* world.passing(3)(set.wait())).toEqual([])
        expect((yield* world.now) - from).toBeGreaterThanOrEqual(3)
        const waiting = yield* beginWaiting(set.wait())
        yield* sockets[0]!.receive
        expect(yield* Fiber.join(waiting)).toHaveLength(1)
      }),
    "a time that was over before the wait ends it as well, though something is ready": (world) =>
      Effect.gen(function* () {
        const { set, sockets } = yield* setOf(world, 1)
        yield* sockets[0]!.receive
        const other = yield* ForeignFd.makeSet
        set.updateTimeout(1)
        yield* world.passing(2)(other.wait({ timeout: 2 }))
        expect(yield* set.wait()).toEqual([])
        expect(yield* set.wait()).toHaveLength(1)
      }),
    "zero ends the wait that goes on or the next one": (world) =>
      Effect.gen(function* () {
        const { set } = yield* setOf(world, 1)
        set.updateTimeout(0)
        expect(yield* set.wait()).toEqual([])
        const log: Array<string> = []
        const waiting = yield* beginWaiting(Effect.tap(set.wait(), () => Effect.sync(() => log.push("resumed"))))
        yield* inCallback(log, () => set.updateTimeout(0))
        expect(yield* Fiber.join(waiting)).toEqual([])
        expect(log).toEqual(["called", "returned", "resumed"])
        yield* Fiber.interrupt(yield* beginWaiting(set.wait()))
      }),
    "a time is replaced, and removed": (world) =>
      Effect.gen(function* () {
        const { set } = yield* setOf(world, 1)
        const other = yield* ForeignFd.makeSet
        const pass = world.passing(4)(other.wait({ timeout: 4 }))
        for (const last of [undefined, Infinity, "1 hour"] as const) {
          const waiting = yield* beginWaiting(set.wait())
          set.updateTimeout(1)
          set.updateTimeout(2)
          set.updateTimeout(last)
          yield* pass
          yield* expectWaiting(waiting)
          yield* Fiber.interrupt(waiting)
          set.updateTimeout(1)
          set.updateTimeout(last)
          yield* pass
          const next = yield* beginWaiting(set.wait())
          yield* Fiber.interrupt(next)
        }
        set.updateTimeout("1 hour")
        set.updateTimeout(1)
        expect(yield* world.passing(1)(set.wait())).toEqual([])
      }),
    "the wait's own timeout leaves the set's": (world) =>
      Effect.gen(function* () {
        const { set } = yield* setOf(world, 1)
        set.updateTimeout("1 hour")
        expect(yield* world.passing(1)(set.wait({ timeout: 1 }))).toEqual([])
        yield* Fiber.interrupt(yield* beginWaiting(set.wait()))
        expect(yield* atOnce(set.wait({ timeout: 0 }))).toEqual([])
      })
  },
  "ForeignFdSet: the end": {
    "of its scope fails the waits with Closed, and leaves the descriptors open": (world) =>
      Effect.gen(function* () {
        const socket = yield* world.socket
        const scope = yield* ownScope
        const set = yield* Scope.provide(ForeignFd.makeSet, scope)
        set.update(socket.fd, "Read")
        set.updateTimeout("1 hour")
        const waiting = yield* beginWaiting(outcome(set.wait()))
        yield* Scope.close(scope, Exit.void)
        expect(yield* Fiber.join(waiting)).toBe("Closed")
        set.update(socket.fd, "Write")
        set.update(-1, "Write")
        set.updateTimeout(0)
        expect(yield* outcome(set.wait())).toBe("Closed")
        expect(String(set)).toBe("ForeignFdSet(closed)")
        const { dispatcher } = yield* attachmentOf(yield* Registrar.Registrar)
        expect(Array.from(dispatcher.registrations.sources())).toEqual([])
        expect([yield* waiters, yield* registrations]).toEqual([0, 0])
        yield* socket.receive
        expect(yield* Effect.flatMap(ForeignFd.make(socket.fd), ({ wait }) => wait("Read"))).toBe("Read")
      }),
    "of an interrupted wait leaves nothing behind": (world) =>
      Effect.gen(function* () {
        const { set, sockets } = yield* setOf(world, 1)
        for (const wait of [set.wait(), set.wait({ timeout: "1 hour" })]) {
          yield* Fiber.interrupt(yield* begin(wait))
          yield* Fiber.interrupt(yield* beginWaiting(wait))
        }
        expect(yield* waiters).toBe(0)
        yield* sockets[0]!.receive
        expect(yield* set.wait()).toHaveLength(1)
      })
  }
}
