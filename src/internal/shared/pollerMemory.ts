/**
 * The shared memory of one poller: its state, its counters, and the mailboxes of the threads that
 * use it. Every thread holds the same block, so a thread attaches by one compare-and-swap and sends
 * no message.
 *
 * The block begins with a header in 32-bit words. After it comes each mailbox: its own header, then
 * its ring. The block has one mailbox at first, and grows when a thread attaches that finds no free
 * one. Its address is reserved for all of them.
 */
import { maxMailboxes } from "../kernel/userData.ts"
import { LoadingThreads, loadingPlaces } from "./loadingThreads.ts"
import { MailboxTable, wordsPerMailbox } from "./mailboxTable.ts"

export const State = {
  Open: 0,
  /** The poller is being closed. The polling thread returns from the kernel and ends. */
  Closing: 1,
  Closed: 2,
  /** The thread that waited in the kernel has died. */
  Failed: 3
} as const

/** Words of the header. */
const Word = {
  State: 0,
  Mailboxes: 1,
  RingSize: 2,
  /** The id that is given out next: 64 bits, for which the word must be an even one. */
  NextId: 4,
  /** The errno that the waiting thread failed with, or 0. */
  Errno: 6,
  /** The kernel's number of the waiting thread, or 0. */
  ThreadId: 7,
  /** Marks a block as the memory of a poller. */
  Magic: 8,
  /** The first place of a thread that is loading native code. The places take the rest of the header. */
  Loading: 32
} as const

const magic = 0x616d79

/** 64-bit counters in the header, in units of eight bytes. Only the waiting thread writes them. */
const Counter = { Waits: 8, Wakeups: 9, Overflows: 10 } as const

const headerWords = 64
const headerBytes = headerWords * 4

const bytesFor = (mailboxes: number, ringSize: number): number =>
  headerBytes + mailboxes * wordsPerMailbox(ringSize) * 4

/** The most entries of a ring. */
export const mostEntries = 1 << 20

export class PollerMemory {
  readonly buffer: SharedArrayBuffer
  readonly mailboxes: MailboxTable
  /** The threads of this poller that are loading native code. */
  readonly loading: LoadingThreads
  readonly #words: Int32Array
  readonly #nextId: BigInt64Array
  readonly #counters: Float64Array
  #hasLeft = false

  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer
    // Of a fixed length, because V8 is slower with views that grow with their buffer.
    this.#words = new Int32Array(buffer, 0, headerWords)
    this.loading = new LoadingThreads(new Int32Array(buffer, Word.Loading * 4, loadingPlaces))
    this.#nextId = new BigInt64Array(buffer, Word.NextId * 4, 1)
    this.#counters = new Float64Array(buffer, 0, headerWords / 2)
    this.mailboxes = new MailboxTable(buffer, headerBytes, this.#words[Word.Mailboxes]!, this.#words[Word.RingSize]!)
  }

  /**
   * Makes the memory of a poller, which can grow to this number of mailboxes. Throws `RangeError` if there is none.
   */
  static make(mailboxes: number, ringSize: number): PollerMemory {
    const count = Math.min(mailboxes, maxMailboxes)
    const size = 2 ** Math.ceil(Math.log2(ringSize))
    const buffer = new SharedArrayBuffer(bytesFor(1, size), { maxByteLength: bytesFor(count, size) })
    const header = new Int32Array(buffer, 0, headerWords)
    header[Word.Magic] = magic
    header[Word.Mailboxes] = count
    header[Word.RingSize] = size
    new BigInt64Array(buffer, Word.NextId * 4, 1)[0] = 1n
    return new PollerMemory(buffer)
  }

  /** Whether a buffer was made by `make`, whatever a foreign one contains. */
  static isPollerMemory(buffer: SharedArrayBuffer): boolean {
    if (!buffer.growable || buffer.byteLength < headerBytes) return false
    const header = new Int32Array(buffer, 0, headerWords)
    const count = header[Word.Mailboxes]!
    const size = header[Word.RingSize]!
    return (
      header[Word.Magic] === magic &&
      count >= 1 &&
      count <= maxMailboxes &&
      size >= 1 &&
      size <= mostEntries &&
      Number.isInteger(Math.log2(size)) &&
      buffer.byteLength >= bytesFor(1, size) &&
      buffer.maxByteLength === bytesFor(count, size)
    )
  }

  get state(): number {
    const state = Atomics.load(this.#words, Word.State)
    return this.#hasLeft && state < State.Closed ? State.Closed : state
  }

  /** Whether the poller is closed or has failed, for all threads. */
  get isOver(): boolean {
    return Atomics.load(this.#words, Word.State) >= State.Closed
  }

  /** Makes the poller look closed through this object. It goes on for all other threads. */
  leave(): void {
    this.#hasLeft = true
  }

  /** Moves on to a later state. A poller never returns to an earlier one. */
  advance(state: number): void {
    let current = this.state
    while (current < state) current = Atomics.compareExchange(this.#words, Word.State, current, state)
  }

  /**
   * Records that the waiting thread has died. Returns false if the poller was not open any more.
   */
  fail(errno: number): boolean {
    if (Atomics.compareExchange(this.#words, Word.State, State.Open, State.Failed) !== State.Open) return false
    Atomics.store(this.#words, Word.Errno, errno)
    return true
  }

  /** The errno that the waiting thread failed with, or 0. */
  get failedWith(): number {
    return Atomics.load(this.#words, Word.Errno)
  }

  /** The kernel's number of the waiting thread, or 0. */
  get threadId(): number {
    return Atomics.load(this.#words, Word.ThreadId)
  }

  set threadId(id: number) {
    Atomics.store(this.#words, Word.ThreadId, id)
  }

  /** Gives out an id. */
  takeId(): number {
    return Number(Atomics.add(this.#nextId, 0, 1n))
  }

  /**
   * Takes back the id given out last, if the kernel never saw it. A refused registration then
   * changes nothing.
   */
  returnId(id: number): void {
    Atomics.compareExchange(this.#nextId, 0, BigInt(id) + 1n, BigInt(id))
  }

  /** Whether an id has been given out. */
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
