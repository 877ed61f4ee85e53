/** Describes the outcome of an effect in a form that a test can compare and a thread can post. */
import { Effect } from "effect"
import type { PollerError } from "effect-amy"

/** Returns the tag of the reason with which an effect fails. If it succeeds, this fails. */
export const reasonOf = <A, R>(effect: Effect.Effect<A, PollerError.PollerError, R>): Effect.Effect<string, A, R> =>
  Effect.map(Effect.flip(effect), ({ reason }) => reason._tag)

/** Returns "ok", or the tag of the reason with which the effect fails. */
export const outcomeOf = <A, R>(
  effect: Effect.Effect<A, PollerError.PollerError, R>
): Effect.Effect<string, never, R> =>
  Effect.match(effect, { onFailure: ({ reason }) => reason._tag, onSuccess: () => "ok" })
