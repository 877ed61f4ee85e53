/**
 * Bytes that Node's thread pool reads and writes: of files and devices that cannot be polled, and
 * where no call is known that does not block.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Semaphore from "effect/Semaphore"
import { read, write } from "node:fs"
import { constants } from "node:os"
import type { PollerError } from "../../PollerError.ts"
import { fromErrno } from "../errors/pollerErrors.ts"
import { resumeFiber } from "../objects/resumeFiber.ts"

/** Bytes of one read. */
const chunkSize = 64 * 1024

const { EAGAIN, EIO } = constants.errno

/** How a descriptor of the pool's is used. */
export interface PoolUse {
  /** Returns once the call is not expected to block. */
  readonly gate: Effect.Effect<void, PollerError>
  /** Opens a descriptor for one call, so that the call is on this file even if it takes long. */
  readonly open: () => number | PollerError
  readonly close: (fd: number) => void
  /** Bytes of one write. */
  readonly mostWritten: number
  /** Whether EIO is the end: that of a terminal. */
  readonly endsWithEio: boolean
  /** What errors name. */
  readonly name: string
}

const numbers: { readonly [code: string]: number | undefined } = constants.errno

/** Returns the error number. Where Deno writes, its errors have only the name. */
const errnoOf = ({ code, errno }: NodeJS.ErrnoException): number =>
  errno === undefined ? (numbers[code ?? ""] ?? EIO) : -errno

const failed = (use: PoolUse, syscall: string, error: NodeJS.ErrnoException): PollerError =>
  fromErrno(syscall, errnoOf(error), { address: use.name })

/** What a read has brought: a chunk, `undefined` at the end, "again" if it would have blocked. */
type Found = Exit.Exit<Uint8Array | undefined | "again", PollerError>

/** Reads one descriptor of this process, one read at a time. */
export class PoolReader {
  readonly #turns = Semaphore.makeUnsafe(1)
  #isReading = false
  /** What no fiber has taken yet: the one that it was read for has been interrupted. */
  #found: Found | undefined
  #onFound: (() => void) | undefined

  /** Whether a read is going on, or has brought something that no fiber has taken. */
  get isBusy(): boolean {
    return this.#isReading || this.#found !== undefined
  }

  /** Gives the next chunk, or `undefined` at the end. An interruption loses nothing. */
  readChunk(use: PoolUse): Effect.Effect<Uint8Array | undefined, PollerError> {
    const next: Effect.Effect<Uint8Array | undefined, PollerError> = Effect.suspend(() =>
      this.isBusy
        ? Effect.flatMap(this.#found === undefined ? this.#whenFound : Effect.void, () => this.#take(next))
        : Effect.flatMap(use.gate, () => {
            const error = this.#start(use)
            return error === undefined ? next : Effect.fail(error)
          })
    )
    return this.#turns.withPermits(1)(next)
  }

  #take(again: Effect.Effect<Uint8Array | undefined, PollerError>): Effect.Effect<Uint8Array | undefined, PollerError> {
    const found = this.#found!
    this.#found = undefined
    return Effect.flatMap(found, (chunk) => (chunk === "again" ? again : Effect.succeed(chunk)))
  }

  get #whenFound(): Effect.Effect<void> {
    return Effect.callback((resume) => {
      if (this.#found !== undefined) return resume(Effect.void)
      this.#onFound = () => resumeFiber(resume, Effect.void)
      return Effect.sync(() => (this.#onFound = undefined))
    })
  }

  #start(use: PoolUse): PollerError | undefined {
    const fd = use.open()
    if (typeof fd !== "number") return fd
    this.#isReading = true
    const buffer = new Uint8Array(chunkSize)
    read(fd, buffer, 0, chunkSize, null, (error, count) => {
      use.close(fd)
      this.#isReading = false
      this.#found = this.#toFound(use, error, buffer, count)
      const onFound = this.#onFound
      this.#onFound = undefined
      onFound?.()
    })
    return undefined
  }

  #toFound(use: PoolUse, error: NodeJS.ErrnoException | null, buffer: Uint8Array, count: number): Found {
    if (error !== null) {
      if (errnoOf(error) === EAGAIN) return Exit.succeed("again")
      if (errnoOf(error) === EIO && use.endsWithEio) return Exit.succeed(undefined)
      return Exit.fail(failed(use, "read", error))
    }
    if (count === 0) return Exit.succeed(undefined)
    // A small chunk does not keep the memory of a large one.
    return Exit.succeed(count > chunkSize / 4 ? buffer.subarray(0, count) : buffer.slice(0, count))
  }
}

/** Writes one descriptor of this process, one chunk at a time. */
export class PoolWriter {
  readonly #turns = Semaphore.makeUnsafe(1)

  /** Writes all of the bytes. An interruption takes effect between two calls. */
  writeAll(use: PoolUse, bytes: Uint8Array): Effect.Effect<void, PollerError> {
    const from = (offset: number): Effect.Effect<void, PollerError> =>
      offset === bytes.length
        ? Effect.void
        : Effect.flatMap(use.gate, () =>
            Effect.flatMap(Effect.uninterruptible(this.#write(use, bytes, offset)), (count) => from(offset + count))
          )
    return this.#turns.withPermits(1)(Effect.suspend(() => from(0)))
  }

  #write(use: PoolUse, bytes: Uint8Array, offset: number): Effect.Effect<number, PollerError> {
    return Effect.callback((resume) => {
      const fd = use.open()
      if (typeof fd !== "number") return resume(Effect.fail(fd))
      write(fd, bytes, offset, Math.min(bytes.length - offset, use.mostWritten), null, (error, count) => {
        use.close(fd)
        if (error === null) return resumeFiber(resume, Effect.succeed(count))
        resumeFiber(resume, errnoOf(error) === EAGAIN ? Effect.succeed(0) : Effect.fail(failed(use, "write", error)))
      })
    })
  }
}
