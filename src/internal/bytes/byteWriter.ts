/** Writes bytes to a non-blocking descriptor: one that is wrapped, or a socket of this library. */
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import { constants } from "node:os"
import type { PollerError } from "../../PollerError.ts"
import type { Batch } from "../delivery/batch.ts"
import type { Attempt } from "../descriptor/direction.ts"
import type { ToFailure } from "../descriptor/waitedFd.ts"
import { changedError, rangeError, restOf } from "../errors/arguments.ts"
import { fromErrno } from "../errors/pollerErrors.ts"
import { type AnyFiber, FiberEffect, suspend, suspendableOf } from "../objects/suspension.ts"
import { ByteReader } from "./byteReader.ts"
import { ownCopyOf } from "./chunkPool.ts"
import { PendingWrite, type WriteTarget } from "./pendingWrite.ts"
import { mostWritten } from "./socketBatch.ts"

/**
 * The errors by which a write learns that a connection is broken in both directions. EPIPE is not
 * one of them: what the peer wrote before can still be read.
 */
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

/**
 * Longer writes wait for their fiber before the first call: what that leaves over would have to be
 * copied.
 */
const mostCopied = 64 * 1024

/** A `writeAll` that has not begun. */
class WriteAll extends FiberEffect<void, PollerError> {
  readonly #writer: ByteWriter
  readonly #buffer: Uint8Array
  readonly #offset: number
  readonly #length: number

  constructor(writer: ByteWriter, buffer: Uint8Array, offset: number, length: number) {
    super()
    this.#writer = writer
    this.#buffer = buffer
    this.#offset = offset
    this.#length = length
  }

  run(fiber: AnyFiber): Effect.Effect<void, PollerError> {
    if (this.#buffer.length < this.#offset + this.#length) return Effect.fail(changedError())
    const buffer = this.#offset === 0 ? this.#buffer : this.#buffer.subarray(this.#offset)
    return this.#writer.mayBatch(this.#length)
      ? this.#writer.putIntoBatch(fiber, buffer, this.#length, false, Effect.fail)
      : this.#writer.writeAllNow(buffer, this.#length, false, Effect.fail)
  }
}

/** A write that joins the batch when its fiber comes to wait for it. */
class BatchedWrite<E> extends FiberEffect<void, E> {
  readonly #writer: ByteWriter
  readonly #all: Uint8Array
  readonly #length: number
  readonly #goesOn: boolean
  readonly #toFailure: ToFailure<E>

  constructor(writer: ByteWriter, all: Uint8Array, length: number, goesOn: boolean, toFailure: ToFailure<E>) {
    super()
    this.#writer = writer
    this.#all = all
    this.#length = length
    this.#goesOn = goesOn
    this.#toFailure = toFailure
  }

  run(fiber: AnyFiber): Effect.Effect<void, E> {
    // Or the batch would send bytes of others in their place.
    if (this.#all.length < this.#length) return this.#toFailure(changedError())
    return this.#writer.mayBatch(this.#length)
      ? this.#writer.putIntoBatch(fiber, this.#all, this.#length, this.#goesOn, this.#toFailure)
      : this.#writer.writeAllNow(this.#all, this.#length, this.#goesOn, this.#toFailure)
  }
}

/** Writes to the descriptor that it also reads, as an error of a write may concern reading. */
export class ByteWriter extends ByteReader implements WriteTarget {
  /** The write that is in a batch. */
  #batched: { readonly writeNow: () => void } | undefined

  /**
   * Where calls may be made together with those of other sockets: only for a TCP socket, and where
   * the thread has a batch.
   */
  get batch(): Batch | undefined {
    return this.calls.isStream ? this.watchedFd.attachment.dispatcher.batch : undefined
  }

  get isStream(): boolean {
    return this.calls.isStream
  }

  /** Writes what fits once there is room. Gives the number of bytes. */
  write(buffer: Uint8Array, offset = 0, length = restOf(buffer, offset)): Effect.Effect<number, PollerError> {
    return Effect.suspend(() => {
      const invalid = rangeError(buffer, offset, length, 0)
      if (invalid !== undefined) return Effect.fail(invalid)
      return this.watchedFd.attempt(this.watchedFd.writing, this.writingOf(buffer, offset, length))
    })
  }

  /** Writes what fits now. Gives none if nothing fits, or if another fiber waits to write. */
  tryWrite(
    buffer: Uint8Array,
    offset = 0,
    length = restOf(buffer, offset)
  ): Effect.Effect<Option.Option<number>, PollerError> {
    return Effect.suspend(() => {
      const invalid = rangeError(buffer, offset, length, 0)
      if (invalid !== undefined) return Effect.fail(invalid)
      const count = this.watchedFd.attemptOnce(this.watchedFd.writing, this.writingOf(buffer, offset, length))
      return count === undefined ? Effect.succeedNone : Effect.asSome(count)
    })
  }

  private writingOf(buffer: Uint8Array, offset: number, length: number): Attempt<number> {
    const view = offset === 0 ? buffer : buffer.subarray(offset)
    return () => {
      const count = this.writeSome(view, length)
      return typeof count === "number" ? Effect.succeed(count) : count
    }
  }

  /** Writes all of the bytes, in one piece. */
  writeAll(buffer: Uint8Array, offset = 0, length = restOf(buffer, offset)): Effect.Effect<void, PollerError> {
    const invalid = rangeError(buffer, offset, length, 0)
    if (invalid !== undefined) return Effect.fail(invalid)
    return new WriteAll(this, buffer, offset, length)
  }

  /** Writes all of the chunks. Several are joined, so that they take one call. */
  writeChunks(chunks: ReadonlyArray<Uint8Array>): Effect.Effect<void, PollerError> {
    if (chunks.length === 1) return this.writeAll(chunks[0]!)
    return Effect.suspend(() => {
      for (const chunk of chunks) {
        const invalid = rangeError(chunk, 0, restOf(chunk, 0), 0)
        if (invalid !== undefined) return Effect.fail(invalid)
      }
      return this.writeAll(Buffer.concat(chunks))
    })
  }

  /** Begins a `writeAll` now. If it goes on, an interruption ends only the waiting for it. */
  writeAllNow<E>(all: Uint8Array, length: number, goesOn: boolean, toFailure: ToFailure<E>): Effect.Effect<void, E> {
    if (this.mayBatch(length)) return new BatchedWrite(this, all, length, goesOn, toFailure)
    const { writing } = this.watchedFd
    if (length > mostCopied || !this.watchedFd.mayTry(writing)) {
      return this.writeWhenFiberWaits(all, length, goesOn, toFailure)
    }
    const count = this.writeSome(all, length)
    // Most of the time the kernel takes all of it at once.
    if (count === length) return Effect.void
    if (typeof count === "object") return Effect.catch(count, toFailure)
    if (count === undefined || this.calls.isStream) writing.forget()
    return count === undefined
      ? this.writeWhenFiberWaits(all, length, goesOn, toFailure)
      : this.writeRest(ownCopyOf(all, count, length), goesOn, toFailure)
  }

  /**
   * Begins when its fiber waits for it: one that is interrupted before that leaves nothing behind.
   */
  private writeWhenFiberWaits<E>(
    all: Uint8Array,
    length: number,
    goesOn: boolean,
    toFailure: ToFailure<E>
  ): Effect.Effect<void, E> {
    return Effect.callback((resume) => {
      const write = new PendingWrite(this, all, length, toFailure)
      const result = write.begin()
      if (result !== undefined) return resume(result)
      write.resumeWith({ evaluate: resume as (effect: Effect.Effect<void, unknown>) => void })
      return Effect.sync(() => (goesOn ? write.keep() : write.leave()))
    })
  }

  /**
   * Begins now, so that no other write comes between the part that was written and the rest, even
   * if its fiber yields before it waits. The rest is a copy: that fiber may be interrupted by then,
   * and its buffer be used for something else.
   */
  private writeRest<E>(rest: Uint8Array, goesOn: boolean, toFailure: ToFailure<E>): Effect.Effect<void, E> {
    const write = new PendingWrite(this, rest, rest.length, toFailure)
    return (
      write.begin() ??
      Effect.callback((resume) => {
        write.resumeWith({ evaluate: resume as (effect: Effect.Effect<void, unknown>) => void })
        return goesOn ? undefined : Effect.sync(() => write.leave())
      })
    )
  }

  /** Whether a write of this length can be made together with others. */
  mayBatch(length: number): boolean {
    return length <= mostWritten && this.batch?.isCollecting === true && this.watchedFd.mayTry(this.watchedFd.writing)
  }

  /** Puts a write into the batch, and suspends the running fiber until the write is over. */
  putIntoBatch<E>(
    fiber: AnyFiber,
    all: Uint8Array,
    length: number,
    goesOn: boolean,
    toFailure: ToFailure<E>
  ): Effect.Effect<void, E> {
    const write = new PendingWrite(this, all, length, toFailure)
    const suspendable = suspendableOf(fiber)
    this.#batched = write
    write.resumeWith(suspendable)
    write.putInto(this.batch!)
    return suspend(suspendable, goesOn ? write.keepUnlessResumed.bind(write) : write.leaveUnlessResumed.bind(write))
  }

  /** Writes now: returns the number of bytes, an error, or `undefined` if it would block. */
  writeSome(view: Uint8Array, length: number): number | Effect.Effect<never, PollerError> | undefined {
    // Or the kernel would read where the buffer has no bytes any more.
    if (view.length < length) return Effect.fail(changedError())
    for (;;) {
      const count = this.calls.write(this.watchedFd.fd, view, length)
      if (count >= 0) return count
      const errno = this.libc.errno()
      const { EAGAIN, EINTR } = this.libc.profile.errno
      if (errno === EAGAIN) return undefined
      if (errno !== EINTR) return Effect.fail(this.failed(errno))
    }
  }

  writeError(errno: number): PollerError | undefined {
    const { EAGAIN, EINTR } = this.libc.profile.errno
    return errno === EAGAIN || errno === EINTR ? undefined : this.failed(errno)
  }

  writeOver(write: object): void {
    if (this.#batched === write) this.#batched = undefined
  }

  private failed(errno: number): PollerError {
    if (breaking.has(errno)) this.breakWith(errno)
    return fromErrno(this.calls.writing, errno, this.watchedFd)
  }

  /**
   * Writes what waits in a batch: to be called before something is done that has to come after it.
   */
  flush(): void {
    this.#batched?.writeNow()
  }
}
