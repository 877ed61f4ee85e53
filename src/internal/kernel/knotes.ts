/**
 * Notes of what is registered under each descriptor's number, in memory that all threads of a
 * poller share. A kqueue needs them: it accepts a second registration of one number without a sign,
 * and it does not know that two filters are one registration.
 *
 * A note says what the kernel was asked for, which may no longer be so: a kqueue silently drops the
 * knotes of a closed descriptor. So a thread that finds a note asks the kernel whether it still
 * holds.
 *
 * A note has four words: two of user data, the interest, and a spare one.
 */
import { Interest } from "./selector.ts"
import { highWordOf, lowOf } from "./userData.ts"

const words = 4
const firstSize = 1024

/**
 * Numbers from here on are refused. They are far above what any system lets a process open. Memory
 * below that is not used costs nothing.
 */
const ceiling = 1 << 22

/** A bit beside those of an interest: this oneshot registration has been reported. */
const Reported = 1 << 16

/** Returns the user data of a registration as one number to compare. 0 means that there is none. */
const userDataOf = (mailbox: number, id: number): bigint =>
  BigInt.asIntN(64, (BigInt(highWordOf(mailbox, id)) << 32n) | BigInt(lowOf(id) >>> 0))

export class Knotes {
  readonly buffer: SharedArrayBuffer
  readonly #words: Int32Array
  readonly #userData: BigInt64Array

  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer
    // The views grow with their buffer, whichever thread grows it.
    this.#words = new Int32Array(buffer)
    this.#userData = new BigInt64Array(buffer)
  }

  static make(): Knotes {
    return new Knotes(new SharedArrayBuffer(firstSize * words * 4, { maxByteLength: ceiling * words * 4 }))
  }

  /** Makes room for a number. Returns whether there can be any. */
  reserve(fd: number): boolean {
    if (fd >= ceiling) return false
    const wanted = (fd + 1) * words * 4
    while (this.buffer.byteLength < wanted) {
      try {
        this.buffer.grow(Math.min(Math.max(wanted, this.buffer.byteLength * 2), this.buffer.maxByteLength))
      } catch (thrown) {
        // Another thread may have grown it to more than this one asked for.
        if (this.buffer.byteLength < wanted) throw thrown
      }
    }
    return true
  }

  #has(fd: number): boolean {
    return fd >= 0 && (fd + 1) * words <= this.#words.length
  }

  /** Returns the user data that is noted, or 0. */
  userData(fd: number): bigint {
    return this.#has(fd) ? Atomics.load(this.#userData, fd * 2) : 0n
  }

  /** Returns the interest that is noted, or 0. */
  interest(fd: number): number {
    return this.#has(fd) ? Atomics.load(this.#words, fd * words + 2) & ~Reported : 0
  }

  /**
   * Notes a registration in place of the user data `known`. Returns false if another thread was
   * faster.
   */
  claim(fd: number, known: bigint, mailbox: number, id: number, interest: number): boolean {
    const wanted = userDataOf(mailbox, id)
    if (Atomics.compareExchange(this.#userData, fd * 2, known, wanted) !== known) return false
    // The kernel learns of the registration afterwards, so no report can precede this.
    Atomics.store(this.#words, fd * words + 2, interest)
    return true
  }

  /** Notes what a registration has become. From then on it can be reported again. */
  note(fd: number, mailbox: number, id: number, interest: number): void {
    Atomics.store(this.#words, fd * words + 2, interest)
    Atomics.store(this.#userData, fd * 2, userDataOf(mailbox, id))
  }

  forget(fd: number): void {
    if (!this.#has(fd)) return
    Atomics.store(this.#words, fd * words + 2, 0)
    Atomics.store(this.#userData, fd * 2, 0n)
  }

  /**
   * Whether the report of a filter is delivered. It is not if the filter is no longer asked for. Of
   * a oneshot registration only the first report is, whichever filter it comes from. Reports of
   * both filters in one batch are one notification, so `reportedNow` collects the descriptors of a
   * batch.
   */
  admits(fd: number, bit: number, low: number, high: number, reportedNow: Array<number>): boolean {
    if (!this.#has(fd)) return true
    const at = fd * words
    // Triggers have no note, and the dispatcher drops reports of another registration.
    if (this.#words[at] !== low || this.#words[at + 1] !== high) return true
    const interest = Atomics.load(this.#words, at + 2)
    if ((interest & bit) === 0) return false
    if ((interest & Interest.Oneshot) === 0) return true
    if ((Atomics.or(this.#words, at + 2, Reported) & Reported) !== 0) return reportedNow.includes(fd)
    reportedNow.push(fd)
    return true
  }
}
