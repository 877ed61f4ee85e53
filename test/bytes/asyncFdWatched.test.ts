/** What an `AsyncFd` watches, what it refuses, and that no other consumer gets its reports. */
import { expect, it } from "@effect/vitest"
import { Effect, Fiber, Option } from "effect"
import { AsyncFd, Poller, Registrar } from "effect-amy"
import { openSync } from "node:fs"
import * as Kernel from "../support/kernel.ts"
import { readyNow } from "../support/layers.ts"
import { outcome } from "../support/opened.ts"
import { atOnce, beginWaiting, describeTwoLayers, expectToWait, scopedFds, watchedPair } from "../support/watched.ts"
import { contentsOf } from "../../src/internal/layers/pollerHandle.ts"

/** Returns the outcome of watching a descriptor. */
const make = (fd: number, options?: AsyncFd.MakeOptions) => outcome(Effect.scoped(AsyncFd.make(fd, options)))

/** An attempt that makes a call of the program's own. */
const readOne = (fd: number) => Effect.sync(() => Option.liftPredicate(Kernel.read(fd, 1), (count) => count >= 0))

describeTwoLayers("AsyncFd: what is watched", (layer) => {
  it.live("a direction that is waited for is watched from then on, and its present readiness is reported", () =>
    Effect.gen(function* () {
      const [near, far] = yield* scopedFds(Kernel.tcpPair)
      Kernel.write(far)
      const watched = yield* AsyncFd.make(near, { event: "Write" })
      yield* watched.writable
      Kernel.fill(near)
      yield* expectToWait(watched.write(new Uint8Array(1)))
      yield* watched.readable
      Kernel.drain(near)
      yield* expectToWait(watched.read(new Uint8Array(1)))
      const urgent = yield* beginWaiting(watched.priority)
      Kernel.sendOutOfBand(far)
      yield* Fiber.join(urgent)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  for (const options of [{ priority: true }, { event: "Read", priority: true }, { event: "Read" }, {}] as const) {
    it.live(`priority returns for urgent data, and only for that (${JSON.stringify(options)})`, () =>
      Effect.gen(function* () {
        const { far, watched } = yield* watchedPair(options, Kernel.tcpPair)
        const urgent = yield* beginWaiting(watched.priority)
        Kernel.write(far)
        yield* watched.readable
        yield* readyNow
        expect(urgent.pollUnsafe()).toBeUndefined()
        Kernel.sendOutOfBand(far)
        const ready = yield* Fiber.join(urgent)
        expect(ready).toMatchObject({ readClosed: false, writeClosed: false, error: false })
        // The kernel may report it twice: for the announcement, and for the byte.
        yield* readyNow
        yield* (yield* atOnce(watched.priority)).clear
        yield* expectToWait(watched.priority)
      }).pipe(Effect.scoped, Effect.provide(layer()))
    )
  }

  it.live("its reports never come out of Poller.queue", () =>
    Effect.gen(function* () {
      const poller = yield* Poller.Poller
      const { far, near, watched } = yield* watchedPair()
      const [other] = yield* scopedFds(() => [Kernel.source()] as const)
      const id = yield* Registrar.register(other, "Read")
      // No fiber waits, one waits, and none waits any more.
      Kernel.write(far)
      expect(yield* poller.wait(0)).toEqual([])
      yield* watched.readable
      Kernel.drain(near)
      const waiting = yield* beginWaiting(watched.readWhenReady(readOne(near)))
      Kernel.write(far)
      yield* Fiber.join(waiting)
      Kernel.write(far)
      Kernel.signal(other)
      expect((yield* poller.wait(0)).map((one) => one.id)).toEqual([id])
      expect((yield* poller.stats).registrations).toBe(2)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("promise 12: a descriptor that cannot be registered is refused with the reason, and nothing changes", () =>
    Effect.gen(function* () {
      const poller = yield* Poller.Poller
      const { near, watched } = yield* watchedPair()
      const [file] = yield* scopedFds(() => [openSync(import.meta.filename, "r")] as const)
      expect(yield* make(near)).toBe("AlreadyRegistered")
      expect(yield* make(near, { event: "Read" })).toBe("AlreadyRegistered")
      expect(yield* outcome(Registrar.register(near, "Read"))).toBe("AlreadyRegistered")
      expect(yield* make(file)).toBe("NotPollable")
      expect(yield* make(-1)).toBe("BadDescriptor")
      expect(yield* make(999_999)).toBe("BadDescriptor")
      expect(yield* make(Number.NaN)).toBe("InvalidArgument")
      expect(yield* make(contentsOf(poller.handle).selector.fd)).toBe("InvalidArgument")
      expect(yield* make(file, { event: "both" as never })).toBe("InvalidArgument")
      expect((yield* poller.stats).registrations).toBe(1)
      yield* watched.writable
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("an object with an fd can be watched, and the same descriptor again once the first scope is closed", () =>
    Effect.gen(function* () {
      const [near, far] = yield* scopedFds(Kernel.socketPair)
      for (let round = 0; round < 10; round++) {
        yield* Effect.scoped(
          Effect.gen(function* () {
            const watched = yield* AsyncFd.make({ fd: near })
            Kernel.write(far)
            expect(yield* watched.read(new Uint8Array(8))).toBe(1)
          })
        )
      }
      expect((yield* (yield* Poller.Poller).stats).registrations).toBe(0)
      expect(yield* outcome(Registrar.deregister(near))).toBe("NotRegistered")
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )
})
