/**
 * The shared memory of one poller: its state, its counters and the mailboxes of the threads that use it. Every thread
 * holds the same block, so attaching is one compare-and-swap and takes no message to anyone.
 *
 * In 32-bit words: a header, then one stretch a mailbox (its own header, then its ring of two words an entry).
 */
import { maxMailboxes } from "../kernel/userData.ts"
import { MailboxTable, wordsPerMailbox } from "./mailboxTable.ts"

export const State = {
  Open: 0,
  /** The owner is closing: the polling thread returns from the kernel and ends. */
  Closing: 1,
  Closed: 2,
  /** Whoever waited in the kernel has died. */
  Failed: 3
} as const

/** Words of the header. */
const Word = {
  State: 0,
  Mailboxes: 1,
  RingSize: 2,
  /** 64 bits, for which an even word is needed. */
  NextId: 4,
  /** The errno that the waiter died of, or 0. */
  Errno: 6,
  /** What the kernel calls the thread that waits, or 0. */
  ThreadId: 7,
  /** By which a block is known for one. */
  Magic: 8,
  /** How many threads are loading what they poll or register with. */
  Loading: 9
} as const

const magic = 0x616d79

/** 64-bit counters of the header, each written by the waiting thread alone; in units of eight bytes. */
const Counter = { Waits: 8, Wakeups: 9, Overflows: 10 } as const

const bytesFor = (mailboxes: number, ringSize: number): number =>
  (headerWords + (mailboxes + 1) * wordsPerMailbox(ringSize)) * 4

const headerWords = 64

export class PollerMemory {
  readonly buffer: SharedArrayBuffer
  readonly words: Int32Array
  readonly mailboxes: MailboxTable
  readonly #nextId: BigInt64Array
  readonly #counters: Float64Array
  #left = false

  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer
    this.words = new Int32Array(buffer)
    this.mailboxes = new MailboxTable(this.words, headerWords, this.words[Word.Mailboxes]!, this.words[Word.RingSize]!)
    this.#nextId = new BigInt64Array(buffer, Word.NextId * 4, 1)
    this.#counters = new Float64Array(buffer, 0, headerWords / 2)
  }

  static make(mailboxes: number, ringSize: number): PollerMemory {
    const size = 2 ** Math.ceil(Math.log2(ringSize))
    const buffer = new SharedArrayBuffer(bytesFor(mailboxes, size))
    const header = new Int32Array(buffer)
    header[Word.Magic] = magic
    header[Word.Mailboxes] = Math.min(mailboxes, maxMailboxes)
    header[Word.RingSize] = size
    new BigInt64Array(buffer, Word.NextId * 4, 1)[0] = 1n
    return new PollerMemory(buffer)
  }

  /** Whether a buffer is what `make` made. */
  static isOne(buffer: SharedArrayBuffer): boolean {
    if (buffer.byteLength < headerWords * 4 || buffer.byteLength % 4 !== 0) return false
    const header = new Int32Array(buffer)
    return (
      header[Word.Magic] === magic && buffer.byteLength === bytesFor(header[Word.Mailboxes]!, header[Word.RingSize]!)
    )
  }

  get state(): number {
    const state = Atomics.load(this.words, Word.State)
    return this.#left && state < State.Closed ? State.Closed : state
  }

  /** From here on the poller is closed for whoever holds this object, and goes on for everyone else. */
  leave(): void {
    this.#left = true
  }

  /** Moves on to a later state; a poller never comes back from one. */
  advance(state: number): void {
    let current = this.state
    while (current < state) current = Atomics.compareExchange(this.words, Word.State, current, state)
  }

  /** Records that the waiting thread has died, unless the poller was closing anyway. Answers whether it did. */
  fail(errno: number): boolean {
    if (Atomics.compareExchange(this.words, Word.State, State.Open, State.Failed) !== State.Open) return false
    Atomics.store(this.words, Word.Errno, errno)
    return true
  }

  get failedWith(): number {
    return Atomics.load(this.words, Word.Errno)
  }

  get threadId(): number {
    return Atomics.load(this.words, Word.ThreadId)
  }

  set threadId(id: number) {
    Atomics.store(this.words, Word.ThreadId, id)
  }

  /** A thread is about to load native code, and must not be ended until `endLoading`: koffi would abort the process. */
  beginLoading(): void {
    Atomics.add(this.words, Word.Loading, 1)
  }

  endLoading(): void {
    Atomics.sub(this.words, Word.Loading, 1)
    Atomics.notify(this.words, Word.Loading)
  }

  /** Blocks until no thread is loading, for so many milliseconds at most. */
  awaitLoaded(timeout: number): void {
    const until = performance.now() + timeout
    for (;;) {
      const loading = Atomics.load(this.words, Word.Loading)
      const left = until - performance.now()
      if (loading === 0 || left <= 0) return
      Atomics.wait(this.words, Word.Loading, loading, left)
    }
  }

  takeId(): number {
    return Number(Atomics.add(this.#nextId, 0, 1n))
  }

  /** Gives back an id that the kernel never saw, so that a refused registration changes nothing. */
  returnId(id: number): void {
    Atomics.compareExchange(this.#nextId, 0, BigInt(id) + 1n, BigInt(id))
  }

  /** Whether an id was ever given out. */
  wasIssued(id: number): boolean {
    return Number.isSafeInteger(id) && id > 0 && id < Number(Atomics.load(this.#nextId, 0))
  }

  get waits(): number {
    return this.#counters[Counter.Waits]!
  }
  get wakeups(): number {
    return this.#counters[Counter.Wakeups]!
  }
  get overflows(): number {
    return this.#counters[Counter.Overflows]!
  }
  countWait(): void {
    this.#counters[Counter.Waits]!++
  }
  countWakeup(): void {
    this.#counters[Counter.Wakeups]!++
  }
  countOverflow(): void {
    this.#counters[Counter.Overflows]!++
  }
}
