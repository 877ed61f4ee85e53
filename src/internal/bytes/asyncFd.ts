/** One descriptor's readiness as effects, whoever has opened it. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type * as Sink from "effect/Sink"
import type * as Stream from "effect/Stream"
import type { AsyncFd, AsyncFdOptions, Ready } from "../../AsyncFd.ts"
import type { PollerError } from "../../PollerError.ts"
import { type FdLike, Registrar } from "../../Registrar.ts"
import { ByteChannel, sinkOf, streamOf } from "./byteChannel.ts"
import { closedBecause, invalidArgument } from "../errors/pollerErrors.ts"
import type { Direction } from "../descriptor/direction.ts"
import { WatchedFd } from "../descriptor/watchedFd.ts"
import type { Libc } from "../libc/koffi.ts"
import { interestError, toInterest } from "../delivery/interest.ts"
import * as Registering from "../delivery/registration.ts"
import { attachmentOf, toFd } from "../delivery/registrar.ts"
import { Readiness } from "../kernel/selector.ts"
import { retryInterrupted } from "../kernel/retry.ts"

export const make = (
  fdLike: FdLike,
  options: AsyncFdOptions | undefined
): Effect.Effect<AsyncFd, PollerError, Registrar | Scope.Scope> =>
  Effect.gen(function* () {
    const attachment = yield* attachmentOf(yield* Registrar)
    const fd = toFd(fdLike)
    const interest = toInterest(options?.event ?? "Both", { priority: options?.priority })
    if (interest < 0) return yield* Effect.fail(interestError(interest))
    const watchedFd = yield* Effect.acquireRelease(
      Effect.suspend(() => {
        const refused = Registering.refusal(attachment, fd, interest)
        if (refused !== undefined) return Effect.fail(refused)
        const watchedFd = new WatchedFd(attachment, fd)
        // What it is ready for is reported. A FIFO that nobody has opened to write would be read to its end otherwise.
        watchedFd.reading.mayTry = false
        watchedFd.writing.mayTry = false
        // At once, so that a descriptor that cannot be watched is refused here and not later.
        const error = watchedFd.ask(interest)
        return error === undefined ? Effect.succeed(watchedFd) : Effect.fail(error)
      }),
      (watchedFd) =>
        Effect.sync(() => {
          const error = closedBecause("this descriptor's readiness is not watched any more (its scope has closed)")
          watchedFd.release(error)
          watchedFd.end(error)
        })
    )
    // Its number may be another one's once its owner has closed it.
    const isGone = typeof fdLike === "number" ? () => false : () => toFd(fdLike) !== fd
    return new AsyncFdImpl(watchedFd, attachment.libc, isGone)
  })

const gone = () => closedBecause("this descriptor was closed by its owner (close it after the scope of its AsyncFd)")

class AsyncFdImpl implements AsyncFd {
  readonly #watchedFd: WatchedFd
  readonly #libc: Libc | undefined
  readonly #isGone: () => boolean
  #channel: ByteChannel | undefined

  constructor(watchedFd: WatchedFd, libc: Libc | undefined, isGone: () => boolean) {
    this.#watchedFd = watchedFd
    this.#libc = libc
    this.#isGone = isGone
  }

  get fd(): number {
    return this.#watchedFd.fd
  }

  get readable(): Effect.Effect<Ready, PollerError> {
    return this.#ready(this.#watchedFd.reading)
  }

  get writable(): Effect.Effect<Ready, PollerError> {
    return this.#ready(this.#watchedFd.writing)
  }

  get priority(): Effect.Effect<Ready, PollerError> {
    return this.#ready(this.#watchedFd.priority)
  }

  #ready(direction: Direction): Effect.Effect<Ready, PollerError> {
    return Effect.suspend(() => Effect.map(this.#whenKnown(direction), () => new ReadyImpl(direction)))
  }

  #whenKnown(direction: Direction): Effect.Effect<void, PollerError> {
    return this.#isGone() ? Effect.fail(gone()) : this.#watchedFd.whenReady(direction)
  }

  readWhenReady<A, E, R>(attempt: Effect.Effect<Option.Option<A>, E, R>): Effect.Effect<A, E | PollerError, R> {
    return this.#whenReady(this.#watchedFd.reading, attempt)
  }

  writeWhenReady<A, E, R>(attempt: Effect.Effect<Option.Option<A>, E, R>): Effect.Effect<A, E | PollerError, R> {
    return this.#whenReady(this.#watchedFd.writing, attempt)
  }

  #whenReady<A, E, R>(
    direction: Direction,
    attempt: Effect.Effect<Option.Option<A>, E, R>
  ): Effect.Effect<A, E | PollerError, R> {
    const retry: Effect.Effect<A, E | PollerError, R> = Effect.suspend(() =>
      Effect.flatMap(this.#whenKnown(direction), () => {
        const { reports } = direction
        return Effect.flatMap(attempt, (result) => {
          if (Option.isSome(result)) return Effect.succeed(result.value)
          // What was reported during the attempt may be about what it has not seen.
          if (direction.reports === reports) direction.forget()
          return retry
        })
      })
    )
    return retry
  }

  read(buffer: Uint8Array, offset?: number, length?: number): Effect.Effect<number, PollerError> {
    return this.#bytes((channel) => channel.read(buffer, offset, length))
  }

  write(buffer: Uint8Array, offset?: number, length?: number): Effect.Effect<number, PollerError> {
    return this.#bytes((channel) => channel.write(buffer, offset, length))
  }

  writeAll(buffer: Uint8Array, offset?: number, length?: number): Effect.Effect<void, PollerError> {
    return this.#bytes((channel) => channel.writeAll(buffer, offset, length))
  }

  get stream(): Stream.Stream<Uint8Array, PollerError> {
    return streamOf(this.#bytes((channel) => channel.readChunk))
  }

  get sink(): Sink.Sink<void, Uint8Array, never, PollerError> {
    // Each by itself, for each may be a message.
    return sinkOf((chunks) => Effect.forEach(chunks, (chunk) => this.writeAll(chunk), { discard: true }))
  }

  /** The descriptor is not ours to make non-blocking, and one that blocks would block the thread. */
  #bytes<A>(use: (channel: ByteChannel) => Effect.Effect<A, PollerError>): Effect.Effect<A, PollerError> {
    return Effect.suspend(() => {
      if (this.#isGone()) return Effect.fail(gone())
      if (this.#channel !== undefined) return use(this.#channel)
      const libc = this.#libc
      const { ended, fd } = this.#watchedFd
      if (ended !== undefined) return Effect.fail(ended)
      if (libc === undefined) {
        return Effect.fail(
          invalidArgument(
            "a descriptor of TestPoller carries no bytes: give an attempt of your own to readWhenReady",
            fd
          )
        )
      }
      const { F_GETFL, O_NONBLOCK } = libc.profile.fcntl
      const flags = retryInterrupted(libc, () => libc.functions.fcntl(fd, F_GETFL, "int", 0))
      if (flags >= 0 && (flags & O_NONBLOCK) === 0) {
        return Effect.fail(
          invalidArgument(
            "this descriptor is in blocking mode and would block the thread: make it non-blocking first",
            fd
          )
        )
      }
      this.#channel = new ByteChannel(this.#watchedFd, libc, {
        reading: "read",
        read: libc.functions.read,
        writing: "write",
        write: libc.functions.write,
        isStream: false
      })
      return use(this.#channel)
    })
  }
}

class ReadyImpl implements Ready {
  readonly readClosed: boolean
  readonly writeClosed: boolean
  readonly error: boolean
  readonly #direction: Direction
  readonly #reports: number

  constructor(direction: Direction) {
    this.#direction = direction
    this.#reports = direction.reports
    this.readClosed = (direction.bits & Readiness.ReadClosed) !== 0
    this.writeClosed = (direction.bits & Readiness.WriteClosed) !== 0
    this.error = (direction.bits & Readiness.Error) !== 0
  }

  readonly clear: Effect.Effect<void> = Effect.sync(() => {
    if (this.#direction.reports === this.#reports) this.#direction.forget()
  })
}
