/** A listening stream socket, TCP or Unix. */
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { constants } from "node:os"
import type { PollerError } from "../../PollerError.ts"
import { fromErrno, invalidArgument } from "../errors/pollerErrors.ts"
import { acquireWhenReady, type Restore } from "../descriptor/acquireWhenReady.ts"
import { WatchedFd } from "../descriptor/watchedFd.ts"
import type { Libc } from "../libc/koffi.ts"
import { OwnedFd } from "../descriptor/ownedFd.ts"
import { detachMethods, PublicObject } from "../objects/publicObject.ts"
import type { Family } from "./addresses.ts"
import type { Network } from "./network.ts"
import * as Socket from "./socketCalls.ts"
import { largestInt } from "./socketOptions.ts"

const { errno } = constants

/** What accept(2) answers of one connection, and not of the listener: the next one may be all right. */
const ofOneConnection = new Set([
  errno.ECONNABORTED,
  errno.EPROTO,
  errno.ENOPROTOOPT,
  errno.EOPNOTSUPP,
  errno.ENETDOWN,
  errno.ENETUNREACH,
  errno.EHOSTUNREACH,
  errno.ETIMEDOUT
])

/** Milliseconds until the next attempt: twice as long each time. */
const shortestPause = 5
const longestPause = 1000

/** Connections that are accepted at a time: others have their turn in between. */
const batch = 64

const defaultBacklog = 511

export const toBacklog = (backlog = defaultBacklog): Effect.Effect<number, PollerError> =>
  Number.isInteger(backlog) && backlog >= 0 && backlog <= largestInt
    ? Effect.succeed(backlog)
    : Effect.fail(invalidArgument(`the backlog ${String(backlog)} is not a whole number from 0 on`))

/** What a listener is made of, beside its descriptor. */
export interface ListenerParts<Connection, Address> {
  readonly family: Family<Address>
  readonly address: Address
  /** Makes a connection of an accepted descriptor. */
  readonly wrap: (fd: number) => Connection
  /** Called before the listener is closed, while its descriptor is still open. */
  readonly onClose?: (() => void) | undefined
}

export abstract class Listener<Connection extends { readonly owned: OwnedFd }, Address> extends PublicObject {
  readonly #owned: OwnedFd
  readonly #watchedFd: WatchedFd
  readonly #libc: Libc
  readonly #parts: ListenerParts<Connection, Address>
  #pause = 0

  static {
    detachMethods(this)
  }

  constructor({ attachment, libc }: Network, fd: number, parts: ListenerParts<Connection, Address>) {
    super()
    this.#libc = libc
    this.#parts = parts
    this.#watchedFd = new WatchedFd(attachment, fd)
    this.#watchedFd.named = this
    const { end, release } = this.#watchedFd
    this.#owned = new OwnedFd(libc, fd, "the listener", {
      release: (error) => {
        parts.onClose?.()
        release(error)
      },
      end
    })
  }

  /** The name in the printed form. */
  abstract get kind(): string

  get owned(): OwnedFd {
    return this.#owned
  }

  get fd(): number {
    return this.#owned.fd
  }

  get address(): Address {
    return this.#parts.address
  }

  get close(): Effect.Effect<void, PollerError> {
    return this.#owned.close
  }

  get accept(): Effect.Effect<Connection, PollerError, Scope.Scope> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.tap(
        this.#when(restore, () => {
          const fd = this.#accept()
          return typeof fd === "number" ? Effect.succeed(this.#parts.wrap(fd)) : fd
        }),
        ({ owned }) => Effect.addFinalizer(() => Effect.sync(() => void owned.closeUnsafe()))
      )
    )
  }

  /** All that wait, at least one. Whoever uses them is told in the same breath, so that none of them gets lost. */
  #acceptSome<A>(use: (accepted: readonly [Connection, ...Array<Connection>]) => A): Effect.Effect<A, PollerError> {
    return Effect.uninterruptibleMask((restore) =>
      this.#when(restore, () => {
        const first = this.#accept()
        if (typeof first !== "number") return first
        const accepted: [Connection, ...Array<Connection>] = [this.#parts.wrap(first)]
        while (accepted.length < batch) {
          const fd = this.#accept()
          // An error comes again for whoever asks next.
          if (typeof fd !== "number") break
          accepted.push(this.#parts.wrap(fd))
        }
        return Effect.sync(() => use(accepted))
      })
    )
  }

  /**
   * Makes an attempt whenever it may succeed. Only the time in between can be interrupted, for what was accepted is
   * somebody's; with no room for another descriptor that is a while, as nobody tells when there is.
   */
  #when<A>(restore: Restore, attempt: () => Effect.Effect<A, PollerError> | undefined): Effect.Effect<A, PollerError> {
    const accepted: Effect.Effect<A, PollerError> = acquireWhenReady(this.#watchedFd, restore, () => {
      const result = attempt()
      return (
        result && Effect.catchIf(result, isOfTheMoment, (error) => Effect.andThen(restore(this.#rest(error)), accepted))
      )
    })
    return accepted
  }

  #rest(error: PollerError): Effect.Effect<void, PollerError> {
    return Effect.suspend(() => {
      const isFirst = this.#pause === 0
      this.#pause = Math.min(Math.max(shortestPause, this.#pause * 2), longestPause)
      const pause = Effect.raceFirst(Effect.sleep(this.#pause), this.#watchedFd.ending)
      return isFirst
        ? Effect.andThen(Effect.logWarning("a listener cannot accept, and tries again", error), pause)
        : pause
    })
  }

  #accept(): number | Effect.Effect<never, PollerError> | undefined {
    for (;;) {
      const fd = Socket.accept(this.#libc, this.#watchedFd.fd)
      if (fd >= 0) {
        this.#pause = 0
        return fd
      }
      if (-fd === this.#libc.profile.errno.EAGAIN) return undefined
      if (!ofOneConnection.has(-fd)) return Effect.fail(fromErrno("accept", -fd, this.#watchedFd))
    }
  }

  get incoming(): Stream.Stream<Connection, PollerError> {
    return Stream.unwrap(
      Effect.gen({ self: this }, function* () {
        const open = new Set<Connection>()
        let limit = batch
        // What its consumer has not closed by the end of the stream, nobody else would.
        yield* Effect.addFinalizer(() =>
          Effect.sync(() => {
            for (const { owned } of open) owned.closeUnsafe()
          })
        )
        const pull = this.#acceptSome((accepted) => {
          // Those that were closed are looked for when there may be as many of them as of the others.
          if (open.size >= limit) {
            for (const connection of open) if (connection.owned.fd === -1) open.delete(connection)
            limit = 2 * open.size + batch
          }
          for (const connection of accepted) open.add(connection)
          return accepted
        })
        return Stream.fromPull(Effect.succeed(pull))
      })
    )
  }

  /** A fiber for each connection, which is closed with it. */
  run<E, R>(
    handler: (connection: Connection) => Effect.Effect<unknown, E, R>
  ): Effect.Effect<never, PollerError, Exclude<R, Scope.Scope>> {
    return this.serve((connection) =>
      Effect.suspend(() => handler(connection)).pipe(
        Effect.scoped,
        Effect.catchCause((cause) =>
          Cause.hasInterruptsOnly(cause)
            ? Effect.void
            : Effect.logError("a connection ended with an unhandled error", cause)
        ),
        Effect.ensuring(Effect.sync(() => void connection.owned.closeUnsafe()))
      )
    )
  }

  /**
   * A fiber for each connection, which that has to close. Interrupted, it interrupts all of them; once the listener is closed, it
   * waits for them, and fails then.
   */
  serve<R>(
    handler: (connection: Connection) => Effect.Effect<unknown, never, R>
  ): Effect.Effect<never, PollerError, R> {
    return Effect.contextWith((context: Context.Context<R>) =>
      Effect.scoped(
        Effect.gen({ self: this }, function* () {
          const scope = yield* Effect.scope
          // A scope of the handler's own would otherwise be this one.
          const fork = Effect.runForkWith(context)
          const running = new Set<Fiber.Fiber<unknown>>()
          const start = (connection: Connection) => {
            const fiber = Fiber.runIn(fork(handler(connection)), scope)
            running.add(fiber)
            fiber.addObserver(() => running.delete(fiber))
          }
          return yield* Effect.forever(
            this.#acceptSome((accepted) => accepted.forEach(start)),
            { disableYield: true }
          ).pipe(
            Effect.catch((error) =>
              Effect.andThen(this.fd === -1 ? Fiber.awaitAll(running) : Effect.void, Effect.fail(error))
            )
          )
        })
      )
    )
  }

  toJSON(): unknown {
    return { _id: this.kind, fd: this.fd, address: this.addressText }
  }

  toString(): string {
    return `${this.kind}(${this.fd === -1 ? "closed" : this.addressText})`
  }

  /** The address that errors say. */
  get addressText(): string {
    return this.#parts.family.format(this.#parts.address)
  }
}

/** Whether accepting fails only for now: the process, or the system, has no room for one more descriptor. */
const isOfTheMoment = ({ reason }: PollerError): boolean => reason._tag === "LimitReached"
