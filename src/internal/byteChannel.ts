/** Bytes in and out of a non-blocking descriptor: what descriptors that are wrapped and sockets that are ours have in common. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Effectable from "effect/Effectable"
import * as Sink from "effect/Sink"
import * as Stream from "effect/Stream"
import type { PollerError } from "../PollerError.ts"
import { fromErrno } from "./failure.ts"
import type { Io } from "./io.ts"
import type { Libc } from "./libc/functions.ts"
import { copyOf } from "./pool.ts"
import { rangeError, restOf } from "./syscall.ts"

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
const chunkSize = 64 * 1024
/** What all such reads of this thread share: what came is copied, or, if that is much, given away. */
let scratch = Buffer.alloc(chunkSize)

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

/** A `writeAll` to come. */
class WriteAll extends Effectable.Class<void, PollerError> {
  readonly #channel: ByteChannel
  readonly #buffer: Uint8Array
  readonly #offset: number
  readonly #length: number
  readonly #goesOn: boolean

  constructor(channel: ByteChannel, buffer: Uint8Array, offset: number, length: number, goesOn: boolean) {
    super()
    this.#channel = channel
    this.#buffer = buffer
    this.#offset = offset
    this.#length = length
    this.#goesOn = goesOn
  }

  asEffect(): Effect.Effect<void, PollerError> {
    const buffer = this.#offset === 0 ? this.#buffer : this.#buffer.subarray(this.#offset)
    return this.#channel.writeAllNow(buffer, this.#length, this.#goesOn)
  }
}

export class ByteChannel {
  readonly io: Io
  readonly #libc: Libc
  readonly #calls: ByteCalls
  readonly #EAGAIN: number
  readonly #EINTR: number
  #lastRead: LastRead | undefined

  constructor(io: Io, libc: Libc, calls: ByteCalls) {
    this.io = io
    this.#libc = libc
    this.#calls = calls
    this.#EAGAIN = libc.profile.errno.EAGAIN
    this.#EINTR = libc.profile.errno.EINTR
    this.readChunk = io.attempt(io.reading, () => {
      const chunk = this.takeChunk()
      if (chunk === null) return Effect.undefined
      return chunk instanceof Uint8Array ? Effect.succeed(chunk) : chunk
    })
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
    const effect = this.io.attempt(this.io.reading, attempt)
    this.#lastRead = { buffer, offset, length, effect }
    return effect
  }

  /** Takes what there is, as a chunk of its own; `null` at the end, and `undefined` if that would block. */
  takeChunk(): Uint8Array | null | Effect.Effect<never, PollerError> | undefined {
    const count = this.#read(scratch, chunkSize)
    if (typeof count !== "number") return count
    if (count === 0) return null
    if (count <= chunkSize / 4) return copyOf(scratch, count)
    const chunk = new Uint8Array(scratch.buffer, 0, count)
    scratch = Buffer.alloc(chunkSize)
    return chunk
  }

  /** What there is, as a chunk of its own; `undefined` at the end. */
  readonly readChunk: Effect.Effect<Uint8Array | undefined, PollerError>

  #read(view: Uint8Array, length: number): number | Effect.Effect<never, PollerError> | undefined {
    const { io } = this
    for (;;) {
      const count = this.#calls.read(io.fd, view, length)
      if (count >= 0) {
        if (count < length && count > 0 && this.#calls.isStream && !io.hadPriority) io.reading.forgetUnlessFinal()
        return count
      }
      const errno = this.#libc.errno()
      if (errno === this.#EAGAIN) return undefined
      if (errno !== this.#EINTR) return Effect.fail(fromErrno(this.#calls.reading, errno, io.fd))
    }
  }

  /** Reads what is there, once, for nobody: also what nobody was told of yet. */
  discard(): void {
    this.#read(scratch, chunkSize)
  }

  write(buffer: Uint8Array, offset = 0, length = restOf(buffer, offset)): Effect.Effect<number, PollerError> {
    return Effect.suspend(() => {
      const invalid = rangeError(buffer, offset, length, 0)
      if (invalid !== undefined) return Effect.fail(invalid)
      const view = offset === 0 ? buffer : buffer.subarray(offset)
      return this.io.attempt(this.io.writing, () => {
        const count = this.#write(view, length)
        return typeof count === "number" ? Effect.succeed(count) : count
      })
    })
  }

  /** In one piece: what others write meanwhile comes after it. If it goes on, an interruption ends only the waiting. */
  writeAll(
    buffer: Uint8Array,
    offset = 0,
    length = restOf(buffer, offset),
    goesOn = false
  ): Effect.Effect<void, PollerError> {
    const invalid = rangeError(buffer, offset, length, 0)
    if (invalid !== undefined) return Effect.fail(invalid)
    return new WriteAll(this, buffer, offset, length, goesOn)
  }

  /** `writeAll`, from now on. */
  writeAllNow(all: Uint8Array, length: number, goesOn: boolean): Effect.Effect<void, PollerError> {
    const { writing } = this.io
    if (!this.io.mayTry(writing)) return this.#writeRest(all, length, goesOn)
    const count = this.#write(all, length)
    // Most of the time the kernel takes all of it at once.
    if (count === length) return Effect.void
    if (typeof count === "object") return count
    if (count === undefined || this.#calls.isStream) writing.forget()
    return count === undefined
      ? this.#writeRest(all, length, goesOn)
      : this.#writeRest(all.subarray(count), length - count, goesOn)
  }

  #writeRest(rest: Uint8Array, left: number, goesOn: boolean): Effect.Effect<void, PollerError> {
    return this.io.attemptInOnePiece(
      this.io.writing,
      () => {
        while (left > 0) {
          const count = this.#write(rest, left)
          if (typeof count !== "number") return count
          left -= count
          rest = rest.subarray(count)
          // What the kernel did not take, it has no room for.
          if (left > 0 && this.#calls.isStream) return undefined
        }
        return Effect.void
      },
      goesOn
    )
  }

  #write(view: Uint8Array, length: number): number | Effect.Effect<never, PollerError> | undefined {
    for (;;) {
      const count = this.#calls.write(this.io.fd, view, length)
      if (count >= 0) return count
      const errno = this.#libc.errno()
      if (errno === this.#EAGAIN) return undefined
      if (errno !== this.#EINTR) return Effect.fail(fromErrno(this.#calls.writing, errno, this.io.fd))
    }
  }

  /** Small chunks are put together, so that they take one call. */
  writeChunks(chunks: ReadonlyArray<Uint8Array>): Effect.Effect<void, PollerError> {
    if (chunks.length === 1) return this.writeAll(chunks[0]!)
    return Effect.suspend(() => this.writeAll(Buffer.concat(chunks)))
  }
}
