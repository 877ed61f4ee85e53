/**
 * Our side of B1: `b1.ts worker|event-loop`, which consumes batches, or `b1.ts "worker, one"` and so
 * on, which consumes one notification a pull. It asks for the next round after each round.
 */
import { Deferred, Effect, Stream } from "effect"
import { Event, type Notification, Poller, Registrar } from "effect-amy"
import { layerOf } from "../support/layers.ts"
import * as Meter from "../support/meter.ts"
import { written } from "../support/written.ts"

const [layer, how] = (process.argv[2] ?? "").split(", ")

const program = Effect.gen(function* () {
  const { descriptors, next } = yield* written
  const poller = yield* Poller.Poller
  const registrar = yield* Registrar.Registrar
  let expected = 0
  for (const fd of descriptors) expected += yield* registrar.register(fd, "Read")

  const count = descriptors.length
  const over = yield* Deferred.make<number>()
  const meter = Meter.start()
  let seen = 0
  let sum = 0
  const endRound = () => {
    if (seen !== count || sum !== expected) throw new Error(`a round of ${count} brought ${seen}`)
    seen = 0
    sum = 0
    const elapsed = meter.add(count)
    if (elapsed === undefined) next()
    else Deferred.doneUnsafe(over, Effect.succeed(elapsed))
  }
  const take = ({ event, id }: Notification.Notification) => {
    if (Event.isReadable(event)) sum += id
    if (++seen >= count) endRound()
  }
  const consume =
    how === "one"
      ? Stream.runForEach(poller.notifications, (notification) => Effect.sync(() => take(notification)))
      : Stream.runForEach(poller.batches, (batch) => Effect.sync(() => batch.forEach(take)))
  next()
  const elapsed = yield* Effect.raceFirst(Deferred.await(over), Effect.andThen(consume, Effect.never))
  const { batches, notifications, waits, wakeups } = yield* poller.stats
  Meter.report({
    perSecond: (meter.done / elapsed) * 1e3,
    notificationsPerBatch: notifications / batches,
    notificationsPerWait: notifications / waits,
    notificationsPerWakeup: wakeups === 0 ? 0 : notifications / wakeups
  })
})

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(layerOf(layer))))
