/** A watched descriptor, as the fibers that wait for it see it. */
import type * as Effect from "effect/Effect"
import type { PollerError } from "../../PollerError.ts"
import type { Direction, Waiter } from "./direction.ts"

/** Resumes the fiber that waits. Does nothing if that fiber was interrupted meanwhile. */
export type Resume<A, E> = (result: Effect.Effect<A, E>) => void

/** Makes the failure of a fiber that has nothing to wait for any more. */
export type ToFailure<E> = (error: PollerError) => Effect.Effect<never, E>

export interface WaitedFd {
  /** Why there is nothing to wait for any more. */
  readonly ended: PollerError | undefined
  /** Joins the line of a direction, and asks for reports. */
  readonly enter: (direction: Direction, waiter: Waiter) => void
  /** Leaves the line of a direction. */
  readonly leave: (direction: Direction, waiter: Waiter) => void
}
