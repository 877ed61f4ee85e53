/**
 * Taking something that has to be released, such as an accepted connection, when a descriptor is
 * ready.
 */
import * as Effect from "effect/Effect"
import type { PollerError } from "../../PollerError.ts"
import type { Attempt } from "./direction.ts"
import type { WatchedFd } from "./watchedFd.ts"

/** Makes an effect interruptible again: the argument of `Effect.uninterruptibleMask`. */
export type Restore = <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<A, E>

/**
 * Makes an attempt each time the descriptor may be readable, until the attempt does not block.
 *
 * To be run uninterruptibly: only the waiting can be interrupted, by `restore`. So nothing that an
 * attempt has taken gets lost before its fiber has put it into a scope.
 */
export const acquireWhenReady = <A>(
  watchedFd: WatchedFd,
  restore: Restore,
  attempt: Attempt<A>
): Effect.Effect<A, PollerError> => {
  const { reading } = watchedFd
  const loop: Effect.Effect<A, PollerError> = Effect.suspend(() => {
    if (watchedFd.ended !== undefined) return Effect.fail(watchedFd.ended)
    if (!reading.mayTry) return Effect.andThen(restore(watchedFd.whenReady(reading)), loop)
    const result = attempt()
    if (result !== undefined) return result
    reading.forget()
    return loop
  })
  return loop
}
