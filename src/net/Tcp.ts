/**
 * TCP on the poller: listeners and connections that are plain non-blocking descriptors.
 *
 * Reach for it for a server or a client in terms of bytes, and where you need the descriptor of a
 * connection, for instance to hand it to another thread. Programs that are written against `Socket`
 * and `SocketServer` of `effect/socket`, such as Effect's RPC, use `PollerSocket` and
 * `PollerSocketServer`.
 *
 * An address is a `NetAddress` of `effect/net`, or its text: `"127.0.0.1:80"`, `"[::1]:80"`. Port 0
 * stands for any free port. Names are not looked up: `PollerSocket` does that, or `lookup` of
 * `node:dns`.
 *
 * On Linux, one call of io_uring(7) reads all connections that become ready together, and another
 * call writes to them. It takes one more descriptor and 2.5 MiB for each thread, from its first use
 * on. `UV_USE_IO_URING=0` turns it off. Where the system forbids it, as in most containers, Linux
 * AIO, io_submit(2), does the same. It takes a context instead of a descriptor, of which a system
 * has a limited number (`/proc/sys/fs/aio-max-nr`). `EFFECT_AMY_USE_AIO=0` turns that off. Without
 * both, each connection makes its own calls. So it does while no descriptor and no context is left:
 * each thread looks again after a second, then after two more, four more, and so on.
 *
 * **Example** (An echo server, and a client)
 *
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { Poller, Tcp } from "effect-amy"
 *
 * const program = Effect.gen(function* () {
 *   const listener = yield* Tcp.listen("127.0.0.1:0")
 *   yield* Effect.forkScoped(listener.run((connection) => Stream.run(connection.stream, connection.sink)))
 *
 *   const client = yield* Tcp.connect(listener.address)
 *   yield* client.writeAll(new TextEncoder().encode("hello"))
 *   yield* client.shutdown("write")
 *   console.log(yield* Stream.mkString(Stream.decodeText(client.stream)))
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Poller.layerEventLoop()))) // => hello
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
import * as internal from "../internal/net/tcp.ts"
import type { Ready } from "../AsyncFd.ts"
import type { PollerError } from "../PollerError.ts"
import type { Registrar } from "../Registrar.ts"

declare const StreamTypeId: "~effect-amy/TcpStream"
declare const ListenerTypeId: "~effect-amy/TcpListener"

/**
 * When an idle connection is probed: tcp(7). An option that is not given keeps the system's value.
 *
 * @category options
 * @since 0.1.0
 */
export interface KeepAlive {
  /** Silence until the first probe: 1 to 32,767 seconds. A fraction is rounded up. */
  readonly idle?: Duration.Input | undefined
  /** Time between two probes: 1 to 32,767 seconds. A fraction is rounded up. */
  readonly interval?: Duration.Input | undefined
  /** Probes without a response until the connection fails: 1 to 32,767. */
  readonly count?: number | undefined
}

/**
 * The options of a connection: what {@link TcpStream.setOptions} takes.
 *
 * @category options
 * @since 0.2.0
 */
export interface SetOptions {
  /** Sends at once, in place of waiting until a packet is full (`TCP_NODELAY`). */
  readonly noDelay?: boolean | undefined
  /** Probes an idle connection (`SO_KEEPALIVE`). */
  readonly keepAlive?: boolean | KeepAlive | undefined
  /** Bytes (`SO_SNDBUF`). Linux doubles the number, and has a limit of its own. */
  readonly sendBufferSize?: number | undefined
  /** Bytes (`SO_RCVBUF`). Linux doubles the number, and has a limit of its own. */
  readonly receiveBufferSize?: number | undefined
}

/**
 * The options of {@link listen}. The connections that are accepted get the {@link SetOptions};
 * `noDelay` defaults to true.
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
  /** Takes a port over from connections that have ended (`SO_REUSEADDR`). Defaults to true. */
  readonly reuseAddress?: boolean | undefined
  /**
   * Lets several listeners share a port (`SO_REUSEPORT`). Linux and FreeBSD deal new connections out
   * to all of them. On macOS and OpenBSD, one of them gets all.
   */
  readonly reusePort?: boolean | undefined
  /** Whether a listener at an IPv6 address refuses IPv4 (`IPV6_V6ONLY`). Defaults to false. */
  readonly ipv6Only?: boolean | undefined
}

/**
 * The options of {@link connect}, and of the connection. `noDelay` defaults to true.
 *
 * @category options
 * @since 0.1.0
 */
export interface ConnectOptions extends SetOptions {
  /** The address to connect from. */
  readonly localAddress?: NetAddress.InetAddressInput | undefined
  /** The time that connecting may take. The system's own limit is about two minutes. */
  readonly timeout?: Duration.Input | undefined
}

/**
 * A connection.
 *
 * **Details**
 *
 * Reading and writing (`read`, `tryRead`, `readable`, `write`, `tryWrite`, `writeAll`, `writable`,
 * `stream` and `sink`):
 *
 * - Fails with `Closed` once the connection or the poller is closed, also while it waits.
 * - Fails with `ConnectionReset` if the peer has reset the connection.
 * - Fails with `TimedOut` or `Unreachable` if the network has given up.
 * - Fails with `WorkerFailed` if the thread that polls has died.
 * - Fails with `LimitReached` if the kernel cannot watch one more descriptor.
 * - Fails with `AlreadyRegistered` if you have registered the descriptor yourself.
 *
 * The errors name the peer's address where it is known. SIGPIPE is never raised.
 *
 * **Gotchas**
 *
 * A fiber that is interrupted while it waits has read nothing, so a `read` may be given a timeout.
 * The bytes of a read that was made are lost with a fiber that is interrupted before its next step.
 *
 * Leave a buffer as it is while a call waits. If it was transferred or has shrunk by then, the call
 * fails with `InvalidArgument`, and what arrived is there for the next read. Shared and resizable
 * memory is accepted.
 *
 * @category models
 * @since 0.1.0
 */
export interface TcpStream extends Inspectable {
  readonly [StreamTypeId]: typeof StreamTypeId

  /** The descriptor's number, or -1 once the connection is closed. */
  readonly fd: number

  /** The address of this end: getsockname(2). Fails with `Closed`. */
  readonly localAddress: Effect.Effect<NetAddress.InetAddress, PollerError>

  /**
   * The address of the peer: getpeername(2). It is remembered, also after a reset.
   *
   * - Fails with `NotConnected` if another part of the program was still connecting the socket when
   *   {@link fromFd} took it over, and the connection was not made.
   * - Fails with `Closed` if the connection is closed.
   */
  readonly remoteAddress: Effect.Effect<NetAddress.InetAddress, PollerError>

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
   *
   * Up to 4 KiB may wait for the other connections that became ready with this one, so that one
   * call writes for all of them. That takes up to 0.25 milliseconds, or as long as one handler
   * keeps the thread. Before a long computation, yield, or move it to another thread.
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
   * - Fails with `InvalidArgument` if an option is invalid. Then none of them has changed.
   * - Fails with `UnsupportedPlatform` if the system has no such time of keep-alive.
   * - Fails with `Closed` if the connection is closed.
   */
  readonly setOptions: (options: SetOptions) => Effect.Effect<void, PollerError>

  /**
   * Closes the connection before its scope does: close(2). Fails with `Closed` if it is closed
   * already.
   */
  readonly close: Effect.Effect<void, PollerError>

  /**
   * Gives the descriptor away without closing it, for instance to another thread. That thread makes
   * a connection of it with {@link fromFd}.
   *
   * - Fails with `Closed` if the connection is closed.
   * - Fails with `InvalidArgument` if bytes arrived for a fiber that was interrupted just then. The
   *   next `read` returns them.
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
export interface TcpListener extends Inspectable {
  readonly [ListenerTypeId]: typeof ListenerTypeId

  /** The descriptor's number, or -1 once the listener is closed. */
  readonly fd: number

  /** The address that it listens at, with the port that the kernel chose. */
  readonly address: NetAddress.InetAddress

  /** Waits for the next connection: accept4(2). The connection is closed with the scope. */
  readonly accept: Effect.Effect<TcpStream, PollerError, Scope.Scope>

  /**
   * The connections as they arrive, one a pull: those it has not emitted stay in the backlog.
   * The consumer has to close each of them. The end of the stream closes those that are still
   * open.
   */
  readonly incoming: Stream.Stream<TcpStream, PollerError>

  /**
   * Runs a handler for each connection in a fiber of its own, and closes the connection when the
   * handler ends. An error that the handler does not handle is logged.
   *
   * Interrupting `run` interrupts every handler. Once the listener is closed, `run` waits for the
   * handlers that are still at work, and then fails with `Closed`.
   */
  readonly run: <E, R>(
    handler: (connection: TcpStream) => Effect.Effect<unknown, E, R>
  ) => Effect.Effect<never, PollerError, Exclude<R, Scope.Scope>>

  /**
   * Closes the listener before its scope does: close(2). Fails with `Closed` if it is closed
   * already.
   */
  readonly close: Effect.Effect<void, PollerError>
}

/**
 * Returns whether a value is a {@link TcpStream}. An object that only has the same properties is
 * not.
 *
 * @category guards
 * @since 0.2.0
 */
export const isTcpStream: (u: unknown) => u is TcpStream = internal.isTcpStream

/**
 * Returns whether a value is a {@link TcpListener}.
 *
 * @category guards
 * @since 0.2.0
 */
export const isTcpListener: (u: unknown) => u is TcpListener = internal.isTcpListener

/**
 * Listens at an address until the scope closes: socket(2), bind(2), listen(2).
 *
 * **Details**
 *
 * - Fails with `AddressInUse` if another socket listens there.
 * - Fails with `AddressNotAvailable` if this machine does not have the address.
 * - Fails with `PermissionDenied` if the port is below 1024 and this process may not use it.
 * - Fails with `LimitReached` if no descriptor is left.
 * - Fails with `InvalidArgument` if the address or an option is invalid.
 * - Fails with `UnsupportedPlatform` if the system has no such time of keep-alive.
 *
 * **Example** (One connection after the other)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Poller, Tcp } from "effect-amy"
 *
 * const program = Effect.gen(function* () {
 *   const listener = yield* Tcp.listen("127.0.0.1:0")
 *   const inUse = yield* Effect.flip(Tcp.listen(listener.address))
 *   console.log(inUse.reason._tag)
 *
 *   const client = yield* Tcp.connect(listener.address)
 *   const connection = yield* listener.accept
 *   const from = yield* connection.remoteAddress
 *   console.log(from.port === (yield* client.localAddress).port)
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Poller.layerEventLoop())))
 * // => AddressInUse
 * // => true
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const listen: (
  address: NetAddress.InetAddressInput,
  options?: ListenOptions
) => Effect.Effect<TcpListener, PollerError, Registrar | Scope.Scope> = (address, options) =>
  internal.listen(address, options)

/**
 * Connects to an address: socket(2), connect(2). The connection is closed with the scope.
 *
 * **Details**
 *
 * - Fails with `ConnectionRefused` if no process listens there.
 * - Fails with `TimedOut` or `Unreachable` if the peer does not respond.
 * - Fails with `PermissionDenied` if a firewall of this machine forbids it.
 * - Fails with `AddressNotAvailable` or `AddressInUse` if `localAddress` cannot be used.
 * - Fails with `LimitReached` if no descriptor is left.
 * - Fails with `InvalidArgument` if the address or an option is invalid.
 * - Fails with `UnsupportedPlatform` if the system has no such time of keep-alive.
 *
 * Nothing is left open then.
 *
 * **Example** (No process listens there)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Poller, Tcp } from "effect-amy"
 *
 * const program = Effect.gen(function* () {
 *   const listener = yield* Tcp.listen("127.0.0.1:0")
 *   yield* listener.close
 *   const error = yield* Effect.flip(Tcp.connect(listener.address, { timeout: "5 seconds" }))
 *   console.log(error.reason._tag)
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Poller.layerEventLoop()))) // => ConnectionRefused
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const connect: (
  address: NetAddress.InetAddressInput,
  options?: ConnectOptions
) => Effect.Effect<TcpStream, PollerError, Registrar | Scope.Scope> = (address, options) =>
  internal.connect(address, options)

/**
 * Takes over a connected TCP socket that another part of the program has opened, and gives away.
 * The connection is closed with the scope.
 *
 * **Details**
 *
 * - Fails with `InvalidArgument` if the descriptor is not a TCP socket, if it listens, or if it is
 *   not connected. The message names the function to use.
 * - Fails with `BadDescriptor` if the descriptor is not open.
 *
 * The descriptor stays its owner's then, and nothing about it has changed. The blocking mode of the
 * socket stays as it is: no call waits in the kernel in either mode.
 *
 * **Gotchas**
 *
 * Pass the number that `take` returned. A descriptor that still has another owner would be closed
 * twice.
 *
 * **Example** (A second owner)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Poller, Tcp } from "effect-amy"
 *
 * const program = Effect.gen(function* () {
 *   const listener = yield* Tcp.listen("127.0.0.1:0")
 *   const client = yield* Tcp.connect(listener.address)
 *   const number = yield* client.take
 *   const second = yield* Tcp.fromFd(number)
 *   console.log(client.fd, second.fd === number)
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Poller.layerEventLoop()))) // => -1 true
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromFd: (fd: number) => Effect.Effect<TcpStream, PollerError, Registrar | Scope.Scope> = internal.fromFd
