/** How an effect of the library went, in a form that a test can compare and a thread can post. */
import { Effect } from "effect"
import type { PollerError } from "effect-amy"

/** Why it fails. One that succeeds is a defect. */
export const reasonOf = <A, R>(effect: Effect.Effect<A, PollerError.PollerError, R>): Effect.Effect<string, A, R> =>
  Effect.map(Effect.flip(effect), ({ reason }) => reason._tag)

/** "ok", or why it fails. */
export const outcomeOf = <A, R>(
  effect: Effect.Effect<A, PollerError.PollerError, R>
): Effect.Effect<string, never, R> =>
  Effect.match(effect, { onFailure: ({ reason }) => reason._tag, onSuccess: () => "ok" })
