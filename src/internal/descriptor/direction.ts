/**
 * One direction of a descriptor: whether it is ready, as far as this thread knows, and who waits for that.
 *
 * What was reported is remembered until an attempt shows that it is over: an edge is reported once, so nothing else may
 * forget it. Whoever waits is served in turn.
 */
import type * as Effect from "effect/Effect"
import type { PollerError } from "../../PollerError.ts"
import { Readiness } from "../kernel/selector.ts"

const finalBits = Readiness.ReadClosed | Readiness.WriteClosed | Readiness.Error

/** Makes an attempt; `undefined` is what would block. */
export type Attempt<A, E = PollerError> = () => Effect.Effect<A, E> | undefined

/** What stands in a direction's line. */
export interface Waiter {
  /** So many bytes it would read, if that is what it waits for. */
  readonly wants: number
  /** Told of readiness. It leaves the line, or forgets the readiness. */
  wake(): void
  /** Told that there is nothing to wait for any more. It leaves the line. */
  fail(error: PollerError): void
  /** It leaves the line if its fiber was interrupted and nobody has told it. */
  leaveIfGone(): void
}

/** So many are served in one go. Two fibers that come back each time would keep the thread to themselves otherwise. */
const mostServed = 64
let paused = 0
/** Whether some of this thread have yet to be served of what is ready already: it must not block. */
export const isAnyPaused = (): boolean => paused > 0

/** As long as so few wait, nobody looks who of them has gone. */
const few = 2

/** Reading, writing, or exceptional conditions: each is ready, and waited for, independently of the others. */
export class Direction {
  readonly interest: number
  /** Whether an attempt may succeed: it was reported, or nobody has tried yet. */
  mayTry = true
  /** Whether readiness was reported, and no attempt has shown since that it is over. */
  isReady = false
  /** An end or an error was reported: a short read is not the last of it. */
  isFinal = false
  /** What was reported since that was last forgotten. */
  bits = 0
  /** How often readiness was reported. */
  reports = 0
  /** Most of the time there is one at most. */
  #first: Waiter | undefined
  #others: Array<Waiter> = []
  #limit = few
  #isRunning = false

  constructor(interest: number) {
    this.interest = interest
  }

  /** Whether nobody is to be served before. */
  get isFree(): boolean {
    return this.#first === undefined
  }

  /** So many bytes are waited for by who is next. */
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

  /** An attempt would have blocked. */
  forget(): void {
    this.mayTry = false
    this.isReady = false
    this.isFinal = false
    this.bits = 0
  }

  /** Less came than was asked for: there is no more, unless this is about an end, which is still to be seen. */
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

  /** Answers whether it was still in the line. */
  leave(waiter: Waiter): boolean {
    if (this.#first === waiter) {
      this.#first = this.#others.length === 0 ? undefined : this.#others.shift()
      return true
    }
    const index = this.#others.length === 0 ? -1 : this.#others.indexOf(waiter)
    if (index !== -1) this.#others.splice(index, 1)
    return index !== -1
  }

  /** Whoever waits with a time limit, again and again, must not leave ever more behind. */
  dropGone(): void {
    const first = this.#first
    if (first === undefined) return
    for (const waiter of [first, ...this.#others]) waiter.leaveIfGone()
    this.#limit = Math.max(few, 2 * this.#others.length)
  }

  /** Serves those who wait, for as long as it is ready, and others than these have their turn now and then. */
  run(): void {
    // Who was just served and comes back has its turn after those who wait.
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
