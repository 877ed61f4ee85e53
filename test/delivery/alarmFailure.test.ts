/** A kernel that refuses to set the alarm: no timer is silent about it. */
import { expect, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { ForeignFd, Poller, Registrar } from "effect-amy"
import { attachmentOf } from "../../src/internal/delivery/registrar.ts"
import { changeFunctions } from "../support/batch.ts"
import * as Kernel from "../support/kernel.ts"
import { describeLayers } from "../support/layers.ts"
import { outcome } from "../support/opened.ts"

/** Lets the calls of timerfd_settime(2) succeed only while there are any left. */
const limitAlarms = (left: { calls: number }) =>
  changeFunctions(({ close, timerfd_settime }) => ({
    timerfd_settime: (...call) => (left.calls-- > 0 ? timerfd_settime(...call) : close(-1))
  }))

describeLayers("an alarm that cannot be set", (layer) => {
  it.live("a timer that could never expire fails, and others go on", () =>
    Effect.gen(function* () {
      const left = { calls: 0 }
      yield* limitAlarms(left)
      yield* Effect.gen(function* () {
        const registrar = yield* Registrar.Registrar
        const { wait } = yield* Poller.Poller
        expect(yield* Effect.flip(registrar.timeout(1))).toMatchObject({
          reason: { _tag: "BadDescriptor", syscall: "timerfd_settime" }
        })
        expect(yield* outcome(registrar.interval(1))).toBe("BadDescriptor")
        left.calls = Infinity
        const id = yield* registrar.timeout(5)
        // An earlier one that cannot be set leaves the later one alone.
        left.calls = 0
        expect(yield* outcome(registrar.timeout(0))).toBe("BadDescriptor")
        left.calls = Infinity
        expect((yield* wait("10 seconds")).map((each) => each.id)).toEqual([id])
      }).pipe(Effect.scoped, Effect.provide(layer()))
    }).pipe(Effect.scoped)
  )

  it.live("an interval that can expire no more fails its consumers, after what it has reported", () =>
    Effect.gen(function* () {
      const left = { calls: 1 }
      yield* limitAlarms(left)
      yield* Effect.gen(function* () {
        const registrar = yield* Registrar.Registrar
        const { queue, wait } = yield* Poller.Poller
        const id = yield* registrar.interval(1)
        expect((yield* wait("10 seconds")).map((each) => each.id)).toEqual([id])
        expect(yield* outcome(Effect.flatMap(Effect.succeed(queue), () => Poller.wait("10 seconds")))).not.toBe(
          "success"
        )
      }).pipe(Effect.scoped, Effect.provide(layer()))
    }).pipe(Effect.scoped)
  )

  it.live("a wait whose time limit cannot be set fails, and leaves no registration", () =>
    Effect.gen(function* () {
      const left = { calls: 0 }
      yield* limitAlarms(left)
      yield* Effect.gen(function* () {
        const { dispatcher } = yield* attachmentOf(yield* Registrar.Registrar)
        const fd = Kernel.eventfd()
        const foreign = yield* ForeignFd.make(fd)
        expect(yield* outcome(foreign.wait("Read", { timeout: "1 second" }))).toBe("BadDescriptor")
        expect([...dispatcher.registrations.sources()]).toEqual([])
        left.calls = Infinity
        expect(yield* foreign.wait("Read", { timeout: 1 })).toEqual(Option.none())
        Kernel.close(fd)
      }).pipe(Effect.scoped, Effect.provide(layer()))
    }).pipe(Effect.scoped)
  )

  it.live("a timer that is longer than any clock waits, and does not expire early", () =>
    Effect.gen(function* () {
      const registrar = yield* Registrar.Registrar
      const { wait } = yield* Poller.Poller
      for (const millis of [2 ** 45, 2 ** 62, 2 ** 80, Number.MAX_VALUE]) yield* registrar.timeout(millis)
      const soon = yield* registrar.timeout(1)
      expect((yield* wait("10 seconds")).map((each) => each.id)).toEqual([soon])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )
})
