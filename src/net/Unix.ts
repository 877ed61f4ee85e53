/**
 * Unix stream sockets on the poller: between processes of one machine, with descriptors as messages.
 *
 * Reach for it to talk to a local service, to hand open descriptors to another process, or for two connected ends in one
 * program (`socketPair`). An address is a path, or, on Linux, a name that is no path and is gone with its last user.
 *
 * **Example** (A pair)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Poller, Unix } from "effect-amy"
 *
 * const program = Effect.gen(function* () {
 *   const [one, other] = yield* Unix.socketPair
 *   yield* one.writeAll(Uint8Array.of(1, 2, 3))
 *   const buffer = new Uint8Array(8)
 *   console.log(yield* other.read(buffer))
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Poller.layerEventLoop()))) // => 3
 * ```
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as NetAddress from "effect/net/NetAddress"
import type * as Scope from "effect/Scope"
import type * as Sink from "effect/Sink"
import type * as Stream from "effect/Stream"
import type { Fd } from "../Fd.ts"
import * as internal from "../internal/net/unix.ts"
import type { PollerError } from "../PollerError.ts"
import type { FdLike, Registrar } from "../Registrar.ts"

/**
 * A name that is no path: unix(7). Linux only.
 *
 * @category models
 * @since 0.1.0
 */
export interface UnixAbstractAddress {
  readonly _tag: "UnixAbstractAddress"
  readonly name: string
}

/**
 * No address at all: that of a socket which connected without binding, or of a pair.
 *
 * @category models
 * @since 0.1.0
 */
export interface UnixUnnamedAddress {
  readonly _tag: "UnixUnnamedAddress"
}

/**
 * Where one end is.
 *
 * @category models
 * @since 0.1.0
 */
export type UnixAddress = NetAddress.UnixPathAddress | UnixAbstractAddress | UnixUnnamedAddress

/**
 * A path, or a name that is no path.
 *
 * @category models
 * @since 0.1.0
 */
export type UnixAddressInput =
  string | NetAddress.UnixPathAddress | { readonly path: string } | { readonly abstract: string }

/**
 * What is not given is the system's.
 *
 * @category options
 * @since 0.1.0
 */
export interface UnixOptions {
  /** Bytes (`SO_SNDBUF`). Linux doubles it, and has a limit of its own. */
  readonly sendBufferSize?: number | undefined
  /** Bytes (`SO_RCVBUF`). */
  readonly receiveBufferSize?: number | undefined
}

/**
 * How to listen; `UnixOptions` are those of the connections that are accepted.
 *
 * @category options
 * @since 0.1.0
 */
export interface ListenOptions extends UnixOptions {
  /** How many connections may wait to be accepted: listen(2). 511 unless given; the system has a limit of its own. */
  readonly backlog?: number | undefined
}

/**
 * How to connect, and the options of the connection.
 *
 * @category options
 * @since 0.1.0
 */
export interface ConnectOptions extends UnixOptions {
  /** How long it may take. Unless given it waits for as long as the backlog is full. */
  readonly timeout?: Duration.Input | undefined
}

/**
 * What `receiveDescriptors` has received.
 *
 * @category models
 * @since 0.1.0
 */
export interface Received {
  /** Bytes that were read; 0 at the end. */
  readonly length: number
  /** They are close-on-exec, and closed with the scope. To make a connection of one: `Tcp.fromFd(yield* descriptor.take)`. */
  readonly descriptors: ReadonlyArray<Fd>
}

/**
 * A connection.
 *
 * **Details**
 *
 * Everything fails with `Closed` once it is closed, also for whoever waits by then; with `ConnectionReset` when the peer
 * has broken it off, and writing with `BrokenPipe` once the peer reads nothing more. SIGPIPE is never raised.
 *
 * Once the poller has ended, waiting fails with `Closed` or `WorkerFailed`. Whoever is the first to wait may find that the
 * descriptor cannot be watched: `LimitReached`, or `AlreadyRegistered` if you have registered it yourself.
 *
 * **Gotchas**
 *
 * A fiber that is interrupted while it waits has read nothing, so a `read` may be given a timeout.
 *
 * @category models
 * @since 0.1.0
 */
export interface UnixStream {
  /** Its number, or -1 once it is closed. */
  readonly fd: number
  readonly localAddress: Effect.Effect<UnixAddress, PollerError>
  readonly remoteAddress: Effect.Effect<UnixAddress, PollerError>

  /**
   * Waits for something to read, and reads it into the buffer: recv(2). Answers how many bytes, 0 at the end.
   *
   * Fails with `InvalidArgument` if the offset or the length are outside the buffer, or if there is no room for a byte.
   */
  readonly read: (buffer: Uint8Array, offset?: number, length?: number) => Effect.Effect<number, PollerError>

  /** Waits for room to write, and writes what fits: send(2). Answers how many bytes. */
  readonly write: (buffer: Uint8Array, offset?: number, length?: number) => Effect.Effect<number, PollerError>

  /**
   * Writes all of it. What other fibers write meanwhile comes before or after it, never in between. The buffer is not to
   * be changed until it returns. Interrupted, it may have written a part.
   */
  readonly writeAll: (buffer: Uint8Array, offset?: number, length?: number) => Effect.Effect<void, PollerError>

  /**
   * Everything that comes, until the peer shuts down its writing side. Nothing is read before it is pulled. Small chunks
   * share memory, as Node's own buffers do: to transfer one to another thread, transfer a copy, `chunk.slice()`.
   */
  readonly stream: Stream.Stream<Uint8Array, PollerError>

  /** Writes every chunk. It does not shut anything down at the end. */
  readonly sink: Sink.Sink<void, Uint8Array, never, PollerError>

  /** Says that nothing more is written, or read: shutdown(2). The other direction goes on. */
  readonly shutdown: (how: "read" | "write" | "both") => Effect.Effect<void, PollerError>

  /**
   * Sends bytes, and descriptors with the first of them: sendmsg(2) with `SCM_RIGHTS`. They stay open here, too; up to 253
   * at a time. At least one byte is to be sent.
   *
   * Fails with `InvalidArgument` if there are none or too many of either, with `BadDescriptor` if one of the descriptors is
   * closed, also while this waits for room.
   */
  readonly sendDescriptors: (fds: ReadonlyArray<FdLike>, bytes: Uint8Array) => Effect.Effect<void, PollerError>

  /**
   * Waits for something to read, and reads it with the descriptors that come with it: recvmsg(2). A `read` in its place
   * would have the kernel close them. Fails with `LimitReached` if there were more than `most`, 1 to 253; then all are
   * closed, and the bytes are gone. Fails with `InvalidArgument` if `most` or the buffer is none.
   */
  readonly receiveDescriptors: (buffer: Uint8Array, most: number) => Effect.Effect<Received, PollerError, Scope.Scope>

  /** close(2), before the scope does. Fails with `Closed` if it is closed already. */
  readonly close: Effect.Effect<void, PollerError>

  /**
   * Gives the descriptor away without closing it, for instance to another thread, which makes a connection of it with
   * `fromFd`. Fails with `Closed`.
   */
  readonly take: Effect.Effect<number, PollerError>
}

/**
 * A listening socket.
 *
 * **Details**
 *
 * A connection that was broken off before it was accepted is passed over. When the process has no descriptor left, the
 * connection stays in the backlog, a warning is logged, and accepting is tried again after 5 milliseconds, and then after
 * twice as long each time, up to a second.
 *
 * @category models
 * @since 0.1.0
 */
export interface UnixListener {
  /** Its number, or -1 once it is closed. */
  readonly fd: number
  /** Where it listens. */
  readonly address: UnixAddress
  /** Waits for the next connection: accept4(2). It is closed with the scope. Fails with `Closed` and `WorkerFailed`. */
  readonly accept: Effect.Effect<UnixStream, PollerError, Scope.Scope>
  /**
   * The connections as they come, up to 64 in a chunk. Each is its consumer's to close; those that are still open when the
   * stream ends are closed then.
   */
  readonly incoming: Stream.Stream<UnixStream, PollerError>
  /**
   * Runs a handler for each connection in a fiber of its own, and closes the connection at its end. An error that the
   * handler does not handle is logged. Interrupting `run` interrupts every handler. Once the listener is closed, it waits for the
   * handlers that are at work, and then fails with `Closed`.
   */
  readonly run: <E, R>(
    handler: (connection: UnixStream) => Effect.Effect<unknown, E, R>
  ) => Effect.Effect<never, PollerError, Exclude<R, Scope.Scope>>
  /** close(2), before the scope does. Fails with `Closed` if it is closed already. */
  readonly close: Effect.Effect<void, PollerError>
}

/**
 * Listens at an address until the scope closes: socket(2), bind(2), listen(2). A path is removed when the listener is closed.
 *
 * **Details**
 *
 * Fails with `AddressInUse` if there is something at the path, even if nobody listens there any more (remove it first),
 * with `NotFound` if its directory does not exist, with `PermissionDenied`, with `InvalidArgument` if the path is
 * longer than a socket address can be (107 bytes on Linux, 103 elsewhere), and with `UnsupportedPlatform` for a name that is
 * no path where there are none.
 *
 * **Example**
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Poller, Unix } from "effect-amy"
 * import { existsSync } from "node:fs"
 * import { tmpdir } from "node:os"
 * import { join } from "node:path"
 *
 * const path = join(tmpdir(), `example-${process.pid}.sock`)
 *
 * const program = Effect.gen(function* () {
 *   const listener = yield* Unix.listen(path)
 *   yield* Unix.connect(path)
 *   yield* listener.accept
 *   console.log(existsSync(path))
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Poller.layerEventLoop()))) // => true
 * console.log(existsSync(path)) // => false
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const listen: (
  address: UnixAddressInput,
  options?: ListenOptions
) => Effect.Effect<UnixListener, PollerError, Registrar | Scope.Scope> = (address, options) =>
  internal.listen(address, options ?? {})

/**
 * Connects to an address. The connection is closed with the scope.
 *
 * **Details**
 *
 * While the backlog of the listener is full it is tried again, each time after a little longer, up to 100 milliseconds.
 * Fails with `ConnectionRefused` if nobody listens there any more, with `NotFound` if there is no such path, with
 * `PermissionDenied`, `TimedOut` or `InvalidArgument`. Then nothing is left open.
 *
 * **Example** (There is no such path)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Poller, Unix } from "effect-amy"
 *
 * const program = Effect.gen(function* () {
 *   const error = yield* Effect.flip(Unix.connect("/nonexistent/socket"))
 *   console.log(error.reason._tag)
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Poller.layerEventLoop()))) // => NotFound
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const connect: (
  address: UnixAddressInput,
  options?: ConnectOptions
) => Effect.Effect<UnixStream, PollerError, Registrar | Scope.Scope> = (address, options) =>
  internal.connect(address, options ?? {})

/**
 * Two connected ends: socketpair(2). Both are closed with the scope. Fails with `LimitReached` if no descriptor is left.
 *
 * **Example** (A descriptor as a message)
 *
 * ```ts
 * import { Effect, Option } from "effect"
 * import { Fd, Poller, Unix } from "effect-amy"
 *
 * const program = Effect.gen(function* () {
 *   const [one, other] = yield* Unix.socketPair
 *   const { reader, writer } = yield* Fd.pipe
 *   yield* one.sendDescriptors([writer], Uint8Array.of(0))
 *
 *   const { descriptors } = yield* other.receiveDescriptors(new Uint8Array(1), 1)
 *   yield* descriptors[0]!.write(new TextEncoder().encode("hello"))
 *
 *   const buffer = new Uint8Array(16)
 *   const length = Option.getOrThrow(yield* reader.read(buffer))
 *   console.log(new TextDecoder().decode(buffer.subarray(0, length)))
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Poller.layerEventLoop()))) // => hello
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const socketPair: Effect.Effect<readonly [UnixStream, UnixStream], PollerError, Registrar | Scope.Scope> =
  internal.socketPair

/**
 * Takes over a connected Unix stream socket that somebody else has opened and gives away. It is closed with the scope.
 *
 * **Details**
 *
 * Give it what `take` answers: the number of an `Fd`, or of a connection, that still has its owner would be closed twice.
 *
 * Fails with `InvalidArgument` if the descriptor is none, with `BadDescriptor` if it is not open; then it is still its
 * owner's. Whether it is connected is not checked.
 *
 * **Example**
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Fd, Poller, Unix } from "effect-amy"
 *
 * const program = Effect.gen(function* () {
 *   const { reader } = yield* Fd.pipe
 *   const error = yield* Effect.flip(Unix.fromFd(reader.fd))
 *   console.log(error.reason._tag)
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Poller.layerEventLoop()))) // => InvalidArgument
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromFd: (fd: number) => Effect.Effect<UnixStream, PollerError, Registrar | Scope.Scope> = internal.fromFd
