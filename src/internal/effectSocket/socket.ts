/**
 * A stream socket as `Socket` of `effect/socket`: a reader that owns the connection, and a writer
 * that writes to the connection of the moment.
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import { isUint8Array } from "node:util/types"
import { isPollerError, type PollerError } from "../../PollerError.ts"
import { readArgument, textOf } from "../errors/arguments.ts"
import { invalidArgument } from "../errors/pollerErrors.ts"
import { toMillis } from "../errors/timeout.ts"
import { chunkSize } from "../bytes/byteReader.ts"
import type { Direction } from "../descriptor/direction.ts"
import { Turn } from "../descriptor/turn.ts"
import type { WatchedFd } from "../descriptor/watchedFd.ts"
import type { StreamSocket } from "../net/streamSocket.ts"
import { ownProperties } from "../objects/ownProperties.ts"

type Connection = StreamSocket<unknown>
type Pulled = NonEmptyReadonlyArray<Uint8Array>

const closeError = (code: number): Socket.SocketError =>
  new Socket.SocketError({ reason: new Socket.SocketCloseError({ code }) })

/** The failure of a reader whose connection was closed before. */
export const closed: Effect.Effect<never, Socket.SocketError> = Effect.suspend(() => Effect.fail(closeError(1000)))

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
    const opening = Effect.suspend(() => {
      const failed: Array<PollerError> = []
      const timeout = readArgument("the option openTimeout", () => options?.openTimeout)
      if (isPollerError(timeout)) return Effect.fail(openError(timeout))
      if (timeout === undefined) return open(failed)
      const duration = toMillis(timeout)
      return duration === undefined
        ? Effect.fail(openError(invalidArgument(`invalid openTimeout ${textOf(timeout)}: expected zero or more`)))
        : Effect.timeoutOrElse(open(failed), { duration, orElse: () => Effect.fail(openTimeout(failed)) })
    }).pipe(
      Effect.updateContext(
        (input: Context.Context<Scope.Scope>) => Context.merge(services, input) as Context.Context<R | Scope.Scope>
      )
    )
    return Effect.succeed(new SocketImpl({ open: (restore) => restore(opening) }))
  })

/** Opens the connection of a socket. */
export interface Opener {
  /**
   * Runs uninterruptibly, so that the reader becomes the owner of what was opened. `restore` is for
   * an effect that has made the scope the owner already.
   */
  readonly open: (restore: Restore) => Effect.Effect<Connection, Socket.SocketError, Scope.Scope>
}

type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/** Makes a socket whose reader, once acquired, closes the connection with its scope. */
export const of = (opener: Opener): Socket.Socket => new SocketImpl(opener)

/** A socket, with the session of the moment, if there is one. */
class SocketImpl implements Socket.Socket {
  declare readonly [Socket.TypeId]: typeof Socket.TypeId
  declare readonly reader: Socket.Socket["reader"]
  declare readonly writer: Socket.Socket["writer"]
  readonly #opener: Opener
  #session: Session | undefined
  /** Opened with each session. Few programs write before that. */
  #latch: Latch.Latch | undefined

  static readonly #properties = ownProperties({
    [Socket.TypeId]: () => Socket.TypeId,
    reader: (socket: SocketImpl) => socket.acquireReader,
    writer: (socket: SocketImpl) => socket.acquireWriter
  })

  constructor(opener: Opener) {
    Object.defineProperties(this, SocketImpl.#properties)
    this.#opener = opener
  }

  get session(): Session | undefined {
    return this.#session
  }

  /** Opens a connection, which the scope closes. */
  private get acquireReader(): Socket.Socket["reader"] {
    return Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(this.#opener.open(restore), (connection) => {
        const session = new Session(this, connection)
        return Effect.flatMap(Effect.scope, (scope) =>
          Effect.map(Scope.addFinalizerExit(scope, session.close.bind(session)), () => this.opened(session))
        )
      })
    )
  }

  private get acquireWriter(): Socket.Socket["writer"] {
    return Effect.uninterruptible(
      Effect.flatMap(Effect.scope, (scope) =>
        Effect.map(Scope.addFinalizerExit(scope, this.shutdown.bind(this)), () => new WriterImpl(this))
      )
    )
  }

  private opened(session: Session): Session {
    if (session.isEnded) return session
    this.#session = session
    this.#latch?.openUnsafe()
    return session
  }

  private shutdown(): Effect.Effect<void> {
    return Effect.suspend(() => this.#session?.shutdown ?? Effect.void)
  }

  close(session: Session): void {
    session.end(closeError(1006))
    if (this.#session !== session) return
    this.#session = undefined
    this.#latch?.closeUnsafe()
  }

  /** Waits for the next session. */
  whenOpen<A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> {
    return (this.#latch ??= Latch.makeUnsafe(false)).whenOpen(effect)
  }
}

class WriterImpl implements Socket.Writer {
  declare readonly write: Socket.Writer["write"]
  declare readonly writeAll: Socket.Writer["writeAll"]
  readonly #socket: SocketImpl

  static readonly #properties = ownProperties({
    write: (writer: WriterImpl) => writer.writeOne.bind(writer),
    writeAll: (writer: WriterImpl) => writer.writeSeveral.bind(writer)
  })

  constructor(socket: SocketImpl) {
    Object.defineProperties(this, WriterImpl.#properties)
    this.#socket = socket
  }

  private writeOne(chunk: Uint8Array | string | Socket.CloseEvent): Effect.Effect<void, Socket.SocketError> {
    return Effect.suspend(() => {
      const { session } = this.#socket
      if (session === undefined) return this.#socket.whenOpen(this.writeOne(chunk))
      return Socket.isCloseEvent(chunk) ? session.break(chunk) : session.writeNow(encode(chunk))
    })
  }

  private writeSeveral(chunks: NonEmptyReadonlyArray<Uint8Array | string>): Effect.Effect<void, Socket.SocketError> {
    return Effect.suspend(() => {
      const { session } = this.#socket
      if (session === undefined) return this.#socket.whenOpen(this.writeSeveral(chunks))
      return session.writeNow(chunks.length === 1 ? encode(chunks[0]) : Buffer.concat(chunks.map(encode)))
    })
  }
}

const encoder = new TextEncoder()
const encode = (chunk: Uint8Array | string): Uint8Array => (typeof chunk === "string" ? encoder.encode(chunk) : chunk)

/** Reads the next chunk of a session. */
class Pull extends Turn<Pulled, Socket.SocketError> {
  readonly #session: Session

  constructor(session: Session) {
    super()
    this.#session = session
  }

  get watchedFd(): WatchedFd {
    return this.#session.connection.watchedFd
  }

  get direction(): Direction {
    return this.#session.connection.watchedFd.reading
  }

  get wants(): number {
    return chunkSize
  }

  attempt(): Effect.Effect<Pulled, Socket.SocketError> | undefined {
    return this.#session.takeChunk()
  }

  toFailure(error: PollerError): Effect.Effect<never, Socket.SocketError> {
    return this.#session.failWith(toReadError(error))
  }

  another(): Pull {
    return new Pull(this.#session)
  }
}

/** One connection, from its opening until its reader's scope closes: the reader. */
class Session implements Socket.Reader {
  readonly pull: Effect.Effect<Pulled, Socket.SocketError>
  readonly upgrade = Socket.SocketUpgradeError.unsupported
  readonly #socket: SocketImpl
  readonly #connection: Connection
  /** The error of every further pull. */
  #ended: Socket.SocketError | undefined
  /** The error of every further pull, if the program has closed the connection. */
  #broken: Socket.SocketError | undefined

  constructor(socket: SocketImpl, connection: Connection) {
    this.#socket = socket
    this.#connection = connection
    this.pull = new Pull(this)
  }

  get connection(): Connection {
    return this.#connection
  }

  get isEnded(): boolean {
    return this.#ended !== undefined
  }

  /** Takes what is there. Returns `undefined` if that would block. */
  takeChunk(): Effect.Effect<Pulled, Socket.SocketError> | undefined {
    if (this.#ended !== undefined) return Effect.fail(this.#ended)
    const chunk = this.#connection.channel.takeChunk()
    if (chunk === undefined) return undefined
    if (chunk === null) return this.failWith(closeError(1000))
    return isUint8Array(chunk)
      ? Effect.succeed([chunk])
      : Effect.catch(chunk, (error: PollerError) => this.failWith(toReadError(error)))
  }

  failWith(error: Socket.SocketError): Effect.Effect<never, Socket.SocketError> {
    this.#ended ??= this.#broken ?? error
    return Effect.fail(this.#ended)
  }

  /** Writes at once, without waiting for the fiber to run. */
  writeNow(bytes: Uint8Array): Effect.Effect<void, Socket.SocketError> {
    // An interruption only ends the waiting: a part of a write would spoil the bytes that come
    // after it.
    return this.#connection.channel.writeAllNow(bytes, bytes.length, true, failWrite)
  }

  /** Ends this side once the writes that were begun are done. */
  get shutdown(): Effect.Effect<void> {
    const { watchedFd } = this.#connection
    const shutdown = this.#connection.shutdown("write")
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
      this.#connection.owned.closeUnsafe()
    })
  }

  /** The finalizer of the reader's scope. */
  close(): Effect.Effect<void> {
    return Effect.sync(() => this.#socket.close(this))
  }

  /**
   * Closes the connection with the reader's scope. A fiber that pulls fails. Bytes that were not
   * read are dropped.
   */
  end(error: Socket.SocketError): void {
    this.#ended ??= error
    const connection = this.#connection
    // With bytes left unread, the kernel would reset the connection, and the peer lose the bytes
    // sent last.
    if (connection.fd !== -1) connection.channel.discard()
    connection.owned.closeUnsafe()
  }
}

const toReadError = (error: PollerError): Socket.SocketError =>
  error.reason._tag === "Closed" ? closeError(1006) : readError(error)
