/** The behaviours of `ForeignFd.drive`. They run in every world. */
import { expect } from "@effect/vitest"
import { Effect, Fiber, Latch } from "effect"
import { ForeignFd, Registrar } from "effect-amy"
import { attachmentOf } from "../../src/internal/delivery/registrar.ts"
import { readyNow } from "./layers.ts"
import { until } from "./observe.ts"
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
        for (const nothing of [undefined, null, {}]) {
          expect(yield* step(nothing as unknown as ForeignFd.Step<never>)).toBe("InvalidArgument")
        }
        for (const noFunction of [undefined, Effect.succeed(ForeignFd.done(1))]) {
          const steps = noFunction as unknown as () => Effect.Effect<ForeignFd.Step<number>>
          expect(yield* outcome(ForeignFd.drive(steps))).toBe("InvalidArgument")
          expect(yield* outcome((yield* ForeignFd.makeDriver(steps)).run)).toBe("InvalidArgument")
        }
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
  },
  "ForeignFd.makeDriver": {
    "runs a step when it is woken, and no fiber runs inside of the wake": (world) =>
      Effect.gen(function* () {
        const socket = yield* world.socket
        const queries: Array<string> = []
        const log: Array<string> = []
        const driver = yield* ForeignFd.makeDriver((ready) =>
          Effect.sync(() => {
            expect(ready).toEqual([])
            log.push(`step ${queries.join()}`)
            return queries.length === 2 ? ForeignFd.done(queries) : ForeignFd.waitFor(socket.fd, "Read")
          })
        )
        driver.wake()
        expect(ForeignFd.isForeignFdDriver(driver)).toBe(true)
        expect(String(driver)).toBe("ForeignFdDriver(idle)")
        const driving = yield* beginWaiting(driver.run)
        expect(String(driver)).toBe("ForeignFdDriver(running)")
        const put = (query: string) =>
          Effect.sync(() => {
            queries.push(query)
            driver.wake()
            driver.wake()
            log.push(`put ${query}`)
          })
        yield* put("a")
        yield* until(() => log.includes("step a"))
        yield* expectWaiting(driving)
        yield* put("b")
        expect(yield* Fiber.join(driving)).toEqual(["a", "b"])
        expect(log).toEqual(["step ", "put a", "step a", "put b", "step a,b"])
        driver.wake()
        expect([yield* waiters, yield* registrations]).toEqual([0, 0])
      }),
    "runs another step if it is woken during one, though nothing is ready": (world) =>
      Effect.gen(function* () {
        const socket = yield* world.socket
        for (const timeout of [undefined, "1 hour", Infinity] as const) {
          const gate = Latch.makeUnsafe(false)
          let steps = 0
          const driver = yield* ForeignFd.makeDriver(() =>
            Effect.as(
              gate.await,
              ++steps < 2 ? ForeignFd.waitFor(socket.fd, "Read", { timeout }) : ForeignFd.done(steps)
            )
          )
          const driving = yield* begin(driver.run)
          driver.wake()
          yield* gate.open
          expect(yield* Fiber.join(driving)).toBe(2)
        }
      }),
    "waits for a wake alone, for time, and for what is ready, and can be run again": (world) =>
      Effect.gen(function* () {
        const socket = yield* world.socket
        let next: ForeignFd.Step<number> = ForeignFd.waitForAny([])
        const seen: Array<ReadonlyArray<ForeignFd.ReadyFd>> = []
        const driver = yield* ForeignFd.makeDriver((ready) =>
          Effect.sync(() => {
            seen.push(ready)
            return next
          })
        )
        const driving = yield* beginWaiting(driver.run)
        next = ForeignFd.waitFor(socket.fd, "Read")
        driver.wake()
        yield* until(() => seen.length === 2)
        yield* expectWaiting(driving)
        next = ForeignFd.done(1)
        yield* socket.receive
        expect(yield* Fiber.join(driving)).toBe(1)
        expect(seen).toEqual([[], [], [{ fd: socket.fd, event: "Read" }]])
        next = ForeignFd.waitForAny([])
        const fibers = yield* Effect.all([beginWaiting(driver.run), beginWaiting(driver.run)])
        next = ForeignFd.done(2)
        driver.wake()
        expect(yield* Fiber.joinAll(fibers)).toEqual([2, 2])
      }),
    "forgets what the step before a wake has named, which may have been closed": (world) =>
      Effect.gen(function* () {
        const [first, second] = yield* Effect.all([world.socket, world.socket])
        let { fd } = first
        const driver = yield* ForeignFd.makeDriver((ready) =>
          Effect.succeed(ready.length > 0 ? ForeignFd.done(ready) : ForeignFd.waitFor(fd, "Read"))
        )
        const driving = yield* beginWaiting(driver.run)
        yield* first.close
        fd = second.fd
        driver.wake()
        yield* expectWaiting(driving)
        yield* second.receive
        expect(yield* Fiber.join(driving)).toEqual([{ fd: second.fd, event: "Read" }])
        expect(yield* registrations).toBe(0)
      }),
    "leaves nothing behind if it is interrupted, and does nothing if it is woken then": (world) =>
      Effect.gen(function* () {
        const socket = yield* world.socket
        let steps = 0
        const driver = yield* ForeignFd.makeDriver(() =>
          Effect.sync(() => {
            steps++
            return ForeignFd.waitFor(socket.fd, "Read")
          })
        )
        const driving = yield* beginWaiting(driver.run)
        driver.wake()
        yield* Fiber.interrupt(driving)
        driver.wake()
        yield* readyNow
        expect([steps, String(driver)]).toEqual([1, "ForeignFdDriver(idle)"])
        expect([yield* waiters, yield* registrations]).toEqual([0, 0])
      }),
    "fails with Closed once the poller is closed, however often it is woken": (world) =>
      Effect.gen(function* () {
        const socket = yield* world.socket
        const driver = yield* ForeignFd.makeDriver(() => Effect.succeed(ForeignFd.waitFor(socket.fd, "Read")))
        const driving = yield* beginWaiting(outcome(driver.run))
        yield* world.close
        driver.wake()
        expect(yield* Fiber.join(driving)).toBe("Closed")
        expect(yield* outcome(driver.run)).toBe("Closed")
      })
  }
}
