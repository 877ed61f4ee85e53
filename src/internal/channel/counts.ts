/**
 * The words of shared memory in which the ends of a channel count messages, and in which senders
 * wait for room.
 */
import * as Effect from "effect/Effect"
import { resumeFiber } from "../objects/resumeFiber.ts"

const Word = {
  /** 1 once the receiver is gone. */
  ReceiverGone: 0,
  /** Messages that were posted and not received. */
  Pending: 1,
  /** 1 from the trigger that reports a message until the receiver has found the channel empty. */
  Reported: 2,
  /** The most messages that the channel holds, or `unlimited`. */
  Capacity: 3,
  /** Messages that hold a place of a bounded channel. */
  Used: 4,
  /** Sending ends that wait for a place. */
  Waiting: 5,
  /** Changes whenever a place becomes free. Senders wait at its address. */
  Freed: 6,
  Sent: 7,
  Triggers: 8
} as const

export const sharedBytes = 64

/** The capacity of an unbounded channel. */
export const unlimited = 0

/** The largest capacity of a bounded channel: what one word counts. */
export const mostMessages = 0x7fff_ffff

export class Counts {
  readonly buffer: SharedArrayBuffer
  readonly words: Int32Array
  readonly capacity: number
  readonly #waiters = new Set<() => void>()
  #watching = false

  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer
    this.words = new Int32Array(buffer)
    this.capacity = this.words[Word.Capacity]!
  }

  static make(capacity: number): Counts {
    const buffer = new SharedArrayBuffer(sharedBytes)
    new Int32Array(buffer)[Word.Capacity] = capacity
    return new Counts(buffer)
  }

  get isReceiverGone(): boolean {
    return Atomics.load(this.words, Word.ReceiverGone) !== 0
  }

  /** True from the report of a message until the receiver has found the channel empty. */
  get isReported(): boolean {
    return Atomics.load(this.words, Word.Reported) !== 0
  }

  get stats(): { readonly sent: number; readonly pending: number; readonly triggers: number } {
    return {
      sent: Atomics.load(this.words, Word.Sent) >>> 0,
      // The receiver can take a message that its sender has posted and not counted yet.
      pending: Math.max(0, Atomics.load(this.words, Word.Pending)),
      triggers: Atomics.load(this.words, Word.Triggers) >>> 0
    }
  }

  /** Takes a place for one message. Returns whether there was one. */
  reserve(): boolean {
    if (this.capacity === unlimited) return true
    for (;;) {
      const used = Atomics.load(this.words, Word.Used)
      if (used >= this.capacity) return false
      if (Atomics.compareExchange(this.words, Word.Used, used, used + 1) === used) return true
    }
  }

  /** Gives a place back. */
  free(): void {
    if (this.capacity === unlimited) return
    Atomics.sub(this.words, Word.Used, 1)
    if (Atomics.load(this.words, Word.Waiting) > 0) this.wakeSender(1)
  }

  /** Wakes at most `count` sending ends that wait for a place, on any thread. */
  wakeSender(count: number): void {
    Atomics.add(this.words, Word.Freed, 1)
    Atomics.notify(this.words, Word.Freed, count)
  }

  /** Waits until a place may have become free. */
  readonly awaitFree: Effect.Effect<void> = Effect.callback((resume) => {
    const wake = () => resumeFiber(resume, Effect.void)
    this.#waiters.add(wake)
    this.#watch()
    return Effect.sync(() => void this.#waiters.delete(wake))
  })

  /** Resumes all fibers of this end that wait for a place. */
  wakeWaiters(): void {
    const waiters = [...this.#waiters]
    this.#waiters.clear()
    for (const wake of waiters) wake()
  }

  /** True while waiting is the only thing left to do. */
  get #isFull(): boolean {
    return Atomics.load(this.words, Word.Used) >= this.capacity && !this.isReceiverGone
  }

  /**
   * Waits in shared memory, once for all fibers of this end: such a wait cannot be taken back by an
   * interruption.
   */
  #watch(): void {
    if (this.#watching) return
    this.#watching = true
    Atomics.add(this.words, Word.Waiting, 1)
    const freed = Atomics.load(this.words, Word.Freed)
    const result = this.#isFull ? Atomics.waitAsync(this.words, Word.Freed, freed) : undefined
    const woken = () => {
      this.#watching = false
      Atomics.sub(this.words, Word.Waiting, 1)
      this.#admitWaiters()
    }
    if (result?.async === true) void result.value.then(woken)
    else woken()
  }

  /** Resumes one fiber after the other while there are places. Each takes a place at once. */
  #admitWaiters(): void {
    for (const wake of this.#waiters) {
      if (this.#isFull) break
      this.#waiters.delete(wake)
      wake()
    }
    if (this.#waiters.size > 0) this.#watch()
    // The fibers of this end do not need the wake-up any more, so another end gets it.
    else if (!this.#isFull) this.wakeSender(1)
  }

  /**
   * Counts a message that is in its port by now. Returns whether the caller has to report it to the
   * receiver.
   */
  countPosted(): boolean {
    Atomics.add(this.words, Word.Pending, 1)
    if (Atomics.load(this.words, Word.Reported) !== 0) return false
    if (Atomics.compareExchange(this.words, Word.Reported, 0, 1) !== 0) return false
    Atomics.add(this.words, Word.Triggers, 1)
    return true
  }

  countSent(): void {
    Atomics.add(this.words, Word.Sent, 1)
  }

  countReceived(): void {
    Atomics.sub(this.words, Word.Pending, 1)
  }

  /**
   * Returns how many messages were ever posted and counted, given how many of them were received.
   */
  posted(received: number): number {
    return (Atomics.load(this.words, Word.Pending) + received) | 0
  }

  /**
   * Called when the receiver has found nothing although `posted` messages had been counted. From
   * now on the next message is reported again. Returns whether the receiver has to look once more,
   * because messages were posted meanwhile that are not going to be reported. If a sender reports
   * one at this very moment, the report is for the next batch, and this one needs no other. A
   * message that was counted before and not found went to a port that its sender had given away.
   */
  foundEmpty(posted: number, received: number): boolean {
    Atomics.store(this.words, Word.Reported, 0)
    return this.posted(received) !== posted && Atomics.compareExchange(this.words, Word.Reported, 0, 1) === 0
  }

  closeReceiver(): void {
    Atomics.store(this.words, Word.ReceiverGone, 1)
    this.wakeSender(Infinity)
  }
}
