/**
 * The result of a read that was made before the waiting fiber was resumed. There is one at most.
 */
import type { Direction } from "../descriptor/direction.ts"

/** No result: neither bytes, nor their end, nor an error. */
const nothing = -1
/** The read was put into a batch, and not made yet. */
const coming = -2
const none = Buffer.alloc(0)

export class ReadAhead {
  #bytes: Buffer = none
  #at = 0
  /** Bytes that are left, 0 at the end, `nothing` or `coming`. */
  #left = nothing
  #errno = 0
  /** Whether less came than there was room for. */
  #isShort = false
  /** How many reports of readiness the result covers. */
  #reports = 0

  get isNothing(): boolean {
    return this.#left === nothing
  }

  /** Whether there are bytes, or an error, which the kernel reports once. */
  get hasSome(): boolean {
    return this.#left > 0 || (this.#left === 0 && this.#errno !== 0)
  }

  /**
   * Notes that a read was put into the batch: a second report in the same batch must not put in
   * another.
   */
  expect(): void {
    this.#left = coming
  }

  /**
   * Takes the result: the number of bytes, or the negated errno. It covers the report that is being
   * delivered.
   */
  received(result: number, bytes: Buffer, at: number, room: number, { reports }: Direction): void {
    this.#bytes = bytes
    this.#at = at
    this.#left = Math.max(0, result)
    this.#errno = Math.max(0, -result)
    this.#isShort = result > 0 && result < room
    this.#reports = reports + 1
  }

  /** Returns the error that came in place of bytes, once; 0 if there is none. */
  takeErrno(): number {
    const errno = this.#errno
    if (errno !== 0) this.clear()
    return errno
  }

  /** Passes at most `length` bytes to `use`. Returns how many, 0 at the end. */
  take(length: number, use: (bytes: Buffer, at: number, count: number) => void): number {
    const count = Math.min(length, this.#left)
    use(this.#bytes, this.#at, count)
    this.#at += count
    this.#left -= count
    if (this.#left === 0) this.clear()
    return count
  }

  /**
   * Returns whether the bytes taken last were all there were, and nothing was reported since they
   * were read.
   */
  wasLast({ reports }: Direction): boolean {
    return this.isNothing && this.#isShort && reports <= this.#reports
  }

  /** Copies the bytes that are left out of the batch's memory. */
  keep(): void {
    if (this.#left > 0) this.#bytes = Buffer.from(this.#bytes.subarray(this.#at, this.#at + this.#left))
    else this.#bytes = none
    this.#at = 0
  }

  clear(): void {
    this.#left = nothing
    this.#errno = 0
  }
}
