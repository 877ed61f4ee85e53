/**
 * Timers of the poller: a timeout, an interval, and what becomes of them when their consumer is late.
 *
 * - Every timer has an id, and is reported under it in the same stream as everything else that is registered.
 * - An interval's n-th time is due at its start plus n periods. Whoever comes late gets one notification for all the
 *   periods that were missed, and the next one is due when it would have been anyway: the interval does not drift.
 * - A timer that is cancelled is never reported, even if it has gone off and its notification is waiting already.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Stream } from "effect"
import { Poller, Registrar } from "effect-amy"

/** Both in milliseconds. The work takes two periods and a half. */
const period = 200
const work = 500

/** Stands for something that keeps the whole thread busy. */
const compute = (millis: number): void => {
  for (const end = performance.now() + millis; performance.now() < end;);
}

/** Cancels a timer, and tells how that went. */
const cancel = (id: Registrar.RegistrationId) =>
  Registrar.cancelTimer(id).pipe(
    Effect.andThen(Console.log(`${id}: cancelled`)),
    // The reason is for whoever calls; here it is nothing to stop for.
    Effect.catchReason("PollerError", "NotRegistered", () => Console.log(`${id}: not a timer any more`))
  )

const program = Effect.gen(function* () {
  const poller = yield* Poller.Poller

  const start = performance.now()
  const once = yield* Registrar.timeout("50 millis")
  const interval = yield* Registrar.interval(period)
  const never = yield* Registrar.timeout("1 hour")
  yield* Console.log(`${once}: in 50 ms; ${interval}: every ${period} ms; ${never}: in an hour`)
  yield* cancel(never)

  /** One for each notification of the interval: how many milliseconds after the start it was taken. */
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
    // It went off long ago. But nobody has taken its notification, so nobody ever will.
    yield* cancel(meanwhile)
  })

  yield* poller.notifications.pipe(
    Stream.runForEachWhile(({ event, id }) =>
      Effect.map(
        id === interval ? tick : Console.log(`${id}: ${event}`),
        // After the late one, which stands for several periods, comes one that is on time again. Then it is enough.
        () => taken.length < 3
      )
    )
  )

  yield* cancel(interval)
  yield* cancel(once)
})

program.pipe(Effect.provide(Poller.layer), NodeRuntime.runMain)
