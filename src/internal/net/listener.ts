/** A listening stream socket, TCP or Unix: what the two have in common. */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { PollerError } from "../../PollerError.ts"
import { textOf } from "../errors/arguments.ts"
import { errnoName, fromErrno, invalidArgument } from "../errors/pollerErrors.ts"
import { acquireWhenReady, type Restore } from "../descriptor/acquireWhenReady.ts"
import { WatchedFd } from "../descriptor/watchedFd.ts"
import type { Libc } from "../libc/koffi.ts"
import { OwnedFd } from "../descriptor/ownedFd.ts"
import { detachMethods, PublicObject } from "../objects/publicObject.ts"
import type { Family } from "./addresses.ts"
import { type Handler, Handlings } from "./handlings.ts"
import type { Network } from "./network.ts"
import * as Socket from "./socketCalls.ts"
import { largestInt } from "./socketOptions.ts"

/**
 * Errors of accept(2) that concern one connection, and not the listener: it can accept the next
 * one. Most of them are errors of the network that were pending on the new connection. By name,
 * because Node has no number for some of them.
 */
const ofOneConnection = new Set([
  "ECONNABORTED",
  "ECONNREFUSED",
  "ECONNRESET",
  "EHOSTDOWN",
  "EHOSTUNREACH",
  "ENETDOWN",
  "ENETRESET",
  "ENETUNREACH",
  "ENONET",
  // Of a connection that is gone already, by a system that asks for its address afterwards.
  "ENOTCONN",
  "ENOPROTOOPT",
  "ENOSR",
  // Linux has one number for this and the next.
  "ENOTSUP",
  "EOPNOTSUPP",
  "EPROTO",
  "EPROTONOSUPPORT",
  "ESOCKTNOSUPPORT",
  "ETIMEDOUT"
])

/** Milliseconds until the next attempt. Each pause is twice as long as the one before. */
const shortestPause = 5
const longestPause = 1000

/**
 * Maximum connections that are accepted in one go, so that other fibers have their turn in between.
 */
const batch = 64

const defaultBacklog = 511

export const toBacklog = (backlog = defaultBacklog): Effect.Effect<number, PollerError> =>
  Number.isInteger(backlog) && backlog >= 0 && backlog <= largestInt
    ? Effect.succeed(backlog)
    : Effect.fail(invalidArgument(`invalid backlog ${textOf(backlog)}: expected an integer from 0 to ${largestInt}`))

/** The parts in which a TCP and a Unix listener differ. */
export interface ListenerParts<Connection, Address> {
  readonly family: Family<Address>
  readonly address: Address
  /** Makes a connection of an accepted descriptor, and of the address of its peer. */
  readonly wrap: (fd: number, peer: Socket.PackedAddress) => Connection
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
    const watchedFd = this.#watchedFd
    this.#owned = new OwnedFd(libc, fd, "the listener", {
      release(error) {
        parts.onClose?.()
        watchedFd.release(error)
      },
      end: (error) => watchedFd.end(error)
    })
  }

  /** The name that the object prints. */
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
          return typeof fd === "number" ? Effect.succeed(this.#wrap(fd)) : fd
        }),
        ({ owned }) => Effect.addFinalizer(() => Effect.sync(() => void owned.closeUnsafe()))
      )
    )
  }

  /**
   * Accepts up to `most` of the connections that have arrived, and waits for the first. `use` runs
   * in the same step, so that an interruption cannot lose a connection.
   */
  #acceptSome<A>(
    most: number,
    use: (accepted: readonly [Connection, ...Array<Connection>]) => A
  ): Effect.Effect<A, PollerError> {
    return Effect.uninterruptibleMask((restore) =>
      this.#when(restore, () => {
        const first = this.#accept()
        if (typeof first !== "number") return first
        const accepted: [Connection, ...Array<Connection>] = [this.#wrap(first)]
        while (accepted.length < most) {
          const fd = this.#accept()
          // The next call meets an error again.
          if (typeof fd !== "number") break
          accepted.push(this.#wrap(fd))
        }
        return Effect.sync(() => use(accepted))
      })
    )
  }

  /**
   * Makes an attempt each time it may succeed. Only the waiting can be interrupted, because what
   * was accepted needs an owner.
   *
   * With no room for another descriptor, or while it is not permitted to accept, it waits for a
   * while: the kernel does not report when that is over.
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
        ? Effect.andThen(Effect.logWarning("a listener cannot accept connections, and will try again", error), pause)
        : pause
    })
  }

  #wrap(accepted: number): Connection {
    return this.#parts.wrap(accepted, Socket.acceptedPeer())
  }

  #accept(): number | Effect.Effect<never, PollerError> | undefined {
    for (let failed = 1; ; failed++) {
      const fd = Socket.accept(this.#libc, this.#watchedFd.fd)
      if (fd >= 0) {
        this.#pause = 0
        return fd
      }
      if (-fd === this.#libc.profile.errno.EAGAIN) return undefined
      // If it fails again and again, it must not keep the thread.
      if (failed >= batch || !ofOneConnection.has(errnoName(-fd))) {
        return Effect.fail(fromErrno("accept", -fd, this.#watchedFd))
      }
    }
  }

  get incoming(): Stream.Stream<Connection, PollerError> {
    return Stream.unwrap(
      Effect.gen({ self: this }, function* () {
        const open = new Set<Connection>()
        let limit = batch
        // The end of the stream closes the connections that its consumer has left open.
        yield* Effect.addFinalizer(() =>
          Effect.sync(() => {
            for (const { owned } of open) owned.closeUnsafe()
          })
        )
        // One a pull, for the rest must stay in the backlog if the consumer stops.
        const pull = this.#acceptSome(1, (accepted) => {
          // Closed connections are dropped once they may be as many as the open ones.
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

  /**
   * Runs a handler in a fiber for each connection, and closes the connection when the handler ends.
   */
  run<E, R>(
    handler: (connection: Connection) => Effect.Effect<unknown, E, R>
  ): Effect.Effect<never, PollerError, Exclude<R, Scope.Scope>> {
    return this.serve<E, R, Exclude<R, Scope.Scope>>({
      contextOf: (context) => Context.add(context, Scope.Scope, Scope.makeUnsafe()) as Context.Context<R>,
      // Without the fiber: a handler may have optional parameters.
      handle: (connection) => handler(connection),
      end(connection, exit, fiber) {
        const scope = Context.getUnsafe(fiber.context, Scope.Scope) as Scope.Closeable
        const closing = Scope.closeUnsafe(scope, exit)
        if (closing === undefined) return endOf(connection, exit)
        const closed = Effect.onExit(exit, () => closing)
        return Effect.flatMap(Effect.exit(closed), (end) => endOf(connection, end) ?? Effect.void)
      }
    })
  }

  /**
   * Runs a handler in a fiber for each connection. The handler has to close the connection.
   *
   * An interruption interrupts every handler. Once the listener is closed, it waits for the
   * handlers, and then fails.
   */
  serve<E, R, R2>(handler: Handler<Connection, E, R, R2>): Effect.Effect<never, PollerError, R2> {
    return Effect.contextWith((context: Context.Context<R2>) =>
      Effect.suspend(() => {
        const handlings = new Handlings(handler, context)
        return Effect.forever(
          this.#acceptSome(batch, (accepted) => {
            for (const connection of accepted) handlings.start(connection)
          }),
          { disableYield: true }
        ).pipe(
          Effect.catch((error) => Effect.andThen(this.fd === -1 ? handlings.ended : Effect.void, Effect.fail(error))),
          Effect.ensuring(handlings.interrupted)
        )
      })
    )
  }

  toJSON(): unknown {
    return { _id: `effect-amy/${this.kind}`, fd: this.fd, address: this.addressText }
  }

  toString(): string {
    return `${this.kind}(${this.fd === -1 ? "closed" : this.addressText})`
  }

  /** The address that errors say. */
  get addressText(): string {
    return this.#parts.family.format(this.#parts.address)
  }
}

/** Reports the error that a handler has not handled, if there is one, and closes its connection. */
const endOf = (
  { owned }: { readonly owned: OwnedFd },
  exit: Exit.Exit<unknown, unknown>
): Effect.Effect<void> | undefined => {
  if (Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause)) {
    owned.closeUnsafe()
    return undefined
  }
  return Effect.ensuring(
    Effect.logError("a connection ended with an unhandled error", exit.cause),
    Effect.sync(() => void owned.closeUnsafe())
  )
}

/**
 * Whether accepting fails only for now: the process, or the system, has no room for one more
 * descriptor; a rule of a firewall or a sandbox refuses a connection; or connection after
 * connection is broken.
 */
const isOfTheMoment = ({ reason }: PollerError): boolean =>
  reason._tag === "LimitReached" ||
  reason._tag === "PermissionDenied" ||
  ("code" in reason && reason.code !== undefined && ofOneConnection.has(reason.code))
