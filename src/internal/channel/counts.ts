/** The few words of shared memory in which the two ends of a channel count their messages and places. */
import * as Effect from "effect/Effect"

/** Words of the memory that all ends share. */
const Word = {
  /** 1 once the receiver is gone. */
  ReceiverGone: 0,
  /** Messages that were sent and not received. */
  Pending: 1,
  /** 1 from the trigger that tells the receiver until the receiver has found the channel empty. */
  Told: 2,
  /** How many messages it may hold; 0 for any number. */
  Capacity: 3,
  /** Messages that hold a place of a bounded channel. */
  Used: 4,
  /** How many senders wait for a place. */
  Waiting: 5,
  /** Changes whenever a place becomes free, and the address at which senders wait. */
  Freed: 6,
  Sent: 7,
  Triggers: 8
} as const

export const sharedBytes = 64

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

  /** A capacity of 0 is none. */
  static make(capacity: number): Counts {
    const buffer = new SharedArrayBuffer(sharedBytes)
    new Int32Array(buffer)[Word.Capacity] = capacity
    return new Counts(buffer)
  }

  get isReceiverGone(): boolean {
    return Atomics.load(this.words, Word.ReceiverGone) !== 0
  }
  /** Whether the receiver was told, and has not found it empty since. */
  get isTold(): boolean {
    return Atomics.load(this.words, Word.Told) !== 0
  }
  get pending(): number {
    // The receiver may be faster than a sender that has posted a message and not counted it yet.
    return Math.max(0, Atomics.load(this.words, Word.Pending))
  }
  get sent(): number {
    return Atomics.load(this.words, Word.Sent) >>> 0
  }
  get triggers(): number {
    return Atomics.load(this.words, Word.Triggers) >>> 0
  }

  /** Takes a place for one message. Answers whether there was one. */
  reserve(): boolean {
    if (this.capacity === 0) return true
    for (;;) {
      const used = Atomics.load(this.words, Word.Used)
      if (used >= this.capacity) return false
      if (Atomics.compareExchange(this.words, Word.Used, used, used + 1) === used) return true
    }
  }

  /** Gives a place back. */
  free(): void {
    if (this.capacity === 0) return
    Atomics.sub(this.words, Word.Used, 1)
    if (Atomics.load(this.words, Word.Waiting) > 0) this.wakeSender(1)
  }

  wakeSender(count: number): void {
    Atomics.add(this.words, Word.Freed, 1)
    Atomics.notify(this.words, Word.Freed, count)
  }

  /** Waits until a place may have become free. */
  readonly awaitFree: Effect.Effect<void> = Effect.callback((resume) => {
    const wake = () => resume(Effect.void)
    this.#waiters.add(wake)
    this.#watch()
    return Effect.sync(() => void this.#waiters.delete(wake))
  })

  /** Lets all of this end go on that wait for a place. */
  wakeWaiters(): void {
    const waiters = [...this.#waiters]
    this.#waiters.clear()
    for (const wake of waiters) wake()
  }

  get #isHopeless(): boolean {
    return Atomics.load(this.words, Word.Used) >= this.capacity && !this.isReceiverGone
  }

  /** Waits in shared memory once for all of this end, for such a wait cannot be taken back when one is interrupted. */
  #watch(): void {
    if (this.#watching) return
    this.#watching = true
    Atomics.add(this.words, Word.Waiting, 1)
    const freed = Atomics.load(this.words, Word.Freed)
    const result = this.#isHopeless ? Atomics.waitAsync(this.words, Word.Freed, freed) : undefined
    const woken = () => {
      this.#watching = false
      Atomics.sub(this.words, Word.Waiting, 1)
      this.#admitWaiters()
    }
    if (result?.async === true) void result.value.then(woken)
    else woken()
  }

  /** Lets one after the other go on while there are places, which they take at once. */
  #admitWaiters(): void {
    for (const wake of this.#waiters) {
      if (this.#isHopeless) break
      this.#waiters.delete(wake)
      wake()
    }
    if (this.#waiters.size > 0) this.#watch()
    // The wake-up is another end's: those who waited here do not any more.
    else if (!this.#isHopeless) this.wakeSender(1)
  }

  /** Counts what is in its port by now. Answers whether the receiver has to be told. */
  countPosted(): boolean {
    Atomics.add(this.words, Word.Pending, 1)
    if (Atomics.load(this.words, Word.Told) !== 0) return false
    if (Atomics.compareExchange(this.words, Word.Told, 0, 1) !== 0) return false
    Atomics.add(this.words, Word.Triggers, 1)
    return true
  }

  countSent(): void {
    Atomics.add(this.words, Word.Sent, 1)
  }

  countReceived(): void {
    Atomics.sub(this.words, Word.Pending, 1)
  }

  /** How many were ever posted and counted, of which so many were received. */
  posted(received: number): number {
    return (Atomics.load(this.words, Word.Pending) + received) | 0
  }

  /**
   * The receiver has found nothing, after so many were posted: from now on it has to be told. Answers whether more have been
   * posted meanwhile, of which it is not told; whoever tells it at this very moment does so for the next batch, and not once
   * more for this one. What was posted before and not found went to a port that its sender had given away.
   */
  foundEmpty(posted: number, received: number): boolean {
    Atomics.store(this.words, Word.Told, 0)
    return this.posted(received) !== posted && Atomics.compareExchange(this.words, Word.Told, 0, 1) === 0
  }

  closeReceiver(): void {
    Atomics.store(this.words, Word.ReceiverGone, 1)
    this.wakeSender(Infinity)
  }
}
