/**
 * The shared memory of one poller: its state, its counters and the mailboxes of the threads that use it. Every thread
 * holds the same block, so attaching is one compare-and-swap and takes no message to anyone.
 *
 * In 32-bit words: a header, then one stretch a mailbox (its own header, then its ring of two words an entry).
 */
import type { SelectorHandle } from "../kernel/selector.ts"
import { maxMailboxes } from "../kernel/selector.ts"

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
  (headerWords + (mailboxes + 1) * (boxHeaderWords + ringSize * 2)) * 4

const headerWords = 64

/** Words of a mailbox's header. What the two sides write lies on cache lines of their own. */
export const Box = {
  /** 0 while nobody owns it, else the kernel's number of the thread that does, or -1 where threads have none. */
  Owner: 0,
  /** How many entries its owner has taken, modulo 2^32. */
  Head: 1,
  /** 1 while its owner sleeps, and the address at which it is woken. */
  Sleeping: 2,
  /** Counts the times that its owner has asked to be told of everything that is ready. */
  SyncRequested: 3,
  /** The descriptors that its owner opened in order to attach, plus one; 0 for none. */
  SelectorFd: 4,
  WakeFd: 5,
  /** How many descriptors its owner has registered. */
  Registrations: 6,
  /** One more descriptor that its owner opened, plus one; 0 for none. */
  RingFd: 7,
  /** How many entries were put in, modulo 2^32. */
  Tail: 32,
  /** 1 while the waiting thread holds back what did not fit. */
  Overflow: 33,
  /** The value of `SyncRequested` that was last answered. */
  SyncDone: 34
} as const

export const boxHeaderWords = 64

export class Control {
  readonly buffer: SharedArrayBuffer
  readonly words: Int32Array
  readonly mailboxes: number
  /** Entries of one ring; a power of two. */
  readonly ringSize: number
  readonly #nextId: BigInt64Array
  readonly #counters: Float64Array
  #left = false

  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer
    this.words = new Int32Array(buffer)
    this.mailboxes = this.words[Word.Mailboxes]!
    this.ringSize = this.words[Word.RingSize]!
    this.#nextId = new BigInt64Array(buffer, Word.NextId * 4, 1)
    this.#counters = new Float64Array(buffer, 0, headerWords / 2)
  }

  static make(mailboxes: number, ringSize: number): Control {
    const size = 2 ** Math.ceil(Math.log2(ringSize))
    const buffer = new SharedArrayBuffer(bytesFor(mailboxes, size))
    const header = new Int32Array(buffer)
    header[Word.Magic] = magic
    header[Word.Mailboxes] = Math.min(mailboxes, maxMailboxes)
    header[Word.RingSize] = size
    new BigInt64Array(buffer, Word.NextId * 4, 1)[0] = 1n
    return new Control(buffer)
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

  /** Over all threads. */
  get registrations(): number {
    let sum = 0
    for (let mailbox = 1; mailbox <= this.mailboxes; mailbox++) {
      sum += Atomics.load(this.words, this.base(mailbox) + Box.Registrations)
    }
    return sum
  }

  noteRegistrations(mailbox: number, count: number): void {
    this.words[this.base(mailbox) + Box.Registrations] = count
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

  /** The word at which a mailbox begins. Mailboxes count from 1. */
  base(mailbox: number): number {
    return headerWords + mailbox * (boxHeaderWords + this.ringSize * 2)
  }

  /** Claims a mailbox for a thread, or answers 0 if all are taken. */
  claim(thread: number): number {
    const owner = thread === 0 ? -1 : thread
    for (let mailbox = 1; mailbox <= this.mailboxes; mailbox++) {
      if (Atomics.compareExchange(this.words, this.base(mailbox) + Box.Owner, 0, owner) === 0) return mailbox
    }
    return 0
  }

  /** Gives a mailbox back: what still comes for it is dropped. */
  release(mailbox: number): void {
    const base = this.base(mailbox)
    this.words[base + Box.SelectorFd] = 0
    this.words[base + Box.WakeFd] = 0
    this.words[base + Box.RingFd] = 0
    this.words[base + Box.Registrations] = 0
    Atomics.store(this.words, base + Box.Owner, 0)
  }

  /** Notes what a mailbox's owner has opened, for whoever has to close it should that thread be terminated. */
  noteOpened(mailbox: number, handle: SelectorHandle): void {
    const base = this.base(mailbox)
    this.words[base + Box.SelectorFd] = handle.fd + 1
    this.words[base + Box.WakeFd] = handle.wake + 1
  }

  /** As `noteOpened`, of what is opened later. */
  noteRing(mailbox: number, fd: number): void {
    this.words[this.base(mailbox) + Box.RingFd] = fd + 1
  }

  /** Whether a thread that has attached has not let go of what it opened. */
  get isHeld(): boolean {
    for (let mailbox = 1; mailbox <= this.mailboxes; mailbox++) {
      const base = this.base(mailbox)
      if (Atomics.load(this.words, base + Box.Owner) > 0 && this.words[base + Box.SelectorFd] !== 0) return true
    }
    return false
  }

  /** Gives back the mailboxes of threads that were terminated, and answers the descriptors they left open. */
  reap(isAlive: (thread: number) => boolean): Array<number> {
    const left: Array<number> = []
    for (let mailbox = 1; mailbox <= this.mailboxes; mailbox++) {
      const base = this.base(mailbox)
      const owner = Atomics.load(this.words, base + Box.Owner)
      if (owner <= 0 || isAlive(owner)) continue
      const opened = [Box.SelectorFd, Box.WakeFd, Box.RingFd].map((word) => this.words[base + word]!)
      // Of two threads that find it dead, one closes.
      if (Atomics.compareExchange(this.words, base + Box.Owner, owner, -1) !== owner) continue
      left.push(...opened.filter((fd) => fd !== 0).map((fd) => fd - 1))
      this.release(mailbox)
    }
    return left
  }

  /** The request of a mailbox's owner to be told of all that is ready, if it was not answered yet. */
  syncRequest(mailbox: number): number | undefined {
    const base = this.base(mailbox)
    const requested = Atomics.load(this.words, base + Box.SyncRequested)
    return requested === Atomics.load(this.words, base + Box.SyncDone) ? undefined : requested
  }

  /** Wakes the owners of all mailboxes, so that they see a change of state. */
  wakeAll(): void {
    for (let mailbox = 1; mailbox <= this.mailboxes; mailbox++) {
      const sleeping = this.base(mailbox) + Box.Sleeping
      Atomics.store(this.words, sleeping, 0)
      Atomics.notify(this.words, sleeping)
    }
  }
}
