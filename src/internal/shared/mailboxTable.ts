/** The mailboxes of a poller's shared memory: which thread owns each, and what it has opened. */
import type { SelectorHandle } from "../kernel/selector.ts"

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

/** Its header, and its ring of two words an entry. */
export const wordsPerMailbox = (ringSize: number): number => boxHeaderWords + ringSize * 2

export class MailboxTable {
  readonly words: Int32Array
  /** How many mailboxes there are. They count from 1. */
  readonly count: number
  /** Entries of one ring; a power of two. */
  readonly ringSize: number
  readonly #start: number

  /** `start` is the word at which the table begins. */
  constructor(words: Int32Array, start: number, count: number, ringSize: number) {
    this.words = words
    this.#start = start
    this.count = count
    this.ringSize = ringSize
  }

  /** The word at which a mailbox begins. Mailboxes count from 1. */
  base(mailbox: number): number {
    return this.#start + mailbox * wordsPerMailbox(this.ringSize)
  }

  /** Over all threads. */
  get registrations(): number {
    let sum = 0
    for (let mailbox = 1; mailbox <= this.count; mailbox++) {
      sum += Atomics.load(this.words, this.base(mailbox) + Box.Registrations)
    }
    return sum
  }

  noteRegistrations(mailbox: number, count: number): void {
    this.words[this.base(mailbox) + Box.Registrations] = count
  }

  /** Claims a mailbox for a thread, or answers 0 if all are taken. */
  claim(thread: number): number {
    const owner = thread === 0 ? -1 : thread
    for (let mailbox = 1; mailbox <= this.count; mailbox++) {
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
    for (let mailbox = 1; mailbox <= this.count; mailbox++) {
      const base = this.base(mailbox)
      if (Atomics.load(this.words, base + Box.Owner) > 0 && this.words[base + Box.SelectorFd] !== 0) return true
    }
    return false
  }

  /** Gives back the mailboxes of threads that were terminated, and answers the descriptors they left open. */
  reap(isAlive: (thread: number) => boolean): Array<number> {
    const left: Array<number> = []
    for (let mailbox = 1; mailbox <= this.count; mailbox++) {
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
    for (let mailbox = 1; mailbox <= this.count; mailbox++) {
      const sleeping = this.base(mailbox) + Box.Sleeping
      Atomics.store(this.words, sleeping, 0)
      Atomics.notify(this.words, sleeping)
    }
  }
}
