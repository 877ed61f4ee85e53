/**
 * Reads the bytes of a non-blocking descriptor: one that is wrapped, or a socket of this library.
 */
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import { isUint8Array } from "node:util/types"
import type { PollerError } from "../../PollerError.ts"
import type { Batch, BatchReader } from "../delivery/batch.ts"
import type { Direction } from "../descriptor/direction.ts"
import { Turn } from "../descriptor/turn.ts"
import type { WatchedFd } from "../descriptor/watchedFd.ts"
import { changedError, rangeError, restOf } from "../errors/arguments.ts"
import { fromErrno } from "../errors/pollerErrors.ts"
import { Readiness } from "../kernel/selector.ts"
import type { Libc } from "../libc/koffi.ts"
import { balance } from "./ballast.ts"
import type { ByteCalls } from "./byteCalls.ts"
import { copyOf } from "./chunkPool.ts"
import { ReadAhead } from "./readAhead.ts"
import { mostRead } from "./socketBatch.ts"

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

/** Reads into a buffer of the caller's. */
class ReadTurn extends Turn<number, PollerError> {
  readonly #reader: ByteReader
  readonly #buffer: Uint8Array
  readonly #view: Uint8Array
  readonly #offset: number
  readonly #length: number

  constructor(reader: ByteReader, buffer: Uint8Array, offset: number, length: number) {
    super()
    this.#reader = reader
    this.#buffer = buffer
    this.#view = offset === 0 ? buffer : buffer.subarray(offset)
    this.#offset = offset
    this.#length = length
  }

  get watchedFd(): WatchedFd {
    return this.#reader.watchedFd
  }

  get direction(): Direction {
    return this.#reader.watchedFd.reading
  }

  get wants(): number {
    return this.#length
  }

  /** Whether it reads into this place, which the buffer still has. */
  isOf(buffer: Uint8Array, offset: number, length: number): boolean {
    return (
      this.#buffer === buffer && this.#length === length && this.#offset === offset && offset + length <= buffer.length
    )
  }

  attempt(): Effect.Effect<number, PollerError> | undefined {
    const count = this.#reader.readNow(this.#view, this.#length)
    return typeof count === "number" ? Effect.succeed(count) : count
  }

  toFailure(error: PollerError): Effect.Effect<never, PollerError> {
    return Effect.fail(error)
  }

  another(): ReadTurn {
    return new ReadTurn(this.#reader, this.#buffer, this.#offset, this.#length)
  }
}

/** Reads a chunk of its own. Gives `undefined` at the end. */
class ReadChunkTurn extends Turn<Uint8Array | undefined, PollerError> {
  readonly #reader: ByteReader

  constructor(reader: ByteReader) {
    super()
    this.#reader = reader
  }

  get watchedFd(): WatchedFd {
    return this.#reader.watchedFd
  }

  get direction(): Direction {
    return this.#reader.watchedFd.reading
  }

  get wants(): number {
    return chunkSize
  }

  attempt(): Effect.Effect<Uint8Array | undefined, PollerError> | undefined {
    const chunk = this.#reader.takeChunk()
    if (chunk === null) return Effect.undefined
    return isUint8Array(chunk) ? Effect.succeed(chunk) : chunk
  }

  toFailure(error: PollerError): Effect.Effect<never, PollerError> {
    return Effect.fail(error)
  }

  another(): ReadChunkTurn {
    return new ReadChunkTurn(this.#reader)
  }
}

export class ByteReader implements BatchReader {
  readonly watchedFd: WatchedFd
  readonly libc: Libc
  readonly calls: ByteCalls
  /**
   * The error that broke the connection, if a write met it: the kernel reports it once, and a read
   * sees an end then.
   */
  #broken: number | undefined
  /** The effect that was made last. Most programs read in the same way again and again. */
  #lastRead: ReadTurn | ReadChunkTurn | undefined
  #ahead: ReadAhead | undefined
  /** How many of the next reads are to bypass the batch's memory. */
  #large = 0

  constructor(watchedFd: WatchedFd, libc: Libc, calls: ByteCalls) {
    this.watchedFd = watchedFd
    this.libc = libc
    this.calls = calls
  }

  get fd(): number {
    return this.watchedFd.fd
  }

  /** Reads once there is something to read. Gives the number of bytes, 0 at the end. */
  read(buffer: Uint8Array, offset = 0, length = restOf(buffer, offset)): Effect.Effect<number, PollerError> {
    const last = this.#lastRead
    if (last instanceof ReadTurn && last.isOf(buffer, offset, length)) return last
    // A read of no bytes would look like the end.
    const invalid = rangeError(buffer, offset, length, 1)
    if (invalid !== undefined) return Effect.fail(invalid)
    return (this.#lastRead = new ReadTurn(this, buffer, offset, length))
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
        // The report that the bytes came with may not have been delivered yet.
        reading.mayTry = true
      }
      const turn = new ReadTurn(this, buffer, offset, length)
      const count = this.watchedFd.attemptOnce(reading, () => turn.attempt())
      return count === undefined ? Effect.succeedNone : Effect.asSome(count)
    })
  }

  /** Reads once there is something to read. Gives a chunk of its own, or `undefined` at the end. */
  get readChunk(): Effect.Effect<Uint8Array | undefined, PollerError> {
    const last = this.#lastRead
    return last instanceof ReadChunkTurn ? last : (this.#lastRead = new ReadChunkTurn(this))
  }

  /**
   * Takes what is there, as a chunk of its own. Returns `null` at the end, and `undefined` if that
   * would block.
   */
  takeChunk(): Uint8Array | null | Effect.Effect<never, PollerError> | undefined {
    if (this.#ahead !== undefined) return this.takeAheadChunk(this.#ahead)
    const count = this.readNow(scratch, chunkSize)
    if (typeof count !== "number") return count
    if (count === 0) return null
    if (count <= chunkSize / 4) return copyOf(scratch, 0, count)
    const chunk = new Uint8Array(scratch.buffer, 0, count)
    // To fill it with zeros would take longer than all else here.
    balance(chunkSize)
    scratch = Buffer.allocUnsafeSlow(chunkSize)
    return chunk
  }

  /**
   * Reads into the beginning of a view. Returns the number of bytes, 0 at the end, and `undefined`
   * if that would block.
   */
  readNow(view: Uint8Array, length: number): number | Effect.Effect<never, PollerError> | undefined {
    // Or the kernel would write where the buffer has no bytes any more.
    if (view.length < length) return Effect.fail(changedError())
    const { watchedFd } = this
    if (this.#ahead !== undefined) return this.takeAhead(this.#ahead, view, length)
    for (;;) {
      const count = this.calls.read(watchedFd.fd, view, length)
      if (count === 0 && this.#broken !== undefined) return this.failedAtEnd
      if (count >= 0) {
        if (count >= mostRead) this.#large = sticky
        else if (this.#large > 0) this.#large--
        if (count < length && count > 0 && this.calls.isStream && !watchedFd.hadPriority) {
          watchedFd.reading.forgetUnlessFinal()
        }
        return count
      }
      const errno = this.libc.errno()
      const { EAGAIN, EINTR } = this.libc.profile.errno
      if (errno === EAGAIN) return undefined
      if (errno !== EINTR) return Effect.fail(fromErrno(this.calls.reading, errno, watchedFd))
    }
  }

  /**
   * Called before a waiting fiber is resumed: queues a read of what is there, of at most `wanted`
   * bytes.
   */
  readIn(batch: Batch, wanted: number): void {
    // A second report in the same batch must not put in another read.
    if (this.#ahead !== undefined || this.#large > 0) return
    this.#ahead = ReadAhead.expected()
    batch.read(this, Math.min(wanted, mostRead))
  }

  received(result: number, bytes: Buffer, at: number, room: number): void {
    const { EAGAIN, EINTR } = this.libc.profile.errno
    if (result === -EAGAIN || result === -EINTR) return this.forgetAhead()
    if (result === mostRead) this.#large = sticky
    this.#ahead?.received(result, bytes, at, room, this.watchedFd.reading)
  }

  keep(): void {
    this.#ahead?.keep()
  }

  /** Whether bytes, or an error, were read ahead, and no fiber has taken them. */
  get hasReadAhead(): boolean {
    return this.#ahead?.hasSome === true
  }

  /** Gives what was read ahead to the fiber that it was read for, if that waits still. */
  deliverAhead(): void {
    const { reading } = this.watchedFd
    if (!this.hasReadAhead || reading.isFree) return
    reading.report(Readiness.Readable)
    reading.run()
  }

  private takeAhead(ahead: ReadAhead, view: Uint8Array, length: number): number | Effect.Effect<never, PollerError> {
    return this.aheadError(ahead) ?? this.tookAhead(ahead, ahead.takeInto(view, length))
  }

  private takeAheadChunk(ahead: ReadAhead): Uint8Array | null | Effect.Effect<never, PollerError> {
    const error = this.aheadError(ahead)
    if (error !== undefined) return error
    const chunk = ahead.takeChunk()
    const count = this.tookAhead(ahead, chunk === null ? 0 : chunk.length)
    return typeof count === "number" ? chunk : count
  }

  private aheadError({ errno }: ReadAhead): Effect.Effect<never, PollerError> | undefined {
    if (errno === 0) return undefined
    this.forgetAhead()
    return Effect.fail(fromErrno(this.calls.reading, errno, this.watchedFd))
  }

  private tookAhead(ahead: ReadAhead, count: number): number | Effect.Effect<never, PollerError> {
    const { watchedFd } = this
    if (!ahead.isEmpty) return count
    const wasLast = ahead.wasLast(watchedFd.reading) && !watchedFd.hadPriority
    this.forgetAhead()
    if (count === 0 && this.#broken !== undefined) return this.failedAtEnd!
    if (wasLast) watchedFd.reading.forgetUnlessFinal()
    return count
  }

  private forgetAhead(): void {
    const ahead = this.#ahead
    this.#ahead = undefined
    ahead?.release()
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
  private get failedAtEnd(): Effect.Effect<never, PollerError> | undefined {
    return this.#broken === undefined
      ? undefined
      : Effect.fail(fromErrno(this.calls.reading, this.#broken, this.watchedFd))
  }

  /** Reads once, and throws away what was read, also ahead. */
  discard(): void {
    this.forgetAhead()
    this.readNow(scratch, chunkSize)
  }

  /** Forgets what was read ahead: the descriptor is about to be closed, or given away. */
  forget(): void {
    this.forgetAhead()
  }
}
