/**
 * Unix stream sockets on the poller: connections between processes of one machine, which carry open
 * descriptors as well as bytes.
 *
 * Reach for it to talk to a local service, to hand open descriptors to another process, or for two
 * connected ends in one program ({@link socketPair}). An address is a path. On Linux it may also be
 * an abstract name, which is no path and ends with its last user.
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
import type { Inspectable } from "effect/Inspectable"
import type * as NetAddress from "effect/net/NetAddress"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type * as Sink from "effect/Sink"
import type * as Stream from "effect/Stream"
import type { Fd } from "../Fd.ts"
import * as internal from "../internal/net/unix.ts"
import type { Ready } from "../AsyncFd.ts"
import type { PollerError } from "../PollerError.ts"
import type { FdLike, Registrar } from "../Registrar.ts"

declare const StreamTypeId: "~effect-amy/UnixStream"
declare const ListenerTypeId: "~effect-amy/UnixListener"

/**
 * An abstract name, which is no path: unix(7). Linux only.
 *
 * @category models
 * @since 0.1.0
 */
export interface UnixAbstractAddress {
  readonly _tag: "UnixAbstractAddress"
  readonly name: string
}

/**
 * The address of a socket that has none: each end of a pair, and a client that has not bound one.
 *
 * @category models
 * @since 0.1.0
 */
export interface UnixUnnamedAddress {
  readonly _tag: "UnixUnnamedAddress"
}

/**
 * The address of one end of a connection.
 *
 * @category models
 * @since 0.1.0
 */
export type UnixAddress = NetAddress.UnixPathAddress | UnixAbstractAddress | UnixUnnamedAddress

/**
 * Where to listen, or to connect to: a path, an abstract name, or an address that a socket has
 * reported.
 *
 * **Details**
 *
 * A path that begins with a zero byte is an abstract name, as it is for `node:net`:
 * `"\0name"` and `{ abstract: "name" }` are the same. A relative path counts from the working
 * directory at the time of the call.
 *
 * An unnamed address has the type, too, since a socket may report one. Listening there, and
 * connecting to it, fails with `InvalidArgument`.
 *
 * @category models
 * @since 0.1.0
 */
export type UnixAddressInput = string | UnixAddress | { readonly path: string } | { readonly abstract: string }

/**
 * The options of a connection: what {@link UnixStream.setOptions} takes. An option that is not
 * given keeps its value.
 *
 * @category options
 * @since 0.2.0
 */
export interface SetOptions {
  /** Bytes (`SO_SNDBUF`). Linux doubles the number, and has a limit of its own. */
  readonly sendBufferSize?: number | undefined
  /** Bytes (`SO_RCVBUF`). */
  readonly receiveBufferSize?: number | undefined
}

/**
 * The options of {@link listen}. The connections that are accepted get the {@link SetOptions}.
 *
 * @category options
 * @since 0.1.0
 */
export interface ListenOptions extends SetOptions {
  /**
   * Connections that may wait to be accepted: listen(2). Defaults to 511. The system has a limit of
   * its own.
   */
  readonly backlog?: number | undefined
}

/**
 * The options of {@link connect}, and of the connection.
 *
 * @category options
 * @since 0.1.0
 */
export interface ConnectOptions extends SetOptions {
  /** The time that connecting may take. By default it waits for as long as the backlog is full. */
  readonly timeout?: Duration.Input | undefined
}

/**
 * What {@link UnixStream.receiveDescriptors} has received.
 *
 * @category models
 * @since 0.1.0
 */
export interface Received {
  /** The number of bytes that were read; 0 at the end. */
  readonly length: number
  /**
   * The descriptors. They are close-on-exec, and closed with the scope. To make a connection of
   * one: `Tcp.fromFd(yield* descriptor.take)`.
   */
  readonly descriptors: ReadonlyArray<Fd>
}

/**
 * A connection.
 *
 * **Details**
 *
 * Reading and writing (`read`, `tryRead`, `readable`, `write`, `tryWrite`, `writeAll`, `writable`,
 * `stream`, `sink`, `sendDescriptors` and `receiveDescriptors`):
 *
 * - Fails with `Closed` once the connection or the poller is closed, also while it waits.
 * - Fails with `ConnectionReset` if the peer has reset the connection.
 * - Fails with `WorkerFailed` if the thread that polls has died.
 * - Fails with `LimitReached` if the kernel cannot watch one more descriptor.
 * - Fails with `AlreadyRegistered` if you have registered the descriptor yourself.
 *
 * The errors name the peer's address where it has one. SIGPIPE is never raised.
 *
 * **Gotchas**
 *
 * A fiber that is interrupted while it waits has read nothing, so a `read` may be given a timeout.
 *
 * Leave a buffer as it is while a call waits. If it was transferred or has shrunk by then, the call
 * fails with `InvalidArgument`, and what arrived is there for the next read. Shared and resizable
 * memory is accepted.
 *
 * @category models
 * @since 0.1.0
 */
export interface UnixStream extends Inspectable {
  readonly [StreamTypeId]: typeof StreamTypeId

  /** The descriptor's number, or -1 once the connection is closed. */
  readonly fd: number

  /** The address of this end: getsockname(2). Fails with `Closed`. */
  readonly localAddress: Effect.Effect<UnixAddress, PollerError>

  /**
   * The address of the peer: getpeername(2). It is remembered.
   *
   * - Fails with `NotConnected` if another part of the program was still connecting the socket when
   *   {@link fromFd} took it over, and the connection was not made.
   * - Fails with `Closed` if the connection is closed.
   */
  readonly remoteAddress: Effect.Effect<UnixAddress, PollerError>

  /**
   * Waits for bytes, and reads them into the buffer: recv(2). Returns their number, 0 at the end.
   *
   * - Fails with `InvalidArgument` if the offset or the length is outside the buffer.
   * - Fails with `InvalidArgument` if the buffer has no room for a byte.
   */
  readonly read: (buffer: Uint8Array, offset?: number, length?: number) => Effect.Effect<number, PollerError>

  /**
   * Returns once there is something to read, an end or an error. For a C library that is given the
   * number and reads by itself, such as one of TLS, and then says that it would block: `Ready.clear`
   * forgets the readiness then, as that of `AsyncFd.readable`.
   *
   * @since 0.2.0
   */
  readonly readable: Effect.Effect<Ready, PollerError>

  /**
   * Returns once there is room to write, or an error, for a C library that writes by itself.
   *
   * @since 0.2.0
   */
  readonly writable: Effect.Effect<Ready, PollerError>

  /**
   * Reads without waiting. Returns the number of bytes, 0 at the end, and none if no byte has been
   * reported, or if another fiber waits to read.
   *
   * - Fails with `InvalidArgument` if the offset or the length is outside the buffer.
   * - Fails with `InvalidArgument` if the buffer has no room for a byte.
   *
   * @since 0.2.0
   */
  readonly tryRead: (
    buffer: Uint8Array,
    offset?: number,
    length?: number
  ) => Effect.Effect<Option.Option<number>, PollerError>

  /**
   * Waits for room, and writes as many bytes as fit: send(2). Returns their number.
   *
   * - Fails with `BrokenPipe` if the peer reads nothing more, or this end was shut down.
   * - Fails with `InvalidArgument` if the offset or the length is outside the buffer.
   */
  readonly write: (buffer: Uint8Array, offset?: number, length?: number) => Effect.Effect<number, PollerError>

  /**
   * Writes without waiting. Returns the number of bytes, and none if no room has been reported, or
   * if another fiber waits to write.
   *
   * - Fails with `BrokenPipe` if the peer reads nothing more, or this end was shut down.
   * - Fails with `InvalidArgument` if the offset or the length is outside the buffer.
   *
   * @since 0.2.0
   */
  readonly tryWrite: (
    buffer: Uint8Array,
    offset?: number,
    length?: number
  ) => Effect.Effect<Option.Option<number>, PollerError>

  /**
   * Writes all bytes. The bytes of other fibers come before them or after them, never in between.
   *
   * - Fails with `BrokenPipe` if the peer reads nothing more, or this end was shut down.
   * - Fails with `InvalidArgument` if the offset or the length is outside the buffer.
   *
   * Do not change the buffer until it returns. If it is interrupted, it may have written a part.
   */
  readonly writeAll: (buffer: Uint8Array, offset?: number, length?: number) => Effect.Effect<void, PollerError>

  /**
   * All bytes that arrive, until the peer shuts down its writing side. It reads only what is
   * pulled.
   *
   * Small chunks share memory, as the buffers of Node do. The memory of a larger one may go beyond
   * its end, and is not cleared there: it may hold bytes of other connections. To clone or transfer
   * a chunk to another thread, pass a copy, which has no other bytes: `chunk.slice()`.
   */
  readonly stream: Stream.Stream<Uint8Array, PollerError>

  /**
   * Writes every chunk. It does not shut anything down at the end.
   *
   * - Fails with `BrokenPipe` if the peer reads nothing more, or this end was shut down.
   */
  readonly sink: Sink.Sink<void, Uint8Array, never, PollerError>

  /**
   * Ends writing, reading, or both: shutdown(2). The other direction goes on. It succeeds where the
   * connection is gone already, as after a reset.
   *
   * - Fails with `InvalidArgument` if the direction is invalid.
   * - Fails with `Closed` if the connection is closed.
   */
  readonly shutdown: (how: "read" | "write" | "both") => Effect.Effect<void, PollerError>

  /**
   * Changes the options that are given: setsockopt(2).
   *
   * - Fails with `InvalidArgument` if an option is invalid.
   * - Fails with `Closed` if the connection is closed.
   *
   * @since 0.2.0
   */
  readonly setOptions: (options: SetOptions) => Effect.Effect<void, PollerError>

  /**
   * Sends bytes, and descriptors with the first of them: sendmsg(2) with `SCM_RIGHTS`. The
   * descriptors stay open on this side, too.
   *
   * - Fails with `InvalidArgument` unless there are 1 to 253 descriptors, and at least one byte.
   * - Fails with `BadDescriptor` if one of the descriptors is closed, also while this waits for
   *   room.
   * - Fails with `BrokenPipe` if the peer reads nothing more, or this end was shut down.
   * - Fails with `SystemError` (ETOOMANYREFS) if too many descriptors are on their way.
   */
  readonly sendDescriptors: (fds: ReadonlyArray<FdLike>, bytes: Uint8Array) => Effect.Effect<void, PollerError>

  /**
   * Waits for bytes, and reads them with the descriptors that came with them: recvmsg(2). At most
   * `most` descriptors are accepted, 1 to 253.
   *
   * - Fails with `LimitReached` if there were more than `most`. All of them are closed then, and
   *   the bytes are lost.
   * - Fails with `InvalidArgument` if `most` is invalid, or the buffer has no room for a byte.
   *
   * A `read` in its place would have the kernel close the descriptors.
   */
  readonly receiveDescriptors: (buffer: Uint8Array, most: number) => Effect.Effect<Received, PollerError, Scope.Scope>

  /**
   * Closes the connection before its scope does: close(2). Fails with `Closed` if it is closed
   * already.
   */
  readonly close: Effect.Effect<void, PollerError>

  /**
   * Gives the descriptor away without closing it, for instance to another thread. That thread makes
   * a connection of it with {@link fromFd}. Fails with `Closed`.
   */
  readonly take: Effect.Effect<number, PollerError>
}

/**
 * A listening socket.
 *
 * **Details**
 *
 * A connection that is broken before it is accepted is skipped. While the process has no descriptor
 * left, or a rule of a firewall or a sandbox forbids to accept, connections stay in the backlog. The
 * listener logs a warning, and tries again after 5 milliseconds, then after twice as long each time,
 * up to a second.
 *
 * Accepting (`accept`, `incoming` and `run`):
 *
 * - Fails with `Closed` once the listener or the poller is closed.
 * - Fails with `WorkerFailed` if the thread that polls has died.
 * - Fails with `LimitReached` if the kernel cannot watch one more descriptor.
 * - Fails with `AlreadyRegistered` if you have registered the descriptor yourself.
 *
 * @category models
 * @since 0.1.0
 */
export interface UnixListener extends Inspectable {
  readonly [ListenerTypeId]: typeof ListenerTypeId

  /** The descriptor's number, or -1 once the listener is closed. */
  readonly fd: number

  /** The address that it listens at. {@link connect} accepts it as it is. */
  readonly address: UnixAddress

  /** Waits for the next connection: accept4(2). The connection is closed with the scope. */
  readonly accept: Effect.Effect<UnixStream, PollerError, Scope.Scope>

  /**
   * The connections as they arrive, one a pull: those it has not emitted stay in the backlog.
   * The consumer has to close each of them. The end of the stream closes those that are still
   * open.
   */
  readonly incoming: Stream.Stream<UnixStream, PollerError>

  /**
   * Runs a handler for each connection in a fiber of its own, and closes the connection when the
   * handler ends. An error that the handler does not handle is logged.
   *
   * Interrupting `run` interrupts every handler. Once the listener is closed, `run` waits for the
   * handlers that are still at work, and then fails with `Closed`.
   */
  readonly run: <E, R>(
    handler: (connection: UnixStream) => Effect.Effect<unknown, E, R>
  ) => Effect.Effect<never, PollerError, Exclude<R, Scope.Scope>>

  /**
   * Closes the listener before its scope does: close(2). Fails with `Closed` if it is closed
   * already.
   */
  readonly close: Effect.Effect<void, PollerError>
}

/**
 * Returns whether a value is a {@link UnixStream}. An object that only has the same properties is
 * not.
 *
 * @category guards
 * @since 0.2.0
 */
export const isUnixStream: (u: unknown) => u is UnixStream = internal.isUnixStream

/**
 * Returns whether a value is a {@link UnixListener}.
 *
 * @category guards
 * @since 0.2.0
 */
export const isUnixListener: (u: unknown) => u is UnixListener = internal.isUnixListener

/**
 * Listens at an address until the scope closes: socket(2), bind(2), listen(2). Closing the listener
 * removes its path.
 *
 * **Details**
 *
 * - Fails with `AddressInUse` if something exists at the path, even if no process listens there any
 *   more. Remove it first.
 * - Fails with `NotFound` if the directory of the path does not exist.
 * - Fails with `PermissionDenied` if this process may not create the path.
 * - Fails with `InvalidArgument` if the path or the name is longer than a socket address can be (107
 *   bytes on Linux, 103 elsewhere), if the address is unnamed, or an option is invalid.
 * - Fails with `LimitReached` if no descriptor is left.
 * - Fails with `UnsupportedPlatform` if the address is an abstract name and the system has none.
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
 * **Example** (An abstract name)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Poller, Unix } from "effect-amy"
 *
 * const program = Effect.gen(function* () {
 *   const listener = yield* Unix.listen({ abstract: `example-${process.pid}` })
 *   const client = yield* Unix.connect(listener.address)
 *   const { _tag } = yield* client.remoteAddress
 *   console.log(_tag)
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Poller.layerEventLoop()))) // => UnixAbstractAddress
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const listen: (
  address: UnixAddressInput,
  options?: ListenOptions
) => Effect.Effect<UnixListener, PollerError, Registrar | Scope.Scope> = (address, options) =>
  internal.listen(address, options)

/**
 * Connects to an address. The connection is closed with the scope.
 *
 * **Details**
 *
 * - Fails with `NotFound` if nothing exists at the path.
 * - Fails with `ConnectionRefused` if no process listens there any more.
 * - Fails with `PermissionDenied` if this process may not connect to the path.
 * - Fails with `TimedOut` if the timeout is over.
 * - Fails with `InvalidArgument` if the address or an option is invalid, or another kind of socket
 *   listens there.
 * - Fails with `LimitReached` if no descriptor is left.
 * - Fails with `UnsupportedPlatform` if the address is an abstract name and the system has none.
 *
 * Nothing is left open then. While the backlog of the listener is full, it tries again: each time
 * after a little longer, up to 100 milliseconds.
 *
 * **Example** (Nothing exists at the path)
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
  internal.connect(address, options)

/**
 * Opens two connected ends: socketpair(2). Both are closed with the scope. Fails with
 * `LimitReached` if no descriptor is left.
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
 *   yield* descriptors[0]!.tryWrite(new TextEncoder().encode("hello"))
 *
 *   const buffer = new Uint8Array(16)
 *   const length = Option.getOrThrow(yield* reader.tryRead(buffer))
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
 * Takes over a connected Unix stream socket that another part of the program has opened, and gives
 * away. The connection is closed with the scope.
 *
 * **Details**
 *
 * - Fails with `InvalidArgument` if the descriptor is not a Unix stream socket, if it listens, or if
 *   it is not connected. The message names the function to use.
 * - Fails with `BadDescriptor` if the descriptor is not open.
 *
 * The descriptor stays its owner's then, and nothing about it has changed.
 *
 * **Gotchas**
 *
 * Pass the number that `take` returned. A descriptor that still has another owner would be closed
 * twice.
 *
 * **Example** (Not a socket)
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
