/** The two ways to wait in a direction's line. */
import * as Effect from "effect/Effect"
import * as Effectable from "effect/Effectable"
import type { PollerError } from "../../PollerError.ts"
import type { Attempt, Direction, Waiter } from "./direction.ts"
import type { WatchedFd } from "./watchedFd.ts"

/** Goes on with the fiber that waits; does nothing if that was interrupted meanwhile. */
export type Resume<A, E> = (result: Effect.Effect<A, E>) => void

/** What a fiber fails with when there is nothing to wait for any more. */
export type ToFailure<E> = (error: PollerError) => Effect.Effect<never, E>

/**
 * A fiber that makes its attempt itself, which is this effect, when its turn has come. One that was interrupted does not do
 * so, and that is how it is known: nothing is read for nobody, and nobody has to tell. To be told of every interruption
 * takes a third of the time that a wait takes.
 */
export class Turn<A, E> extends Effectable.Class<A, E> implements Waiter {
  readonly wants: number
  readonly #watchedFd: WatchedFd
  readonly #direction: Direction
  readonly #attempt: Attempt<A, E>
  #resume: Resume<A, E> | undefined
  readonly #toFailure: ToFailure<E>
  /** While its fiber is resumed: one that was made to yield first comes too late, and this may be another's by then. */
  #isCalled = false
  #hasCome = false

  constructor(
    watchedFd: WatchedFd,
    direction: Direction,
    attempt: Attempt<A, E>,
    toFailure: ToFailure<E>,
    wants: number
  ) {
    super()
    this.wants = wants
    this.#watchedFd = watchedFd
    this.#direction = direction
    this.#attempt = attempt
    this.#toFailure = toFailure
  }

  /** Whether it stands in no line. */
  get isIdle(): boolean {
    return this.#resume === undefined
  }

  /** A fiber begins to wait. Answers what to tell of its interruption, where that matters. */
  begin(resume: Resume<A, E>): Effect.Effect<void> | undefined {
    this.#hasCome = true
    const { isIdle } = this
    this.#resume = resume
    if (isIdle) this.#watchedFd.enter(this.#direction, this)
    // A thread that blocks for those who wait must not do so for who has gone.
    return this.#watchedFd.attachment.dispatcher.onWait === undefined ? undefined : this.leavingOf(resume)
  }

  leavingOf(resume: Resume<A, E>): Effect.Effect<void> {
    return Effect.sync(() => {
      if (this.#resume === resume) this.#leave()
    })
  }

  wake(): void {
    this.#call(this)
  }

  leaveIfGone(): void {
    this.#call(this.#again)
  }

  #call(effect: Effect.Effect<A, E>): void {
    this.#isCalled = true
    this.#hasCome = false
    this.#resume!(effect)
    this.#isCalled = false
    if (!this.#hasCome) this.#leave()
  }

  asEffect(): Effect.Effect<A, E> {
    if (!this.#isCalled) return this.#anew
    this.#hasCome = true
    if (this.#watchedFd.ended !== undefined) return this.#toFailure(this.#watchedFd.ended)
    const result = this.#attempt()
    if (result === undefined) {
      this.#direction.forget()
      return this.#again
    }
    // First, for whoever is served may come back at once.
    this.#leave()
    return result
  }

  get #again(): Effect.Effect<A, E> {
    return Effect.callback((resume) => {
      if (this.#isCalled) return this.begin(resume)
      return resume(this.#anew)
    })
  }

  get #anew(): Effect.Effect<A, E> {
    return this.#watchedFd.attemptOrElse(this.#direction, this.#attempt, this.#toFailure, this.wants)
  }

  fail(error: PollerError): void {
    const resume = this.#resume!
    this.#leave()
    resume(this.#toFailure(error))
  }

  #leave(): void {
    if (this.isIdle) return
    this.#resume = undefined
    this.#watchedFd.leave(this.#direction, this)
  }
}

/**
 * A place that is kept from the first part of an attempt to its last, whatever becomes of the fiber. Run as an effect, it is
 * given up.
 */
export class Place<A> extends Effectable.Class<void> implements Waiter {
  readonly wants = 0
  readonly #watchedFd: WatchedFd
  readonly #direction: Direction
  readonly #attempt: Attempt<A, PollerError>
  #resume: Resume<A, PollerError> | undefined
  /** What it has got, if its fiber has not come for it yet. */
  #result: Effect.Effect<A, PollerError> | undefined

  constructor(watchedFd: WatchedFd, direction: Direction, attempt: Attempt<A, PollerError>) {
    super()
    this.#watchedFd = watchedFd
    this.#direction = direction
    this.#attempt = attempt
  }

  /** The fiber to go on with. By then the waiting may be over already. */
  meet(resume: Resume<A, PollerError>): void {
    if (this.#result === undefined) this.#resume = resume
    else resume(this.#result)
  }

  wake(): void {
    const result = this.#attempt()
    if (result === undefined) this.#direction.forget()
    else this.#give(result)
  }

  leaveIfGone(): void {}

  fail(error: PollerError): void {
    this.#give(Effect.fail(error))
  }

  #give(result: Effect.Effect<A, PollerError>): void {
    this.#result = result
    this.#watchedFd.leave(this.#direction, this)
    this.#resume?.(result)
  }

  asEffect(): Effect.Effect<void> {
    return Effect.sync(() => this.#watchedFd.leave(this.#direction, this))
  }
}
