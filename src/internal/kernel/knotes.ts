/**
 * What is registered under each number, in memory that all threads of a poller share: for a kernel that can neither tell
 * nor refuse to register the same number twice, and that knows nothing of one registration with two filters.
 *
 * It is a note of what was asked of the kernel and not the truth: a descriptor that is closed leaves the kernel without
 * anybody telling. So whoever finds a note asks the kernel whether it still holds.
 *
 * Four words a number: the user data's two, the interest, and one that is spare.
 */
import { Interest } from "./selector.ts"
import { highBits, highMask, highOf, joinId, lowOf } from "./userData.ts"

const words = 4
const firstSize = 1024

/** Numbers from here on are refused: far above what any system lets a process open. Only what is used is real memory. */
const ceiling = 1 << 22

/** Beside the bits of an interest: a oneshot registration that has been reported. */
const Reported = 1 << 16

/** The user data of a registration, as one number to compare. 0 stands for none. */
export const userDataOf = (mailbox: number, id: number): bigint =>
  (BigInt(highOf(id) | (mailbox << highBits)) << 32n) | BigInt(lowOf(id) >>> 0)

export class Knotes {
  readonly buffer: SharedArrayBuffer
  readonly #words: Int32Array
  readonly #userData: BigInt64Array

  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer
    // They grow with their buffer, whichever thread it is that makes it grow.
    this.#words = new Int32Array(buffer)
    this.#userData = new BigInt64Array(buffer)
  }

  static make(): Knotes {
    return new Knotes(new SharedArrayBuffer(firstSize * words * 4, { maxByteLength: ceiling * words * 4 }))
  }

  /** Makes room for a number; answers whether there can be any. */
  reach(fd: number): boolean {
    if (fd >= ceiling) return false
    const wanted = (fd + 1) * words * 4
    while (this.buffer.byteLength < wanted) {
      try {
        this.buffer.grow(Math.min(Math.max(wanted, this.buffer.byteLength * 2), this.buffer.maxByteLength))
      } catch (thrown) {
        // Another thread may have made it larger than this one asked for.
        if (this.buffer.byteLength < wanted) throw thrown
      }
    }
    return true
  }

  #has(fd: number): boolean {
    return fd >= 0 && (fd + 1) * words <= this.#words.length
  }

  userData(fd: number): bigint {
    return this.#has(fd) ? Atomics.load(this.#userData, fd * 2) : 0n
  }

  /** The interest that is noted, or 0. */
  interest(fd: number): number {
    return this.#has(fd) ? Atomics.load(this.#words, fd * words + 2) & ~Reported : 0
  }

  isNoted(fd: number, id: number): boolean {
    if (!this.#has(fd)) return false
    return joinId(this.#words[fd * words]!, this.#words[fd * words + 1]! & highMask) === id
  }

  /** Notes a registration in place of what is known to be there. Answers whether no other thread was faster. */
  claim(fd: number, known: bigint, mailbox: number, id: number, interest: number): boolean {
    const wanted = BigInt.asIntN(64, userDataOf(mailbox, id))
    if (Atomics.compareExchange(this.#userData, fd * 2, known, wanted) !== known) return false
    // Nothing is reported before the kernel is told, and that comes afterwards.
    Atomics.store(this.#words, fd * words + 2, interest)
    return true
  }

  /** Notes what a registration has become. From here on it can be reported again. */
  note(fd: number, mailbox: number, id: number, interest: number): void {
    Atomics.store(this.#words, fd * words + 2, interest)
    Atomics.store(this.#userData, fd * 2, BigInt.asIntN(64, userDataOf(mailbox, id)))
  }

  forget(fd: number): void {
    if (!this.#has(fd)) return
    Atomics.store(this.#words, fd * words + 2, 0)
    Atomics.store(this.#userData, fd * 2, 0n)
  }

  /**
   * Whether the report of a filter is to be delivered: not if it is not asked for any more, and of a oneshot registration
   * only one notification, whatever its other filter has to say later. What both say in one batch is one.
   */
  admits(fd: number, bit: number, low: number, high: number, reportedNow: Array<number>): boolean {
    if (!this.#has(fd)) return true
    const at = fd * words
    // Triggers are not noted; what is of another registration is for others to judge.
    if (this.#words[at] !== low || this.#words[at + 1] !== high) return true
    const interest = Atomics.load(this.#words, at + 2)
    if ((interest & bit) === 0) return false
    if ((interest & Interest.Oneshot) === 0) return true
    if ((Atomics.or(this.#words, at + 2, Reported) & Reported) !== 0) return reportedNow.includes(fd)
    reportedNow.push(fd)
    return true
  }
}
