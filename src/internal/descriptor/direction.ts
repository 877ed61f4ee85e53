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
}

/**
 * Maximum waiters served per turn, so that fibers that come back at once cannot starve the thread.
 */
const mostServed = 64
let paused = 0
/** Returns whether waiters of this thread are still to be served, so that it must not block. */
export const isAnyPaused = (): boolean => paused > 0

// What a direction knows, beside the bits that were reported, in one number: there are two or
// three directions for each connection.
const reported = 63
/** Whether an attempt may succeed: readiness was reported, or nothing was tried yet. */
const mayTry = 64
/** Whether readiness was reported, and no attempt since has shown that it is over. */
const isReady = 128
/** Whether an end or an error was reported: then a short read is not the last one. */
const isFinal = 256
const isRunning = 512

/** Reading, writing, or exceptional conditions: each is ready, and waited for, independently. */
export class Direction {
  readonly interest: number
  #state = mayTry
  /** How often readiness was reported. */
  reports = 0
  /** The head of the line. */
  #first: Waiter | undefined
  /** Those behind it. Most of the time, at most one fiber waits. */
  #others: Array<Waiter> | undefined

  constructor(interest: number) {
    this.interest = interest
  }

  /** Whether an attempt may succeed: readiness was reported, or nothing was tried yet. */
  get mayTry(): boolean {
    return (this.#state & mayTry) !== 0
  }

  /** Called when an attempt is to be made, or not, whatever was reported. */
  set mayTry(may: boolean) {
    this.#state = may ? this.#state | mayTry : this.#state & ~mayTry
  }

  /** Whether readiness was reported, and no attempt since has shown that it is over. */
  get isReady(): boolean {
    return (this.#state & isReady) !== 0
  }

  /** What was reported since that was last forgotten. */
  get bits(): number {
    return this.#state & reported
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
    this.#state |= bits | mayTry | isReady | ((bits & finalBits) !== 0 ? isFinal : 0)
    this.reports++
  }

  /** Called when an attempt would have blocked. */
  forget(): void {
    this.#state &= isRunning
  }

  /**
   * Called when a read got less than it asked for: there is no more, unless an end is yet to be
   * seen.
   */
  forgetUnlessFinal(): void {
    if ((this.#state & isFinal) === 0) this.forget()
  }

  /** Joins the line. */
  enter(waiter: Waiter): void {
    if (this.#first === undefined) this.#first = waiter
    else (this.#others ??= []).push(waiter)
  }

  /** Leaves the line. Returns false if the waiter was not in it. */
  leave(waiter: Waiter): boolean {
    const others = this.#others
    if (this.#first === waiter) {
      this.#first = others?.shift()
      return true
    }
    const index = others === undefined ? -1 : others.indexOf(waiter)
    if (index !== -1) others!.splice(index, 1)
    return index !== -1
  }

  /**
   * Serves the line while the direction is ready, with a pause now and then for everything else.
   */
  run(): void {
    // A waiter that was just served and comes back has its turn after the others.
    if ((this.#state & isRunning) !== 0) return
    this.#state |= isRunning
    let left = mostServed
    try {
      while (this.isReady && this.#first !== undefined && left-- > 0) this.#first.wake()
    } finally {
      if (left < 0) pause(this)
      else this.#state &= ~isRunning
    }
  }

  /** Goes on after a pause. */
  resume(): void {
    this.#state &= ~isRunning
    this.run()
  }

  fail(error: PollerError): void {
    while (this.#first !== undefined) this.#first.fail(error)
  }
}

/**
 * A direction of a kernel that reports a readiness once, and again only after `rearm` has said that
 * the readiness is over.
 */
export class RearmedDirection extends Direction {
  readonly #rearm: (interest: number) => void

  constructor(interest: number, rearm: (interest: number) => void) {
    super(interest)
    this.#rearm = rearm
  }

  override forget(): void {
    super.forget()
    this.#rearm(this.interest)
  }
}

// A private method would take eight bytes of each direction.
const pause = (direction: Direction): void => {
  paused++
  setImmediate(() => {
    paused--
    direction.resume()
  })
}
