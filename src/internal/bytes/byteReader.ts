/**
 * Reads the bytes of a non-blocking descriptor: one that is wrapped, or a socket of this library.
 */
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import { isUint8Array } from "node:util/types"
import type { PollerError } from "../../PollerError.ts"
import type { Batch, BatchReader } from "../delivery/batch.ts"
import type { Attempt } from "../descriptor/direction.ts"
import type { WatchedFd } from "../descriptor/watchedFd.ts"
import { changedError, rangeError, restOf } from "../errors/arguments.ts"
import { fromErrno } from "../errors/pollerErrors.ts"
import type { Libc } from "../libc/koffi.ts"
import type { ByteCalls } from "./byteCalls.ts"
import { copyOf } from "./chunkPool.ts"
import { ReadAhead } from "./readAhead.ts"
import { mostRead } from "./socketBatch.ts"

interface LastRead {
  readonly buffer: Uint8Array
  readonly offset: number
  readonly length: number
  readonly effect: Effect.Effect<number, PollerError>
}

/** Bytes that one read may bring where the caller passed no buffer. */
export const chunkSize = 64 * 1024
/**
 * Shared by all such reads of this thread. A small chunk is copied out of it; a large one takes the
 * memory along.
 */
let scratch = Buffer.alloc(chunkSize)

/**
 * How many reads bypass the batch's memory after a large one. The end of a large message says
 * nothing of the next.
 */
const sticky = 8

export class ByteReader implements BatchReader {
  readonly watchedFd: WatchedFd
  readonly #libc: Libc
  readonly #calls: ByteCalls
  readonly #EAGAIN: number
  readonly #EINTR: number
  /**
   * The error that broke the connection, if a write met it: the kernel reports it once, and a read
   * sees an end then.
   */
  #broken: number | undefined
  #lastRead: LastRead | undefined
  #readChunk: Effect.Effect<Uint8Array | undefined, PollerError> | undefined
  readonly #ahead = new ReadAhead()
  /** How many of the next reads are to bypass the batch's memory. */
  #large = 0

  constructor(watchedFd: WatchedFd, libc: Libc, calls: ByteCalls) {
    this.watchedFd = watchedFd
    this.#libc = libc
    this.#calls = calls
    this.#EAGAIN = libc.profile.errno.EAGAIN
    this.#EINTR = libc.profile.errno.EINTR
  }

  get fd(): number {
    return this.watchedFd.fd
  }

  /** Reads once there is something to read. Gives the number of bytes, 0 at the end. */
  read(buffer: Uint8Array, offset = 0, length = restOf(buffer, offset)): Effect.Effect<number, PollerError> {
    // Most programs read into the same place again and again.
    const last = this.#lastRead
    if (last !== undefined && last.buffer === buffer && last.offset === offset && last.length === length) {
      return last.effect
    }
    // A read of no bytes would look like the end.
    const invalid = rangeError(buffer, offset, length, 1)
    if (invalid !== undefined) return Effect.fail(invalid)
    const effect = this.watchedFd.attempt(this.watchedFd.reading, this.#readingInto(buffer, offset, length), length)
    this.#lastRead = { buffer, offset, length, effect }
    return effect
  }

  /**
   * Reads what is there now, first of all what was read ahead. Gives none if nothing is there, or
   * if another fiber waits to read.
   */
  tryRead(
    buffer: Uint8Array,
    offset = 0,
    length = restOf(buffer, offset)
  ): Effect.Effect<Option.Option<number>, PollerError> {
    return Effect.suspend(() => {
      const invalid = rangeError(buffer, offset, length, 1)
      if (invalid !== undefined) return Effect.fail(invalid)
      const { reading } = this.watchedFd
      if (this.hasReadAhead) {
        // The report that the bytes came with may not have been delivered yet, and the fiber that
        // they were read for may have been interrupted since.
        reading.mayTry = true
        reading.dropGone()
      }
      const count = this.watchedFd.attemptOnce(reading, this.#readingInto(buffer, offset, length))
      return count === undefined ? Effect.succeedNone : Effect.asSome(count)
    })
  }

  #readingInto(buffer: Uint8Array, offset: number, length: number): Attempt<number> {
    const view = offset === 0 ? buffer : buffer.subarray(offset)
    return () => {
      // Or the kernel would write where the buffer has no bytes any more.
      if (view.length < length) return Effect.fail(changedError())
      const count = this.#read(view, length)
      return typeof count === "number" ? Effect.succeed(count) : count
    }
  }

  /** Reads once there is something to read. Gives a chunk of its own, or `undefined` at the end. */
  get readChunk(): Effect.Effect<Uint8Array | undefined, PollerError> {
    this.#readChunk ??= this.watchedFd.attempt(
      this.watchedFd.reading,
      () => {
        const chunk = this.takeChunk()
        if (chunk === null) return Effect.undefined
        return isUint8Array(chunk) ? Effect.succeed(chunk) : chunk
      },
      chunkSize
    )
    return this.#readChunk
  }

  /**
   * Takes what is there, as a chunk of its own. Returns `null` at the end, and `undefined` if that
   * would block.
   */
  takeChunk(): Uint8Array | null | Effect.Effect<never, PollerError> | undefined {
    if (!this.#ahead.isNothing) return this.#takeAheadChunk()
    const count = this.#read(scratch, chunkSize)
    if (typeof count !== "number") return count
    if (count === 0) return null
    if (count <= chunkSize / 4) return copyOf(scratch, 0, count)
    const chunk = new Uint8Array(scratch.buffer, 0, count)
    scratch = Buffer.alloc(chunkSize)
    return chunk
  }

  #read(view: Uint8Array, length: number): number | Effect.Effect<never, PollerError> | undefined {
    const { watchedFd } = this
    if (!this.#ahead.isNothing) {
      return this.#takeAhead(length, (bytes, at, count) => bytes.copy(view, 0, at, at + count))
    }
    for (;;) {
      const count = this.#calls.read(watchedFd.fd, view, length)
      if (count === 0 && this.#broken !== undefined) return this.#failedAtEnd
      if (count >= 0) {
        if (count >= mostRead) this.#large = sticky
        else if (this.#large > 0) this.#large--
        if (count < length && count > 0 && this.#calls.isStream && !watchedFd.hadPriority) {
          watchedFd.reading.forgetUnlessFinal()
        }
        return count
      }
      const errno = this.#libc.errno()
      if (errno === this.#EAGAIN) return undefined
      if (errno !== this.#EINTR) return Effect.fail(fromErrno(this.#calls.reading, errno, watchedFd))
    }
  }

  /**
   * Called before a waiting fiber is resumed: queues a read of what is there, of at most `wanted`
   * bytes.
   */
  readIn(batch: Batch, wanted: number): void {
    if (!this.#ahead.isNothing || this.#large > 0) return
    this.#ahead.expect()
    batch.read(this, Math.min(wanted, mostRead))
  }

  received(result: number, bytes: Buffer, at: number, room: number): void {
    if (result === -this.#EAGAIN || result === -this.#EINTR) return this.#ahead.clear()
    if (result === mostRead) this.#large = sticky
    this.#ahead.received(result, bytes, at, room, this.watchedFd.reading)
  }

  keep(): void {
    this.#ahead.keep()
  }

  /** Whether bytes, or an error, were read ahead, and no fiber has taken them. */
  get hasReadAhead(): boolean {
    return this.#ahead.hasSome
  }

  #takeAhead(
    length: number,
    use: (bytes: Buffer, at: number, count: number) => void
  ): number | Effect.Effect<never, PollerError> {
    const { watchedFd } = this
    const errno = this.#ahead.takeErrno()
    if (errno !== 0) return Effect.fail(fromErrno(this.#calls.reading, errno, watchedFd))
    const count = this.#ahead.take(length, use)
    if (count === 0 && this.#broken !== undefined) return this.#failedAtEnd!
    if (this.#ahead.wasLast(watchedFd.reading) && !watchedFd.hadPriority) watchedFd.reading.forgetUnlessFinal()
    return count
  }

  #takeAheadChunk(): Uint8Array | null | Effect.Effect<never, PollerError> {
    let chunk: Uint8Array | null = null
    const count = this.#takeAhead(chunkSize, (bytes, at, count) => {
      if (count > 0) chunk = copyOf(bytes, at, count)
    })
    return typeof count === "number" ? chunk : count
  }

  /**
   * Notes the error that broke the connection, if it is the first. A read at the end then fails
   * with it.
   */
  breakWith(errno: number): void {
    this.#broken ??= errno
  }

  /**
   * The error that a read at the end fails with, unless the peer has ended the connection properly.
   */
  get #failedAtEnd(): Effect.Effect<never, PollerError> | undefined {
    return this.#broken === undefined
      ? undefined
      : Effect.fail(fromErrno(this.#calls.reading, this.#broken, this.watchedFd))
  }

  /** Reads once, and throws away what was read, also ahead. */
  discard(): void {
    this.#ahead.clear()
    this.#read(scratch, chunkSize)
  }

  /** Forgets what was read ahead: the descriptor is about to be closed, or given away. */
  release(): void {
    this.#ahead.clear()
  }
}
