/**
 * How to test your own service that consumes notifications, without a kernel and without waiting.
 *
 * The service is a door bell. It counts how often its line becomes readable, and it complains once
 * an hour.
 */
import { assert, layer } from "@effect/vitest"
import { Context, Effect, Layer, Ref, Stream } from "effect"
import { Poller, type PollerError, Registrar } from "effect-amy"
import { TestPoller } from "effect-amy/testing"
import { TestClock } from "effect/testing"

/** The service under test. It depends on `Poller` and `Registrar` only, not on the test. */
class DoorBell extends Context.Service<
  DoorBell,
  {
    /** Counts how often a line becomes readable, until it is interrupted. */
    readonly listen: (line: Registrar.FdLike) => Effect.Effect<void, PollerError.PollerError>
    readonly rings: Effect.Effect<number>
    readonly complaints: Effect.Effect<number>
  }
>()("examples/DoorBell") {
  static readonly layer = Layer.effect(
    DoorBell,
    Effect.gen(function* () {
      const poller = yield* Poller.Poller
      const registrar = yield* Registrar.Registrar
      const rings = yield* Ref.make(0)
      const complaints = yield* Ref.make(0)
      yield* registrar.interval("1 hour")
      // Only the timer is reported here: the notifications of a line go to the stream that watches
      // it.
      yield* poller.notifications.pipe(
        Stream.runForEach(() => Ref.update(complaints, (count) => count + 1)),
        Effect.forkScoped
      )
      return {
        listen: (line) =>
          Stream.runForEach(registrar.watch(line, "Read"), () => Ref.update(rings, (count) => count + 1)),
        rings: Ref.get(rings),
        complaints: Ref.get(complaints)
      }
    })
  )
}

layer(DoorBell.layer.pipe(Layer.provideMerge(TestPoller.layer)))("DoorBell", (it) => {
  it.effect("counts each ring once", () =>
    Effect.gen(function* () {
      const kernel = yield* TestPoller.TestPoller
      const bell = yield* DoorBell
      const line = yield* kernel.open
      yield* Effect.forkScoped(bell.listen(line))

      yield* line.readable
      yield* Effect.yieldNow
      assert.strictEqual(yield* bell.rings, 1)

      yield* line.drained
      yield* line.readable
      yield* Effect.yieldNow
      assert.strictEqual(yield* bell.rings, 2)
    })
  )

  it.effect("complains after an hour of the TestClock", () =>
    Effect.gen(function* () {
      const bell = yield* DoorBell
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(yield* bell.complaints, 1)
    })
  )

  it.effect("fails with the reason if a line cannot be watched", () =>
    Effect.gen(function* () {
      const kernel = yield* TestPoller.TestPoller
      const bell = yield* DoorBell
      const file = yield* kernel.openUnpollable
      const error = yield* Effect.flip(bell.listen(file))
      assert.strictEqual(error.reason._tag, "NotPollable")
      assert.deepStrictEqual(yield* kernel.registered, [])
    })
  )
})
