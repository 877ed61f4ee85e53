/**
 * The readiness and the bytes of one descriptor, as effects. It may have been opened by anybody.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type * as Sink from "effect/Sink"
import type * as Stream from "effect/Stream"
import type { AsyncFd, MakeOptions, Ready } from "../../AsyncFd.ts"
import type { PollerError } from "../../PollerError.ts"
import { type FdLike, Registrar } from "../../Registrar.ts"
import { interestError, toInterest } from "../delivery/interest.ts"
import { attachmentOf, toFd } from "../delivery/registrar.ts"
import * as Registration from "../delivery/registration.ts"
import type { Direction } from "../descriptor/direction.ts"
import { WatchedFd } from "../descriptor/watchedFd.ts"
import { readArgument } from "../errors/arguments.ts"
import { closedBecause, invalidArgument } from "../errors/pollerErrors.ts"
import { retryInterrupted } from "../kernel/retry.ts"
import type { Libc } from "../libc/koffi.ts"
import { isOf } from "../objects/guards.ts"
import { detachMethods, PublicObject } from "../objects/publicObject.ts"
import { ByteChannel } from "./byteChannel.ts"
import { ReadyImpl } from "./ready.ts"
import { sinkOf, streamOf } from "./streams.ts"

export const TypeId = "~effect-amy/AsyncFd"

export const make = (
  fdLike: FdLike,
  options?: MakeOptions
): Effect.Effect<AsyncFd, PollerError, Registrar | Scope.Scope> =>
  Effect.gen(function* () {
    const attachment = yield* attachmentOf(yield* Registrar)
    const fd = toFd(fdLike)
    if (typeof fd !== "number") return yield* Effect.fail(fd)
    const interest = readArgument("an option of the AsyncFd", () =>
      toInterest(options?.event ?? "Both", { priority: options?.priority })
    )
    if (typeof interest !== "number") return yield* Effect.fail(interest)
    if (interest < 0) return yield* Effect.fail(interestError(interest))
    const watchedFd = yield* Effect.acquireRelease(
      Effect.suspend(() => {
        const refused = Registration.refusal(attachment, fd, interest)
        if (refused !== undefined) return Effect.fail(refused)
        const watchedFd = new WatchedFd(attachment, fd)
        // Nothing is tried before a report: a FIFO that no process has opened to write would look
        // like one at its end.
        watchedFd.reading.mayTry = false
        watchedFd.writing.mayTry = false
        // Now, so that a descriptor that cannot be watched is refused here and not later.
        const error = watchedFd.ask(interest)
        return error === undefined ? Effect.succeed(watchedFd) : Effect.fail(error)
      }),
      (watchedFd) =>
        Effect.sync(() => {
          const error = closedBecause("the readiness of this descriptor is no longer watched (its scope has closed)")
          watchedFd.release(error)
          watchedFd.end(error)
        })
    )
    // The number may have been reused once its owner has closed it.
    const isGone = typeof fdLike === "number" ? () => false : () => toFd(fdLike) !== fd
    return new AsyncFdImpl(watchedFd, attachment.libc, isGone)
  })

export const isAsyncFd = (u: unknown): u is AsyncFd => isOf(AsyncFdImpl, u)

const gone = () => closedBecause("this descriptor was closed by its owner (close it after the scope of its AsyncFd)")

class AsyncFdImpl extends PublicObject implements AsyncFd {
  readonly #watchedFd: WatchedFd
  readonly #libc: Libc | undefined
  readonly #isGone: () => boolean
  #channel: ByteChannel | undefined

  static {
    detachMethods(this)
  }

  constructor(watchedFd: WatchedFd, libc: Libc | undefined, isGone: () => boolean) {
    super()
    this.#watchedFd = watchedFd
    this.#libc = libc
    this.#isGone = isGone
  }

  get [TypeId](): typeof TypeId {
    return TypeId
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
          // A report that came during the attempt may be about something that the attempt did not
          // see.
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

  tryRead(buffer: Uint8Array, offset?: number, length?: number): Effect.Effect<Option.Option<number>, PollerError> {
    return this.#watched(this.#watchedFd.reading, (channel) => channel.tryRead(buffer, offset, length))
  }

  write(buffer: Uint8Array, offset?: number, length?: number): Effect.Effect<number, PollerError> {
    return this.#bytes((channel) => channel.write(buffer, offset, length))
  }

  tryWrite(buffer: Uint8Array, offset?: number, length?: number): Effect.Effect<Option.Option<number>, PollerError> {
    return this.#watched(this.#watchedFd.writing, (channel) => channel.tryWrite(buffer, offset, length))
  }

  writeAll(buffer: Uint8Array, offset?: number, length?: number): Effect.Effect<void, PollerError> {
    return this.#bytes((channel) => channel.writeAll(buffer, offset, length))
  }

  get stream(): Stream.Stream<Uint8Array, PollerError> {
    return streamOf(this.#bytes((channel) => channel.readChunk))
  }

  get sink(): Sink.Sink<void, Uint8Array, never, PollerError> {
    // One call for each chunk, because each may be a message.
    return sinkOf((chunks) => Effect.forEach(chunks, (chunk) => this.writeAll(chunk), { discard: true }))
  }

  /** As `#bytes`. Asks for reports of the direction first, because nothing is tried before one. */
  #watched<A>(
    direction: Direction,
    use: (channel: ByteChannel) => Effect.Effect<A, PollerError>
  ): Effect.Effect<A, PollerError> {
    return this.#bytes((channel) => {
      const refused = this.#watchedFd.ended ?? this.#watchedFd.ask(direction.interest)
      return refused === undefined ? use(channel) : Effect.fail(refused)
    })
  }

  /**
   * Refuses a descriptor in blocking mode: it would block the thread, and only its owner may change
   * its mode.
   */
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
            "a descriptor of TestPoller carries no bytes: pass an attempt of your own to readWhenReady or writeWhenReady",
            fd
          )
        )
      }
      const { F_GETFL, O_NONBLOCK } = libc.profile.fcntl
      const flags = retryInterrupted(libc, () => libc.functions.fcntl(fd, F_GETFL, "int", 0))
      if (flags >= 0 && (flags & O_NONBLOCK) === 0) {
        return Effect.fail(
          invalidArgument(
            "this descriptor is in blocking mode and would block the thread: its owner makes it non-blocking by Fd.setNonblocking(fd, true)",
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

  toJSON() {
    return { _id: "effect-amy/AsyncFd", fd: this.fd }
  }

  toString(): string {
    return `AsyncFd(${this.#watchedFd.ended === undefined ? this.fd : "closed"})`
  }
}
