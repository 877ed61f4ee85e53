/** The mailboxes in a poller's shared memory, and which thread owns each. */

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
  /** The number of descriptors that the owner has registered. */
  Registrations: 4,
  /**
   * The context of Linux AIO in which the owner makes calls, or 0: 64 bits. The next owner uses the
   * same.
   */
  Context: 6,
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
  /** The most mailboxes that there can be. The first is number 1. */
  readonly capacity: number
  /** The number of entries in one ring: a power of two. */
  readonly ringSize: number
  readonly #buffer: SharedArrayBuffer
  /** In bytes. */
  readonly #start: number
  readonly #boxBytes: number
  /** The words of each mailbox, at its number. */
  readonly #boxes: Array<Int32Array | undefined> = []

  /** `start` is the byte at which the table begins. It ends where the buffer ends. */
  constructor(buffer: SharedArrayBuffer, start: number, capacity: number, ringSize: number) {
    this.#buffer = buffer
    this.#start = start
    this.#boxBytes = wordsPerMailbox(ringSize) * 4
    this.capacity = capacity
    this.ringSize = ringSize
  }

  /** The number of mailboxes for which there is memory. It grows with the threads that attach. */
  get count(): number {
    return Math.floor((this.#buffer.byteLength - this.#start) / this.#boxBytes)
  }

  /**
   * Returns the words of a mailbox: its header and its ring. Their length is fixed, because V8 is
   * slower with views that grow with their buffer.
   */
  box(mailbox: number): Int32Array {
    return (this.#boxes[mailbox] ??= new Int32Array(this.#buffer, this.#bytesBefore(mailbox), this.#boxBytes / 4))
  }

  #bytesBefore(mailbox: number): number {
    return this.#start + (mailbox - 1) * this.#boxBytes
  }

  /** The number of registrations of all threads together. */
  get registrations(): number {
    let sum = 0
    for (let mailbox = this.count; mailbox > 0; mailbox--) {
      const box = this.box(mailbox)
      if (Atomics.load(box, Box.Owner) !== 0) sum += Atomics.load(box, Box.Registrations)
    }
    return sum
  }

  noteRegistrations(mailbox: number, count: number): void {
    this.box(mailbox)[Box.Registrations] = count
  }

  /**
   * Claims a mailbox for a thread. Returns 0 if all are taken. Throws `RangeError` if there is no
   * memory for another one.
   */
  claim(thread: number): number {
    const owner = thread === 0 ? -1 : thread
    for (let mailbox = 1; mailbox <= this.capacity; mailbox++) {
      if (mailbox > this.count) this.#growTo(mailbox)
      const box = this.box(mailbox)
      if (Atomics.compareExchange(box, Box.Owner, 0, owner) !== 0) continue
      box[Box.Registrations] = 0
      return mailbox
    }
    return 0
  }

  /** Makes memory for mailboxes up to this one. Several threads may do so at once. */
  #growTo(mailbox: number): void {
    try {
      this.#buffer.grow(this.#bytesBefore(mailbox + 1))
    } catch (thrown) {
      // Another thread may have grown it to more than this one asked for.
      if (mailbox > this.count) throw thrown
    }
  }

  /** Gives a mailbox back. Entries that still come for it are dropped. */
  release(mailbox: number): void {
    Atomics.store(this.box(mailbox), Box.Owner, 0)
  }

  /** Returns where the context of a mailbox is noted. */
  contextPlace(mailbox: number): BigInt64Array<ArrayBufferLike> {
    return new BigInt64Array(this.#buffer, this.#bytesBefore(mailbox) + Box.Context * 4, 1)
  }

  /** Returns where the contexts are noted that no thread uses: those of mailboxes without an owner. */
  *abandonedContexts(): Generator<BigInt64Array<ArrayBufferLike>> {
    for (let mailbox = this.count; mailbox > 0; mailbox--) {
      if (Atomics.load(this.box(mailbox), Box.Owner) === 0) yield this.contextPlace(mailbox)
    }
  }

  /** Gives back the mailboxes of terminated threads. */
  reclaim(isAlive: (thread: number) => boolean): void {
    for (let mailbox = this.count; mailbox > 0; mailbox--) {
      const box = this.box(mailbox)
      const owner = Atomics.load(box, Box.Owner)
      // Another thread may have been faster, and a further one have it by now.
      if (owner > 0 && !isAlive(owner)) Atomics.compareExchange(box, Box.Owner, owner, 0)
    }
  }

  /** Returns the number of the sync that a mailbox's owner waits for, or `undefined`. */
  syncRequest(mailbox: number): number | undefined {
    const box = this.box(mailbox)
    const requested = Atomics.load(box, Box.SyncRequested)
    return requested === Atomics.load(box, Box.SyncDone) ? undefined : requested
  }

  /** Wakes the owners of all mailboxes, so that they see a new state of the poller. */
  wakeAll(): void {
    for (let mailbox = this.count; mailbox > 0; mailbox--) {
      const box = this.box(mailbox)
      Atomics.store(box, Box.Sleeping, 0)
      Atomics.notify(box, Box.Sleeping)
    }
  }
}
