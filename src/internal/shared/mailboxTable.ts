/**
 * The mailboxes in a poller's shared memory: which thread owns each, and what that thread opened.
 */
import type { SelectorHandle } from "../kernel/selector.ts"

/** Words of a mailbox's header. The owner and the writer write to different cache lines. */
export const Box = {
  /**
   * The kernel's number of the owning thread, -1 for a thread without a number, 0 without an owner.
   */
  Owner: 0,
  /** The number of entries that the owner has taken, modulo 2^32. */
  Head: 1,
  /** 1 while the owner sleeps. The owner is woken at the address of this word. */
  Sleeping: 2,
  /** The number of syncs that the owner has requested. A sync brings in all that is ready. */
  SyncRequested: 3,
  /** The descriptors that the owner opened to attach, each plus one. 0 if there is none. */
  SelectorFd: 4,
  WakeFd: 5,
  /** The number of descriptors that the owner has registered. */
  Registrations: 6,
  /** The descriptor of the io_uring that the owner opened, plus one. 0 if there is none. */
  RingFd: 7,
  /** The number of entries that were written, modulo 2^32. */
  Tail: 32,
  /** 1 while the writer keeps entries that did not fit. */
  Overflow: 33,
  /** The value of `SyncRequested` at the last sync that was completed. */
  SyncDone: 34
} as const

export const boxHeaderWords = 64

/** A mailbox is its header, and a ring with two words per entry. */
export const wordsPerMailbox = (ringSize: number): number => boxHeaderWords + ringSize * 2

export class MailboxTable {
  readonly words: Int32Array
  /** The number of mailboxes. The first is number 1. */
  readonly count: number
  /** The number of entries in one ring: a power of two. */
  readonly ringSize: number
  readonly #start: number

  /** `start` is the word at which the table begins. */
  constructor(words: Int32Array, start: number, count: number, ringSize: number) {
    this.words = words
    this.#start = start
    this.count = count
    this.ringSize = ringSize
  }

  /** Returns the word at which a mailbox begins. */
  base(mailbox: number): number {
    return this.#start + mailbox * wordsPerMailbox(this.ringSize)
  }

  /** The number of registrations of all threads together. */
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

  /** Claims a mailbox for a thread. Returns 0 if all are taken. */
  claim(thread: number): number {
    const owner = thread === 0 ? -1 : thread
    for (let mailbox = 1; mailbox <= this.count; mailbox++) {
      if (Atomics.compareExchange(this.words, this.base(mailbox) + Box.Owner, 0, owner) === 0) return mailbox
    }
    return 0
  }

  /** Gives a mailbox back. Entries that still come for it are dropped. */
  release(mailbox: number): void {
    const base = this.base(mailbox)
    this.words[base + Box.SelectorFd] = 0
    this.words[base + Box.WakeFd] = 0
    this.words[base + Box.RingFd] = 0
    this.words[base + Box.Registrations] = 0
    Atomics.store(this.words, base + Box.Owner, 0)
  }

  /** Notes what a mailbox's owner opened. If that thread is terminated, another one closes it. */
  noteOpened(mailbox: number, handle: SelectorHandle): void {
    const base = this.base(mailbox)
    this.words[base + Box.SelectorFd] = handle.fd + 1
    this.words[base + Box.WakeFd] = handle.wake + 1
  }

  /** Notes, as `noteOpened` does, an io_uring that the owner opened later. */
  noteRing(mailbox: number, fd: number): void {
    this.words[this.base(mailbox) + Box.RingFd] = fd + 1
  }

  /** Whether an attached thread still has open what it opened. */
  get isHeld(): boolean {
    for (let mailbox = 1; mailbox <= this.count; mailbox++) {
      const base = this.base(mailbox)
      if (Atomics.load(this.words, base + Box.Owner) > 0 && this.words[base + Box.SelectorFd] !== 0) return true
    }
    return false
  }

  /**
   * Gives back the mailboxes of terminated threads. Returns the descriptors that they left open.
   */
  reap(isAlive: (thread: number) => boolean): Array<number> {
    const left: Array<number> = []
    for (let mailbox = 1; mailbox <= this.count; mailbox++) {
      const base = this.base(mailbox)
      const owner = Atomics.load(this.words, base + Box.Owner)
      if (owner <= 0 || isAlive(owner)) continue
      const opened = [Box.SelectorFd, Box.WakeFd, Box.RingFd].map((word) => this.words[base + word]!)
      // If two threads find it dead, only one of them closes.
      if (Atomics.compareExchange(this.words, base + Box.Owner, owner, -1) !== owner) continue
      left.push(...opened.filter((fd) => fd !== 0).map((fd) => fd - 1))
      this.release(mailbox)
    }
    return left
  }

  /** Returns the number of the sync that a mailbox's owner waits for, or `undefined`. */
  syncRequest(mailbox: number): number | undefined {
    const base = this.base(mailbox)
    const requested = Atomics.load(this.words, base + Box.SyncRequested)
    return requested === Atomics.load(this.words, base + Box.SyncDone) ? undefined : requested
  }

  /** Wakes the owners of all mailboxes, so that they see a new state of the poller. */
  wakeAll(): void {
    for (let mailbox = 1; mailbox <= this.count; mailbox++) {
      const sleeping = this.base(mailbox) + Box.Sleeping
      Atomics.store(this.words, sleeping, 0)
      Atomics.notify(this.words, sleeping)
    }
  }
}
