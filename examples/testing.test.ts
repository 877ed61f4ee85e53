/**
 * How to test a service of yours that consumes notifications, without a kernel and without waiting: a door bell that
 * counts how often its line becomes readable, and complains when nobody has rung for an hour.
 */
import { assert, layer } from "@effect/vitest"
import { Context, Effect, Layer, Ref, Stream } from "effect"
import { Poller, type PollerError, Registrar } from "effect-amy"
import { TestPoller } from "effect-amy/testing"
import { TestClock } from "effect/testing"

/** The service under test. It knows `Poller` and `Registrar`, and nothing of a test. */
class DoorBell extends Context.Service<
  DoorBell,
  {
    readonly watch: (line: Registrar.FdLike) => Effect.Effect<void, PollerError.PollerError>
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
      const silence = yield* registrar.interval("1 hour")
      yield* poller.notifications.pipe(
        Stream.runForEach(({ id }) => Ref.update(id === silence ? complaints : rings, (count) => count + 1)),
        Effect.forkScoped
      )
      return {
        watch: (line) => Effect.asVoid(registrar.register(line, "Read")),
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
      yield* bell.watch(line)

      yield* line.readable
      yield* Effect.yieldNow
      assert.strictEqual(yield* bell.rings, 1)

      yield* line.drained
      yield* line.readable
      yield* Effect.yieldNow
      assert.strictEqual(yield* bell.rings, 2)
    })
  )

  it.effect("complains after an hour of the test's own time", () =>
    Effect.gen(function* () {
      const bell = yield* DoorBell
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(yield* bell.complaints, 1)
    })
  )

  it.effect("passes on why a line cannot be watched", () =>
    Effect.gen(function* () {
      const kernel = yield* TestPoller.TestPoller
      const bell = yield* DoorBell
      const file = yield* kernel.openUnpollable
      const error = yield* Effect.flip(bell.watch(file))
      assert.strictEqual(error.reason._tag, "NotPollable")
      assert.strictEqual((yield* kernel.registered).length, 1)
    })
  )
})
