/**
 * A poller's figures as Effect metrics. They are read on demand, so that they add nothing to the
 * hot path.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type * as Scope from "effect/Scope"
import type { PollerStats } from "../../Poller.ts"

const descriptions: { readonly [Name in keyof PollerStats]: string } = {
  notifications: "Notifications given to the consumers of this thread",
  merged: "Reports merged into a notification that had not been taken",
  batches: "Batches in which the notifications came",
  waits: "Waits in the kernel, by the thread that polls",
  wakeups: "Wake-ups sent to threads that slept",
  overflows: "Reports that the polling thread kept back because a mailbox was full",
  registrations: "Registrations of all threads"
}

let pollers = 0

export const register = (layer: string, stats: () => PollerStats): Effect.Effect<void, never, Scope.Scope> =>
  Effect.contextWith((context: Context.Context<Scope.Scope>) => {
    // Two pollers of one program are two series.
    const attributes = { poller: `${layer}-${++pollers}` }
    const names = Object.keys(descriptions) as Array<keyof PollerStats>
    const registrations = names.map((name) => {
      const options = { description: descriptions[name], attributes }
      const ignored = { update: () => {}, modify: () => {} }
      return name === "registrations"
        ? Metric.registerUnsafe(Metric.gauge(`effect_amy_${name}`, options), context, {
            ...ignored,
            get: () => ({ value: stats()[name] })
          })
        : Metric.registerUnsafe(Metric.counter(`effect_amy_${name}`, { ...options, incremental: true }), context, {
            ...ignored,
            get: () => ({ count: stats()[name], incremental: true })
          })
    })
    return Effect.addFinalizer(() => Effect.sync(() => registrations.forEach((each) => each.remove())))
  })
