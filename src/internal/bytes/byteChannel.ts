/** Bytes in and out of a non-blocking descriptor: what descriptors that are wrapped and sockets that are ours have in common. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Effectable from "effect/Effectable"
import * as Sink from "effect/Sink"
import * as Stream from "effect/Stream"
import { constants } from "node:os"
import type { PollerError } from "../../PollerError.ts"
import { ReadAhead } from "./readAhead.ts"
import type { Batch, BatchReader } from "../delivery/batch.ts"
import { mostRead, mostWritten } from "./socketBatch.ts"
import type { Attempt } from "../descriptor/direction.ts"
import { fromErrno } from "../errors/pollerErrors.ts"
import type { WatchedFd } from "../descriptor/watchedFd.ts"
import type { Libc } from "../libc/koffi.ts"
import { copyOf, ownCopyOf } from "./chunkPool.ts"
import { BatchedWrite, type Sink as SendingSink } from "./batchedWrite.ts"
import { rangeError, restOf } from "../errors/arguments.ts"
import type { ToFailure } from "../descriptor/turn.ts"

/** The two calls, with their names for an error. None of them ever waits. */
export interface ByteCalls {
  readonly reading: string
  readonly read: (fd: number, buffer: Uint8Array, count: number) => number
  readonly writing: string
  readonly write: (fd: number, buffer: Uint8Array, count: number) => number
  /**
   * Whether less than asked for means that there is no more for now, so that the call that would say so can be spared.
   * True of a TCP stream; not of a terminal, a datagram, or a Unix stream that passes descriptors.
   */
  readonly isStream: boolean
}

interface LastRead {
  readonly buffer: Uint8Array
  readonly offset: number
  readonly length: number
  readonly effect: Effect.Effect<number, PollerError>
}

/** Bytes that one read may bring where the caller gave no buffer. */
export const chunkSize = 64 * 1024
/** What all such reads of this thread share: what came is copied, or, if that is much, given away. */
let scratch = Buffer.alloc(chunkSize)

/** What a write meets when a connection is broken, in both directions. EPIPE is none: what the peer has written is all there. */
const breaking: ReadonlySet<number> = new Set([
  constants.errno.ECONNABORTED,
  constants.errno.ECONNREFUSED,
  constants.errno.ECONNRESET,
  constants.errno.EHOSTUNREACH,
  constants.errno.ENETDOWN,
  constants.errno.ENETRESET,
  constants.errno.ENETUNREACH,
  constants.errno.ETIMEDOUT
])

/** What is longer is not tried before its fiber waits for it: what is left then would have to be copied. */
const mostCopied = 64 * 1024

/** Who has read much, will read much again: the end of one large message says nothing of the next. */
const sticky = 8

const done = Cause.fail(Cause.Done())

/** What is read, as a stream that ends where reading does. */
export const streamOf = (
  readChunk: Effect.Effect<Uint8Array | undefined, PollerError>
): Stream.Stream<Uint8Array, PollerError> =>
  Stream.fromPull(
    Effect.succeed(
      Effect.flatMap(readChunk, (chunk) =>
        chunk === undefined ? Effect.failCause(done) : Effect.succeed([chunk] as const)
      )
    )
  )

export const sinkOf = (
  writeChunks: (chunks: ReadonlyArray<Uint8Array>) => Effect.Effect<void, PollerError>
): Sink.Sink<void, Uint8Array, never, PollerError> => Sink.forEachArray(writeChunks)

/** What is left to write. */
class Rest {
  bytes: Uint8Array
  left: number

  constructor(bytes: Uint8Array, length: number) {
    this.bytes = bytes
    this.left = length
  }

  take(count: number): void {
    this.left -= count
    this.bytes = this.bytes.subarray(count)
  }

  /** From here on they may be changed, or transferred, by whose they were. */
  keep(): void {
    this.bytes = ownCopyOf(this.bytes, 0, this.left)
  }
}

/** A `writeAll` to come. */
class WriteAll extends Effectable.Class<void, PollerError> {
  readonly #channel: ByteChannel
  readonly #buffer: Uint8Array
  readonly #offset: number
  readonly #length: number

  constructor(channel: ByteChannel, buffer: Uint8Array, offset: number, length: number) {
    super()
    this.#channel = channel
    this.#buffer = buffer
    this.#offset = offset
    this.#length = length
  }

  asEffect(): Effect.Effect<void, PollerError> {
    const buffer = this.#offset === 0 ? this.#buffer : this.#buffer.subarray(this.#offset)
    return this.#channel.writeAllNow(buffer, this.#length, false, Effect.fail)
  }
}

export class ByteChannel implements BatchReader, SendingSink {
  readonly watchedFd: WatchedFd
  readonly #libc: Libc
  readonly #calls: ByteCalls
  readonly #EAGAIN: number
  readonly #EINTR: number
  /** What has broken the connection, if a write has met it: the kernel tells it once, and who reads sees an end then. */
  #broken: number | undefined
  #lastRead: LastRead | undefined
  readonly #batch: Batch | undefined
  readonly #ahead = new ReadAhead()
  /** What was put in last. */
  #sending: { readonly now: () => void } | undefined
  /** A read brought so much that so many of the next had better not go through the batch's memory. */
  #large = 0

  /** With a batch, its calls may be made together with those of others: it is a TCP socket. */
  constructor(watchedFd: WatchedFd, libc: Libc, calls: ByteCalls, batch?: Batch) {
    this.watchedFd = watchedFd
    this.#libc = libc
    this.#calls = calls
    this.#batch = batch
    if (batch !== undefined) watchedFd.ahead = this
    this.#EAGAIN = libc.profile.errno.EAGAIN
    this.#EINTR = libc.profile.errno.EINTR
    const attempt = () => {
      const chunk = this.takeChunk()
      if (chunk === null) return Effect.undefined
      return chunk instanceof Uint8Array ? Effect.succeed(chunk) : chunk
    }
    this.readChunk = watchedFd.attempt(watchedFd.reading, attempt, chunkSize)
  }

  read(buffer: Uint8Array, offset = 0, length = restOf(buffer, offset)): Effect.Effect<number, PollerError> {
    // Most programs read into the same place again and again.
    const last = this.#lastRead
    if (last !== undefined && last.buffer === buffer && last.offset === offset && last.length === length) {
      return last.effect
    }
    // Nothing to read into would look like the end.
    const invalid = rangeError(buffer, offset, length, 1)
    if (invalid !== undefined) return Effect.fail(invalid)
    const view = offset === 0 ? buffer : buffer.subarray(offset)
    const attempt = () => {
      const count = this.#read(view, length)
      return typeof count === "number" ? Effect.succeed(count) : count
    }
    const effect = this.watchedFd.attempt(this.watchedFd.reading, attempt, length)
    this.#lastRead = { buffer, offset, length, effect }
    return effect
  }

  /** Takes what there is, as a chunk of its own; `null` at the end, and `undefined` if that would block. */
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

  /** What there is, as a chunk of its own; `undefined` at the end. */
  readonly readChunk: Effect.Effect<Uint8Array | undefined, PollerError>

  #read(view: Uint8Array, length: number): number | Effect.Effect<never, PollerError> | undefined {
    const { watchedFd } = this
    if (!this.#ahead.isNothing)
      return this.#takeAhead(length, (bytes, at, count) => bytes.copy(view, 0, at, at + count))
    for (;;) {
      const count = this.#calls.read(watchedFd.fd, view, length)
      if (count === 0 && this.#broken !== undefined) return this.#failedAtEnd
      if (count >= 0) {
        if (count >= mostRead) this.#large = sticky
        else if (this.#large > 0) this.#large--
        if (count < length && count > 0 && this.#calls.isStream && !watchedFd.hadPriority)
          watchedFd.reading.forgetUnlessFinal()
        return count
      }
      const errno = this.#libc.errno()
      if (errno === this.#EAGAIN) return undefined
      if (errno !== this.#EINTR) return Effect.fail(fromErrno(this.#calls.reading, errno, watchedFd))
    }
  }

  get fd(): number {
    return this.watchedFd.fd
  }

  /** What is there may be read before who waits for so much of it is told. */
  readIn(batch: Batch, wanted: number): void {
    if (!this.#ahead.isNothing || this.#large > 0) return
    this.#ahead.expect()
    batch.read(this, Math.min(wanted, mostRead))
  }

  came(result: number, bytes: Buffer, at: number, room: number): void {
    if (result === -this.#EAGAIN || result === -this.#EINTR) return this.#ahead.clear()
    if (result === mostRead) this.#large = sticky
    this.#ahead.came(result, bytes, at, room, this.watchedFd.reading)
  }

  keep(): void {
    this.#ahead.keep()
  }

  /** Whether it has read bytes, or an error, that nobody has taken. */
  get hasRead(): boolean {
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

  /** Reads what is there, once, for nobody: also what nobody was told of yet. */
  discard(): void {
    this.#ahead.clear()
    this.#read(scratch, chunkSize)
  }

  write(buffer: Uint8Array, offset = 0, length = restOf(buffer, offset)): Effect.Effect<number, PollerError> {
    return Effect.suspend(() => {
      const invalid = rangeError(buffer, offset, length, 0)
      if (invalid !== undefined) return Effect.fail(invalid)
      const view = offset === 0 ? buffer : buffer.subarray(offset)
      return this.watchedFd.attempt(this.watchedFd.writing, () => {
        const count = this.writeSome(view, length)
        return typeof count === "number" ? Effect.succeed(count) : count
      })
    })
  }

  /** In one piece: what others write meanwhile comes after it. */
  writeAll(buffer: Uint8Array, offset = 0, length = restOf(buffer, offset)): Effect.Effect<void, PollerError> {
    const invalid = rangeError(buffer, offset, length, 0)
    if (invalid !== undefined) return Effect.fail(invalid)
    return new WriteAll(this, buffer, offset, length)
  }

  /** `writeAll`, from now on. If it goes on, an interruption ends only the waiting. */
  writeAllNow<E>(all: Uint8Array, length: number, goesOn: boolean, toFailure: ToFailure<E>): Effect.Effect<void, E> {
    const { writing } = this.watchedFd
    if (length > mostCopied || !this.watchedFd.mayTry(writing)) {
      return Effect.catch(this.#writeInOnePiece(all, length, goesOn), toFailure)
    }
    if (length <= mostWritten && this.#batch?.isCollecting === true) return this.#putIn(all, length, goesOn, toFailure)
    const count = this.writeSome(all, length)
    // Most of the time the kernel takes all of it at once.
    if (count === length) return Effect.void
    if (typeof count === "object") return Effect.catch(count, toFailure)
    if (count === undefined || this.#calls.isStream) writing.forget()
    return Effect.catch(
      count === undefined
        ? this.#writeInOnePiece(all, length, goesOn)
        : this.#writeRest(ownCopyOf(all, count, length), goesOn),
      toFailure
    )
  }

  #writeInOnePiece(all: Uint8Array, length: number, goesOn: boolean): Effect.Effect<void, PollerError> {
    const rest = new Rest(all, length)
    const keep = goesOn ? () => rest.keep() : undefined
    return this.watchedFd.attemptInOnePiece(this.watchedFd.writing, this.#writingOf(rest), keep)
  }

  /** Of its own memory: the fiber may be interrupted before it comes to wait, and its bytes be others by then. */
  #writeRest(bytes: Uint8Array, goesOn: boolean): Effect.Effect<void, PollerError> {
    const rest = new Rest(bytes, bytes.length)
    return this.watchedFd.goOnInOnePiece(this.watchedFd.writing, this.#writingOf(rest), goesOn ? () => {} : undefined)
  }

  /** In the batch, unless that is over when the fiber comes to it. */
  #putIn<E>(all: Uint8Array, length: number, goesOn: boolean, toFailure: ToFailure<E>): Effect.Effect<void, E> {
    return Effect.callback((resume) => {
      const { writing } = this.watchedFd
      const batch = this.#batch!
      if (!batch.isCollecting || !this.watchedFd.mayTry(writing)) {
        return resume(this.writeAllNow(all, length, goesOn, toFailure))
      }
      const sending = new BatchedWrite(this, all, length, toFailure, resume)
      this.#sending = sending
      batch.write(sending, all, length)
      this.watchedFd.hold(writing, sending)
      return goesOn ? sending.keeping : sending.leaving
    })
  }

  /** An attempt that writes all of it, part after part. */
  #writingOf(rest: Rest): Attempt<void> {
    return () => {
      // Nothing at all is written, too: it may be a message.
      for (;;) {
        const count = this.writeSome(rest.bytes, rest.left)
        if (typeof count !== "number") return count
        rest.take(count)
        if (rest.left === 0) return Effect.void
        // What the kernel did not take, it has no room for.
        if (this.#calls.isStream) return undefined
      }
    }
  }

  writeSome(view: Uint8Array, length: number): number | Effect.Effect<never, PollerError> | undefined {
    for (;;) {
      const count = this.#calls.write(this.watchedFd.fd, view, length)
      if (count >= 0) return count
      const errno = this.#libc.errno()
      if (errno === this.#EAGAIN) return undefined
      if (errno !== this.#EINTR) return Effect.fail(this.#writeFailed(errno))
    }
  }

  /** Writes what was put in to be written with others: something is to be done that comes after it. */
  writePutIn(): void {
    this.#sending?.now()
  }

  /** Nothing more is read or written. To be called before the descriptor is closed. */
  readonly release = (error: PollerError): void => {
    // Whoever is told that it was written must not begin anything new.
    this.watchedFd.ended ??= error
    this.writePutIn()
    this.#ahead.clear()
    this.watchedFd.release(error)
  }

  readonly end = (error: PollerError): void => this.watchedFd.end(error)

  writeError(errno: number): PollerError | undefined {
    return errno === this.#EAGAIN || errno === this.#EINTR ? undefined : this.#writeFailed(errno)
  }

  #writeFailed(errno: number): PollerError {
    if (breaking.has(errno)) this.#broken ??= errno
    return fromErrno(this.#calls.writing, errno, this.watchedFd)
  }

  /** Why reading has come to an end, if that is not that the peer has said so. */
  get #failedAtEnd(): Effect.Effect<never, PollerError> | undefined {
    return this.#broken === undefined
      ? undefined
      : Effect.fail(fromErrno(this.#calls.reading, this.#broken, this.watchedFd))
  }

  /** Small chunks are put together, so that they take one call. */
  writeChunks(chunks: ReadonlyArray<Uint8Array>): Effect.Effect<void, PollerError> {
    if (chunks.length === 1) return this.writeAll(chunks[0]!)
    return Effect.suspend(() => this.writeAll(Buffer.concat(chunks)))
  }
}
