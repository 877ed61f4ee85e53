/** A fiber that waits in a direction's line, and makes its attempt itself. */
import { resumeFiber } from "../objects/resumeFiber.ts"
import * as Effect from "effect/Effect"
import * as Effectable from "effect/Effectable"
import type { PollerError } from "../../PollerError.ts"
import type { Attempt, Direction, Waiter } from "./direction.ts"
import type { Resume, ToFailure, WaitedFd } from "./waitedFd.ts"

/**
 * An effect that makes the attempt. When its turn has come, the fiber is resumed with it.
 *
 * A fiber that was interrupted does not run it, and that is how the interruption is noticed:
 * nothing is read that no fiber takes. To hear of each interruption instead would make a wait a
 * third slower.
 */
export class Turn<A, E> extends Effectable.Class<A, E> implements Waiter {
  readonly wants: number
  readonly #watchedFd: WaitedFd
  readonly #direction: Direction
  readonly #attempt: Attempt<A, E>
  #resume: Resume<A, E> | undefined
  readonly #toFailure: ToFailure<E>
  /**
   * True while the fiber is being resumed. A fiber that yields first comes too late: by then this
   * turn may be another fiber's.
   */
  #isCalled = false
  /** Whether the fiber ran the effect, or began to wait, while it was being resumed. */
  #hasCome = false

  constructor(
    watchedFd: WaitedFd,
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

  /** Whether it stands in no line, so that a fiber can wait with it. */
  get isIdle(): boolean {
    return this.#resume === undefined
  }

  /** Called when a fiber begins to wait. Returns what its interruption has to run, if anything. */
  begin(resume: Resume<A, E>): Effect.Effect<void> | undefined {
    this.#hasCome = true
    const { isIdle } = this
    this.#resume = resume
    if (isIdle) this.#watchedFd.enter(this.#direction, this)
    // A thread that blocks for fibers that wait must not do so for one that has gone.
    return this.#watchedFd.attachment.dispatcher.onWait === undefined ? undefined : this.leavingOf(resume)
  }

  /**
   * Makes what the interruption of a waiting fiber runs: it leaves the line, if it is still in it.
   */
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
    resumeFiber(this.#resume!, effect)
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
    // First, because the fiber may come back at once.
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
    resumeFiber(resume, this.#toFailure(error))
  }

  #leave(): void {
    if (this.isIdle) return
    this.#resume = undefined
    this.#watchedFd.leave(this.#direction, this)
  }
}
