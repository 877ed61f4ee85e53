/**
 * The result of a read that was made before the waiting fiber was resumed. A connection has one
 * only from the read until its fiber has taken the bytes.
 */
import type { Direction } from "../descriptor/direction.ts"
import { copyOf } from "./chunkPool.ts"

const none = Buffer.alloc(0)
/** Those that are not in use on this thread. */
const spare: Array<ReadAhead> = []

export class ReadAhead {
  #bytes: Buffer = none
  #at = 0
  #left = 0
  #errno = 0
  /** Whether less came than there was room for. */
  #isShort = false
  /** How many reports of readiness the result covers. */
  #reports = 0

  /** Returns one for a read that was put into a batch, and not made yet. */
  static expected(): ReadAhead {
    return spare.pop() ?? new ReadAhead()
  }

  /** Whether there are bytes, or an error, which the kernel reports once. */
  get hasSome(): boolean {
    return this.#left > 0 || this.#errno !== 0
  }

  /** Whether all bytes were taken. */
  get isEmpty(): boolean {
    return this.#left === 0
  }

  /** The error that came in place of bytes; 0 if there is none. */
  get errno(): number {
    return this.#errno
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

  /** Copies at most `length` bytes into a buffer. Returns how many, 0 at the end. */
  takeInto(view: Uint8Array, length: number): number {
    const count = Math.min(length, this.#left)
    this.#bytes.copy(view, 0, this.#at, this.#at + count)
    this.#take(count)
    return count
  }

  /** Returns the bytes as a chunk of its own, or `null` at the end. */
  takeChunk(): Uint8Array | null {
    const count = this.#left
    if (count === 0) return null
    const chunk = copyOf(this.#bytes, this.#at, count)
    this.#take(count)
    return chunk
  }

  #take(count: number): void {
    this.#at += count
    this.#left -= count
  }

  /**
   * Returns whether the bytes were all there were, and nothing was reported since they were read.
   */
  wasLast({ reports }: Direction): boolean {
    return this.#isShort && reports <= this.#reports
  }

  /** Copies the bytes that are left out of the batch's memory. */
  keep(): void {
    if (this.#left > 0) this.#bytes = Buffer.from(this.#bytes.subarray(this.#at, this.#at + this.#left))
    else this.#bytes = none
    this.#at = 0
  }

  /** Called when it is not in use any more. */
  release(): void {
    this.#bytes = none
    this.#left = 0
    this.#errno = 0
    this.#isShort = false
    spare.push(this)
  }
}
