/** The behaviours of `ForeignFd.drive`. They run in every world. */
import { expect } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { ForeignFd, Registrar } from "effect-amy"
import { attachmentOf } from "../../src/internal/delivery/registrar.ts"
import { readyNow } from "./layers.ts"
import { outcome } from "./opened.ts"
import { atOnce, begin, beginWaiting, type Behaviours, expectWaiting, registrations, waiters } from "./waiting.ts"

/** Returns how a drive of one step ends. */
const step = (step: ForeignFd.Step<never>) => outcome(ForeignFd.drive(() => Effect.succeed(step)))

export const driveBehaviours: Behaviours = {
  "ForeignFd.drive": {
    "returns at once what the first step gives": () =>
      Effect.gen(function* () {
        const steps: Array<ReadonlyArray<ForeignFd.ReadyFd>> = []
        const driven = ForeignFd.drive((ready) => {
          steps.push(ready)
          return Effect.succeed(ForeignFd.done(42))
        })
        expect(yield* atOnce(driven)).toBe(42)
        expect(steps).toEqual([[]])
      }),
    "makes a step whenever something is ready, and says what": (world) =>
      Effect.gen(function* () {
        const [first, second] = yield* Effect.all([world.socket, world.socket])
        const steps: Array<ReadonlyArray<ForeignFd.ReadyFd>> = []
        yield* second.fill
        const driving = yield* beginWaiting(
          ForeignFd.drive((ready) =>
            Effect.sync(() => {
              steps.push(ready)
              return steps.length > 2
                ? ForeignFd.done("all")
                : ForeignFd.waitForAny([
                    { fd: first.fd, event: "Read" },
                    { fd: second.fd, event: "Both" }
                  ])
            })
          )
        )
        yield* first.receive
        yield* readyNow
        // It is level-triggered: nothing was read.
        expect(yield* Fiber.join(driving)).toBe("all")
        const one = { fd: first.fd, event: "Read" }
        expect(steps).toEqual([[], [one], [one]])
        expect([yield* waiters, yield* registrations]).toEqual([0, 0])
      }),
    "waits for what a step names twice as for both": (world) =>
      Effect.gen(function* () {
        const { fd, receive } = yield* world.socket
        yield* receive
        const driven = ForeignFd.drive((ready) =>
          Effect.succeed(
            ready.length > 0
              ? ForeignFd.done(ready)
              : ForeignFd.waitForAny([
                  { fd, event: "Write" },
                  { fd, event: "Read" }
                ])
          )
        )
        expect(yield* driven).toEqual([{ fd, event: "Both" }])
      }),
    "makes a step without anything ready once the time is over": (world) =>
      Effect.gen(function* () {
        const socket = yield* world.socket
        for (const fds of [[], [{ fd: socket.fd, event: "Read" as const }]]) {
          let steps = 0
          const from = yield* world.now
          const driven = ForeignFd.drive((ready) => {
            expect(ready).toEqual([])
            return Effect.succeed(steps++ === 0 ? ForeignFd.waitForAny(fds, { timeout: 2 }) : ForeignFd.done(steps))
          })
          expect(yield* world.passing(2)(driven)).toBe(2)
          expect((yield* world.now) - from).toBeGreaterThanOrEqual(2)
        }
        let looks = 0
        const looking = ForeignFd.drive(() =>
          Effect.succeed(looks++ < 3 ? ForeignFd.waitFor(socket.fd, "Read", { timeout: 0 }) : ForeignFd.done(undefined))
        )
        yield* atOnce(looking)
        expect(looks).toBe(4)
      }),
    "waits for a descriptor that each step names anew": (world) =>
      Effect.gen(function* () {
        const sockets = yield* Effect.all([world.socket, world.socket, world.socket])
        let next = 0
        const driving = yield* begin(
          ForeignFd.drive(() =>
            Effect.sync(() => (next === 3 ? ForeignFd.done(next) : ForeignFd.waitFor(sockets[next++]!.fd, "Read")))
          )
        )
        for (const socket of sockets) {
          yield* expectWaiting(driving)
          expect(yield* registrations).toBe(1)
          yield* socket.receive
        }
        expect(yield* Fiber.join(driving)).toBe(3)
        expect(yield* registrations).toBe(0)
      }),
    "fails as its step does, and with the reason of what cannot be waited for": (world) =>
      Effect.gen(function* () {
        const socket = yield* world.socket
        const registered = yield* world.socket
        yield* Registrar.register(registered, "Read")
        const closed = yield* world.closedNumber
        expect(yield* step(ForeignFd.waitForAny([]))).toBe("InvalidArgument")
        expect(yield* step(ForeignFd.waitForAny([], { timeout: Infinity }))).toBe("InvalidArgument")
        expect(yield* step(ForeignFd.waitFor(socket.fd, "Read", { timeout: -1 }))).toBe("InvalidArgument")
        expect(yield* step(ForeignFd.waitFor(socket.fd, "read" as "Read"))).toBe("InvalidArgument")
        expect(yield* step(ForeignFd.waitFor(Number.NaN, "Read"))).toBe("InvalidArgument")
        expect(yield* step(ForeignFd.waitFor(-1, "Read"))).toBe("BadDescriptor")
        expect(yield* step(ForeignFd.waitFor(closed, "Read"))).toBe("BadDescriptor")
        expect(
          yield* step(
            ForeignFd.waitForAny([
              { fd: socket.fd, event: "Read" },
              { fd: registered.fd, event: "Read" }
            ])
          )
        ).toBe("AlreadyRegistered")
        const failing = ForeignFd.drive((ready) =>
          ready.length === 0 ? Effect.succeed(ForeignFd.waitFor(socket.fd, "Write")) : Effect.fail("the step's own")
        )
        expect(yield* Effect.match(failing, { onFailure: String, onSuccess: String })).toBe("the step's own")
        expect([yield* waiters, yield* registrations]).toEqual([0, 1])
      }),
    "leaves nothing behind if it is interrupted": (world) =>
      Effect.gen(function* () {
        const [first, second] = yield* Effect.all([world.socket, world.socket])
        const fds = [first, second].map(({ fd }) => ({ fd, event: "Read" as const }))
        for (const options of [undefined, { timeout: "1 hour" }] as const) {
          const driving = yield* beginWaiting(ForeignFd.drive(() => Effect.succeed(ForeignFd.waitForAny(fds, options))))
          expect(yield* registrations).toBe(2)
          yield* Fiber.interrupt(driving)
        }
        const stepping = yield* begin(ForeignFd.drive(() => Effect.never))
        yield* Fiber.interrupt(stepping)
        const { dispatcher } = yield* attachmentOf(yield* Registrar.Registrar)
        expect(Array.from(dispatcher.registrations.sources())).toEqual([])
        expect([yield* waiters, yield* registrations]).toEqual([0, 0])
      })
  }
}
