/**
 * Timers of the poller: a timeout, an interval, and a consumer that is late.
 *
 * - Every timer has an id. It is reported in the same stream as everything else that is registered.
 * - An interval's n-th notification is due at its start plus n periods. A consumer that is late
 *   gets one notification for all the periods that it missed. The interval does not drift.
 * - A cancelled timer is never reported, even if it has gone off and its notification waits
 *   already.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Stream } from "effect"
import { Poller, Registrar } from "effect-amy"

/** Both are in milliseconds. The work takes two and a half periods. */
const period = 200
const work = 500

/** Keeps the thread busy, as a long computation would. */
const compute = (millis: number): void => {
  for (const end = performance.now() + millis; performance.now() < end;);
}

/** Cancels a timer, and prints the outcome. */
const cancel = (id: Registrar.RegistrationId) =>
  Registrar.cancelTimer(id).pipe(
    Effect.andThen(Console.log(`${id}: cancelled`)),
    // A caller could act on this reason; this program goes on.
    Effect.catchReason("PollerError", "NotRegistered", () => Console.log(`${id}: no longer a timer`))
  )

const program = Effect.gen(function* () {
  const start = performance.now()
  const once = yield* Registrar.timeout("50 millis")
  const interval = yield* Registrar.interval(period)
  const never = yield* Registrar.timeout("1 hour")
  yield* Console.log(`${once}: in 50 ms; ${interval}: every ${period} ms; ${never}: in an hour`)
  yield* cancel(never)

  /** For each notification of the interval, the milliseconds from the start until it was taken. */
  const taken: Array<number> = []
  const tick = Effect.gen(function* () {
    const now = performance.now() - start
    const periods = Math.floor(now / period)
    const before = taken.at(-1) ?? 0
    const missed = periods - Math.floor(before / period) - 1
    taken.push(now)
    yield* Console.log(
      `${interval}: period ${periods}, ${missed} missed, ${Math.floor(now - before)} ms after the one before`
    )
    if (taken.length > 1) return

    yield* Console.log(`working for ${work} ms`)
    const meanwhile = yield* Registrar.timeout("1 millis")
    compute(work)
    // It went off long ago. But its notification was not taken, so cancelling still prevents it.
    yield* cancel(meanwhile)
  })

  yield* Poller.notifications.pipe(
    Stream.runForEachWhile(({ event, id }) =>
      Effect.map(
        id === interval ? tick : Console.log(`${id}: ${event}`),
        // The second notification is late, and stands for several periods. The third is on time
        // again.
        () => taken.length < 3
      )
    )
  )

  yield* cancel(interval)
  yield* cancel(once)
})

program.pipe(Effect.provide(Poller.layer), NodeRuntime.runMain)
