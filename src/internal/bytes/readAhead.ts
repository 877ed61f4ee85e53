/** What was read of a socket ahead of who waits for it. There is never more than one read of it. */
import type { Direction } from "../descriptor/direction.ts"

/** Nothing was read: neither bytes, nor their end, nor an error. */
const nothing = -1
/** It is being read. */
const coming = -2
const none = Buffer.alloc(0)

export class ReadAhead {
  #bytes: Buffer = none
  #at = 0
  /** Bytes that are left, 0 at the end, `nothing` or `coming`. */
  #left = nothing
  #errno = 0
  /** Whether there was room for more than came. */
  #isShort = false
  #reports = 0

  get isNothing(): boolean {
    return this.#left === nothing
  }

  /** Whether there are bytes, or an error, which the kernel tells once. */
  get hasSome(): boolean {
    return this.#left > 0 || (this.#left === 0 && this.#errno !== 0)
  }

  /** It is going to be read: not twice, should there be two reports in one batch. */
  expect(): void {
    this.#left = coming
  }

  /** Of what was reported up to the next report. */
  came(result: number, bytes: Buffer, at: number, room: number, { reports }: Direction): void {
    this.#bytes = bytes
    this.#at = at
    this.#left = Math.max(0, result)
    this.#errno = Math.max(0, -result)
    this.#isShort = result > 0 && result < room
    this.#reports = reports + 1
  }

  /** The error that came in place of bytes, or 0. It is told once. */
  takeErrno(): number {
    const errno = this.#errno
    if (errno !== 0) this.clear()
    return errno
  }

  /** Up to so many bytes, by `use`; answers how many: 0 is the end. */
  take(length: number, use: (bytes: Buffer, at: number, count: number) => void): number {
    const count = Math.min(length, this.#left)
    use(this.#bytes, this.#at, count)
    this.#at += count
    this.#left -= count
    if (this.#left === 0) this.clear()
    return count
  }

  /** Whether what was taken last was all there was, and nothing was reported since that was read. */
  wasLast({ reports }: Direction): boolean {
    return this.isNothing && this.#isShort && reports <= this.#reports
  }

  /** Moves what is left to memory of its own. */
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
