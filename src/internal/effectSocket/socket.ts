/**
 * A stream socket as `Socket` of `effect/socket`: a reader that owns the connection, and a writer
 * that writes to the connection of the moment.
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import { isUint8Array } from "node:util/types"
import { isPollerError, type PollerError } from "../../PollerError.ts"
import { readArgument, textOf } from "../errors/arguments.ts"
import { invalidArgument } from "../errors/pollerErrors.ts"
import { toMillis } from "../errors/timeout.ts"
import { chunkSize } from "../bytes/byteReader.ts"
import type { StreamSocket } from "../net/streamSocket.ts"

type Connection = StreamSocket<unknown>
type Pulled = NonEmptyReadonlyArray<Uint8Array>

const closeError = (code: number): Socket.SocketError =>
  new Socket.SocketError({ reason: new Socket.SocketCloseError({ code }) })

const readError = (cause: unknown): Socket.SocketError =>
  new Socket.SocketError({ reason: new Socket.SocketReadError({ cause }) })

const writeError = (cause: unknown): Socket.SocketError =>
  new Socket.SocketError({ reason: new Socket.SocketWriteError({ cause }) })

const failWrite = (cause: PollerError) => Effect.fail(writeError(cause))

export const openError = (cause: unknown): Socket.SocketError =>
  new Socket.SocketError({ reason: new Socket.SocketOpenError({ kind: "Unknown", cause }) })

const tooLong = "opening the connection took longer than openTimeout"

const openTimeout = (failed: ReadonlyArray<PollerError>): Socket.SocketError =>
  new Socket.SocketError({
    reason: new Socket.SocketOpenError({
      kind: "Timeout",
      cause: failed.length === 0 ? new Error(tooLong) : new AggregateError(failed, tooLong)
    })
  })

/**
 * Makes a socket. The scope in which a connection is opened also closes it. Opening one adds to
 * `failed` the attempts that have failed, while others go on.
 */
export const make = <R>(
  open: (failed: Array<PollerError>) => Effect.Effect<Connection, Socket.SocketError, R>,
  options?: { readonly openTimeout?: Duration.Input | undefined }
): Effect.Effect<Socket.Socket, never, Exclude<R, Scope.Scope>> =>
  Effect.contextWith((services: Context.Context<Exclude<R, Scope.Scope>>) => {
    const state = new State()
    const opening = Effect.suspend(() => {
      const failed: Array<PollerError> = []
      const timeout = readArgument("the option openTimeout", () => options?.openTimeout)
      if (isPollerError(timeout)) return Effect.fail(openError(timeout))
      if (timeout === undefined) return open(failed)
      const duration = toMillis(timeout)
      return duration === undefined
        ? Effect.fail(openError(invalidArgument(`invalid openTimeout ${textOf(timeout)}: expected zero or more`)))
        : Effect.timeoutOrElse(open(failed), { duration, orElse: () => Effect.fail(openTimeout(failed)) })
    })
    const reader = Effect.flatMap(opening, (connection) => {
      const session = new Session(connection)
      const begin = Effect.sync(() => {
        state.open(session)
        return { pull: session.pull, upgrade: Socket.SocketUpgradeError.unsupported }
      })
      return Effect.acquireRelease(begin, () => Effect.sync(() => state.close(session)))
    }).pipe(
      Effect.updateContext(
        (input: Context.Context<Scope.Scope>) => Context.merge(services, input) as Context.Context<R | Scope.Scope>
      )
    )
    const writer: Socket.Socket["writer"] = Effect.acquireRelease(
      Effect.succeed({ write: state.write, writeAll: state.writeAll }),
      () => Effect.suspend(() => state.shutdown)
    )
    return Effect.succeed(Socket.make({ reader, writer }))
  })

/** The connection of the moment, if there is one. */
class State {
  readonly #latch = Latch.makeUnsafe(false)
  #session: Session | undefined

  open(session: Session): void {
    this.#session = session
    this.#latch.openUnsafe()
  }

  close(session: Session): void {
    session.end(closeError(1006))
    if (this.#session !== session) return
    this.#session = undefined
    this.#latch.closeUnsafe()
  }

  readonly write = (chunk: Uint8Array | string | Socket.CloseEvent): Effect.Effect<void, Socket.SocketError> =>
    Effect.suspend(() => {
      const session = this.#session
      if (session === undefined) return this.#latch.whenOpen(this.write(chunk))
      return Socket.isCloseEvent(chunk) ? session.break(chunk) : session.writeNow(encode(chunk))
    })

  readonly writeAll = (chunks: NonEmptyReadonlyArray<Uint8Array | string>): Effect.Effect<void, Socket.SocketError> =>
    Effect.suspend(() => {
      const session = this.#session
      if (session === undefined) return this.#latch.whenOpen(this.writeAll(chunks))
      return session.writeNow(chunks.length === 1 ? encode(chunks[0]) : Buffer.concat(chunks.map(encode)))
    })

  get shutdown(): Effect.Effect<void> {
    return this.#session === undefined ? Effect.void : this.#session.shutdown
  }
}

const encoder = new TextEncoder()
const encode = (chunk: Uint8Array | string): Uint8Array => (typeof chunk === "string" ? encoder.encode(chunk) : chunk)

/** One connection, from its opening until its reader's scope closes. */
class Session {
  readonly connection: Connection
  /** The error of every further pull. */
  #ended: Socket.SocketError | undefined
  /** The error of every further pull, if the program has closed the connection. */
  #broken: Socket.SocketError | undefined

  constructor(connection: Connection) {
    this.connection = connection
  }

  get pull(): Effect.Effect<Pulled, Socket.SocketError> {
    const { channel, watchedFd } = this.connection
    const toFailure = (error: PollerError) => this.#end(toReadError(error))
    return watchedFd.attemptOrElse(
      watchedFd.reading,
      () => {
        if (this.#ended !== undefined) return Effect.fail(this.#ended)
        const chunk = channel.reader.takeChunk()
        if (chunk === undefined) return undefined
        if (chunk === null) return this.#end(closeError(1000))
        return isUint8Array(chunk) ? Effect.succeed([chunk]) : Effect.catch(chunk, toFailure)
      },
      toFailure,
      chunkSize
    )
  }

  #end(error: Socket.SocketError): Effect.Effect<never, Socket.SocketError> {
    this.#ended ??= this.#broken ?? error
    return Effect.fail(this.#ended)
  }

  /** Writes at once, without waiting for the fiber to run. */
  writeNow(bytes: Uint8Array): Effect.Effect<void, Socket.SocketError> {
    // An interruption only ends the waiting: a part of a write would spoil the bytes that come
    // after it.
    return this.connection.channel.writer.writeAllNow(bytes, bytes.length, true, failWrite)
  }

  /** Ends this side once the writes that were begun are done. */
  get shutdown(): Effect.Effect<void> {
    const { watchedFd } = this.connection
    const shutdown = this.connection.shutdown("write")
    return Effect.ignore(
      watchedFd.writing.isFree
        ? shutdown
        : Effect.sync(() => void Effect.runFork(watchedFd.attempt(watchedFd.writing, () => shutdown)))
    )
  }

  /** Closes the connection: the program has written a `CloseEvent`. */
  break(event: Socket.CloseEvent): Effect.Effect<void> {
    return Effect.sync(() => {
      this.#broken = event.code > 1000 ? readError(new Error(`closed with code ${event.code}`)) : closeError(1000)
      this.connection.owned.closeUnsafe()
    })
  }

  /**
   * Closes the connection with the reader's scope. A fiber that pulls fails. Bytes that were not
   * read are dropped.
   */
  end(error: Socket.SocketError): void {
    this.#ended ??= error
    const { connection } = this
    // With bytes left unread, the kernel would reset the connection, and the peer lose the bytes
    // sent last.
    if (connection.fd !== -1) connection.channel.reader.discard()
    connection.owned.closeUnsafe()
  }
}

const toReadError = (error: PollerError): Socket.SocketError =>
  error.reason._tag === "Closed" ? closeError(1006) : readError(error)
