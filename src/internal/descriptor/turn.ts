/** A fiber that waits in a direction's line, and makes its attempt itself. */
import * as Effect from "effect/Effect"
import type { PollerError } from "../../PollerError.ts"
import {
  type AnyFiber,
  FiberEffect,
  resumeSuspended,
  suspend,
  suspendableOf,
  type Suspendable
} from "../objects/suspension.ts"
import type { Attempt, Direction, Waiter } from "./direction.ts"
import type { ToFailure, WaitedFd } from "./waitedFd.ts"

const State = {
  Idle: 0,
  /** The fiber joins the line, and does not wait yet. */
  Entering: 1,
  /** Its turn came before it waited. */
  Early: 5,
  Waiting: 2,
  /**
   * The fiber is being resumed. If it yields first, it comes too late: by then this turn may be
   * another fiber's.
   */
  Called: 3,
  /** The fiber has run the effect while it was being resumed. */
  HasCome: 4
} as const

/**
 * An effect that makes an attempt. If the attempt would block, its fiber waits until its turn has
 * come, and is resumed with the effect.
 *
 * A fiber that was interrupted leaves the line at once, and makes no attempt: nothing is read that
 * no fiber takes. The effect may be run again, and by several fibers at a time.
 */
export abstract class Turn<A, E> extends FiberEffect<A, E> implements Waiter {
  #state: number = State.Idle
  /** The fiber; or what it goes on with, if its turn came before it waited. */
  #fiber: Suspendable | Effect.Effect<A, E> | undefined
  #onResume: (() => void) | undefined

  abstract get watchedFd(): WaitedFd
  abstract get direction(): Direction
  /** How many bytes it would read, or 0 if it does not read bytes. */
  abstract get wants(): number
  /** Makes the attempt. Returns `undefined` if it would block. */
  abstract attempt(): Effect.Effect<A, E> | undefined
  /** Makes the failure of a fiber that has nothing to wait for any more. */
  abstract toFailure(error: PollerError): Effect.Effect<never, E>
  /** Makes one that does the same, for a fiber that comes while another waits with this one. */
  abstract another(): Turn<A, E>

  /** Whether an attempt may succeed before the fiber has waited. */
  get mayBegin(): boolean {
    return this.direction.mayTry && this.direction.isFree
  }

  run(fiber: AnyFiber): Effect.Effect<A, E> {
    if (this.#state === State.Called) return this.goOn()
    if (this.#state !== State.Idle) return this.another()
    const { watchedFd } = this
    if (watchedFd.ended !== undefined) return this.toFailure(watchedFd.ended)
    if (this.mayBegin) {
      const result = this.attempt()
      if (result !== undefined) return result
      this.direction.forget()
    }
    this.#fiber = suspendableOf(fiber)
    this.#state = State.Entering
    watchedFd.enter(this.direction, this)
    if (this.isEarly) {
      const early = this.#fiber as unknown as Effect.Effect<A, E>
      this.#state = State.Idle
      this.#fiber = undefined
      return early
    }
    this.#state = State.Waiting
    return this.wait()
  }

  private get isEarly(): boolean {
    return this.#state === State.Early
  }

  private wait(): Effect.Effect<A, E> {
    this.#onResume ??= this.onResume.bind(this)
    return suspend(this.#fiber as Suspendable, this.#onResume)
  }

  /** Leaves the line if the fiber was interrupted. Otherwise it was resumed from here. */
  private onResume(): void {
    if (this.#state === State.Waiting) this.leave()
  }

  private goOn(): Effect.Effect<A, E> {
    this.#state = State.HasCome
    const { watchedFd } = this
    const result = watchedFd.ended === undefined ? this.attempt() : this.toFailure(watchedFd.ended)
    if (result === undefined) {
      this.direction.forget()
      this.#state = State.Waiting
      return this.wait()
    }
    // First, because the fiber may come back at once.
    this.leave()
    return result
  }

  wake(): void {
    // Its attempt is made only when it comes: the fiber before it may have interrupted it.
    if (this.#state === State.Entering) return this.giveEarly(this)
    const fiber = this.#fiber as Suspendable
    this.#state = State.Called
    resumeSuspended(fiber, this)
    if (this.#state === State.Called) this.leave()
  }

  fail(error: PollerError): void {
    if (this.#state === State.Entering) return this.giveEarly(this.toFailure(error))
    const fiber = this.#fiber as Suspendable
    this.leave()
    resumeSuspended(fiber, this.toFailure(error))
  }

  /** Other fibers that run this effect meanwhile find that it is in use. */
  private giveEarly(result: Effect.Effect<A, E>): void {
    this.#state = State.Early
    this.#fiber = result
    this.watchedFd.leave(this.direction, this)
  }

  private leave(): void {
    this.#state = State.Idle
    this.#fiber = undefined
    this.watchedFd.leave(this.direction, this)
  }
}

/** A turn whose parts are functions. */
export class AttemptTurn<A, E> extends Turn<A, E> {
  readonly watchedFd: WaitedFd
  readonly direction: Direction
  readonly attempt: Attempt<A, E>
  readonly toFailure: ToFailure<E>
  readonly wants: number

  constructor(
    watchedFd: WaitedFd,
    direction: Direction,
    attempt: Attempt<A, E>,
    toFailure: ToFailure<E>,
    wants: number
  ) {
    super()
    this.watchedFd = watchedFd
    this.direction = direction
    this.attempt = attempt
    this.toFailure = toFailure
    this.wants = wants
  }

  another(): AttemptTurn<A, E> {
    return new AttemptTurn(this.watchedFd, this.direction, this.attempt, this.toFailure, this.wants)
  }
}

/** Returns once readiness is reported, or at once if that is so already. */
export class ReadyTurn extends Turn<void, PollerError> {
  readonly watchedFd: WaitedFd
  readonly direction: Direction

  constructor(watchedFd: WaitedFd, direction: Direction) {
    super()
    this.watchedFd = watchedFd
    this.direction = direction
  }

  get wants(): number {
    return 0
  }

  override get mayBegin(): boolean {
    return this.direction.isReady
  }

  attempt(): Effect.Effect<void> {
    return Effect.void
  }

  toFailure(error: PollerError): Effect.Effect<never, PollerError> {
    return Effect.fail(error)
  }

  another(): ReadyTurn {
    return new ReadyTurn(this.watchedFd, this.direction)
  }
}
