/**
 * One direction of a descriptor: whether it is ready, as far as this thread knows, and the line of
 * fibers that wait for it.
 *
 * A report is remembered until an attempt shows that it is out of date. The kernel reports an edge
 * once, so nothing else may forget it. Fibers are served in turn.
 */
import type * as Effect from "effect/Effect"
import type { PollerError } from "../../PollerError.ts"
import { Readiness } from "../kernel/selector.ts"
import { setImmediate } from "../libc/realTime.ts"

const finalBits = Readiness.ReadClosed | Readiness.WriteClosed | Readiness.Error

/** Makes an attempt. Returns `undefined` if it would block. */
export type Attempt<A, E = PollerError> = () => Effect.Effect<A, E> | undefined

/** What stands in the line of a direction. */
export interface Waiter {
  /** How many bytes it would read, or 0 if it does not read bytes. */
  readonly wants: number
  /** Called when the direction is ready. Leaves the line, or makes the direction forget that. */
  wake(): void
  /** Called when there is nothing to wait for any more. Leaves the line. */
  fail(error: PollerError): void
  /** Leaves the line if its fiber was interrupted without anything having noticed. */
  leaveIfGone(): void
}

/**
 * Maximum waiters served per turn, so that fibers that come back at once cannot starve the thread.
 */
const mostServed = 64
let paused = 0
/** Returns whether waiters of this thread are still to be served, so that it must not block. */
export const isAnyPaused = (): boolean => paused > 0

/** With so few waiters, none is checked for having gone. */
const few = 2

/** Reading, writing, or exceptional conditions: each is ready, and waited for, independently. */
export class Direction {
  readonly interest: number
  /** Whether an attempt may succeed: readiness was reported, or nothing was tried yet. */
  mayTry = true
  /** Whether readiness was reported, and no attempt since has shown that it is over. */
  isReady = false
  /** Whether an end or an error was reported: then a short read is not the last one. */
  isFinal = false
  /** What was reported since that was last forgotten. */
  bits = 0
  /** How often readiness was reported. */
  reports = 0
  /** The head of the line. Most of the time, at most one fiber waits. */
  #first: Waiter | undefined
  #others: Array<Waiter> = []
  #limit = few
  #isRunning = false

  constructor(interest: number) {
    this.interest = interest
  }

  /** Whether the line is empty. */
  get isFree(): boolean {
    return this.#first === undefined
  }

  /** How many bytes the next waiter would read. */
  get wanted(): number {
    return this.#first === undefined ? 0 : this.#first.wants
  }

  report(bits: number): void {
    this.mayTry = true
    this.isReady = true
    this.bits |= bits
    if ((bits & finalBits) !== 0) this.isFinal = true
    this.reports++
  }

  /** Called when an attempt would have blocked. */
  forget(): void {
    this.mayTry = false
    this.isReady = false
    this.isFinal = false
    this.bits = 0
  }

  /**
   * Called when a read got less than it asked for: there is no more, unless an end is yet to be
   * seen.
   */
  forgetUnlessFinal(): void {
    if (!this.isFinal) this.forget()
  }

  /** Joins the line. */
  enter(waiter: Waiter): void {
    if (this.#first === undefined) {
      this.#first = waiter
      return
    }
    if (this.#others.length >= this.#limit) this.dropGone()
    if (this.#first === undefined) this.#first = waiter
    else this.#others.push(waiter)
  }

  /** Leaves the line. Returns false if the waiter was not in it. */
  leave(waiter: Waiter): boolean {
    if (this.#first === waiter) {
      this.#first = this.#others.length === 0 ? undefined : this.#others.shift()
      return true
    }
    const index = this.#others.length === 0 ? -1 : this.#others.indexOf(waiter)
    if (index !== -1) this.#others.splice(index, 1)
    return index !== -1
  }

  /**
   * Drops waiters whose fiber has gone: a fiber that waits with a timeout, again and again, leaves
   * many.
   */
  dropGone(): void {
    const first = this.#first
    if (first === undefined) return
    for (const waiter of [first, ...this.#others]) waiter.leaveIfGone()
    this.#limit = Math.max(few, 2 * this.#others.length)
  }

  /**
   * Serves the line while the direction is ready, with a pause now and then for everything else.
   */
  run(): void {
    // A waiter that was just served and comes back has its turn after the others.
    if (this.#isRunning) return
    this.#isRunning = true
    let left = mostServed
    try {
      while (this.isReady && this.#first !== undefined && left-- > 0) this.#first.wake()
    } finally {
      this.#isRunning = left < 0
      if (this.#isRunning) this.#pause()
    }
  }

  #pause(): void {
    paused++
    setImmediate(() => {
      paused--
      this.#isRunning = false
      this.run()
    })
  }

  fail(error: PollerError): void {
    while (this.#first !== undefined) this.#first.fail(error)
  }
}
