/**
 * TCP on the poller: listeners and connections that are plain non-blocking descriptors.
 *
 * Reach for it for a server or a client in terms of bytes, and where a connection's descriptor itself is needed, for
 * instance to hand it to another thread. For programs that are written against `Socket` and `SocketServer` of
 * `effect/socket`, such as Effect's RPC, there are `PollerSocket` and `PollerSocketServer`.
 *
 * Addresses are those of `effect/net`'s `NetAddress`, or their text: `"127.0.0.1:80"`, `"[::1]:80"`. Port 0 is any that is
 * free. Names are not looked up: for those there is `PollerSocket`, or `lookup` of `node:dns`.
 *
 * On Linux, connections that become ready together are read by one call of io_uring(7), and written to by another. That takes
 * one more descriptor and 2.5 MiB for each thread, from when it is first of use. `UV_USE_IO_URING=0` turns it off; where the
 * system forbids it, each call is made by itself.
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
import type * as NetAddress from "effect/net/NetAddress"
import type * as Scope from "effect/Scope"
import type * as Sink from "effect/Sink"
import type * as Stream from "effect/Stream"
import * as internal from "../internal/net/tcp.ts"
import type { PollerError } from "../PollerError.ts"
import type { Registrar } from "../Registrar.ts"

/**
 * When an idle connection is probed: tcp(7). What is not given is the system's.
 *
 * @category options
 * @since 0.1.0
 */
export interface KeepAlive {
  /** Silence until the first probe: 1 to 32,767 seconds, a fraction is rounded up. */
  readonly idle?: Duration.Input | undefined
  /** Time between two probes: 1 to 32,767 seconds, a fraction is rounded up. */
  readonly interval?: Duration.Input | undefined
  /** Probes without an answer until the connection has failed: 1 to 32,767. */
  readonly count?: number | undefined
}

/**
 * What a connection can be told at any time. What is not given is left as it is.
 *
 * @category options
 * @since 0.1.0
 */
export interface TcpOptions {
  /** Sends at once, rather than wait until a packet is full (`TCP_NODELAY`). True unless given. */
  readonly noDelay?: boolean | undefined
  /** Probes a connection that is idle (`SO_KEEPALIVE`). False unless given. */
  readonly keepAlive?: boolean | KeepAlive | undefined
  /** Bytes (`SO_SNDBUF`). Linux doubles it, and has a limit of its own. */
  readonly sendBufferSize?: number | undefined
  /** Bytes (`SO_RCVBUF`). Linux doubles it, and has a limit of its own. */
  readonly receiveBufferSize?: number | undefined
}

/**
 * How to listen; `TcpOptions` are those of the connections that are accepted.
 *
 * @category options
 * @since 0.1.0
 */
export interface ListenOptions extends TcpOptions {
  /** How many connections may wait to be accepted: listen(2). 511 unless given; the system has a limit of its own. */
  readonly backlog?: number | undefined
  /** Takes a port over from connections that have ended (`SO_REUSEADDR`). True unless given. */
  readonly reuseAddress?: boolean | undefined
  /** Lets several listeners share a port, and the kernel deal out the connections (`SO_REUSEPORT`). */
  readonly reusePort?: boolean | undefined
  /** Whether a listener on an IPv6 address refuses IPv4 (`IPV6_V6ONLY`). False unless given. */
  readonly ipv6Only?: boolean | undefined
}

/**
 * How to connect, and the options of the connection.
 *
 * @category options
 * @since 0.1.0
 */
export interface ConnectOptions extends TcpOptions {
  /** The address to connect from. */
  readonly localAddress?: NetAddress.InetAddressInput | undefined
  /** How long it may take. The system's own limit is about two minutes. */
  readonly timeout?: Duration.Input | undefined
}

/**
 * A connection.
 *
 * **Details**
 *
 * Everything fails with `Closed` once it is closed, also for whoever waits by then; with `ConnectionReset` when the peer
 * has broken it off, and writing with `BrokenPipe` once the peer reads nothing more; with `TimedOut` or `Unreachable` when
 * the network has given up. SIGPIPE is never raised.
 *
 * Once the poller has ended, waiting fails with `Closed` or `WorkerFailed`. Whoever is the first to wait may find that the
 * descriptor cannot be watched: `LimitReached`, or `AlreadyRegistered` if you have registered it yourself.
 *
 * **Gotchas**
 *
 * A fiber that is interrupted while it waits has read nothing, so a `read` may be given a timeout. What a call has brought is gone
 * with a fiber that is interrupted between that call and its next step.
 *
 * @category models
 * @since 0.1.0
 */
export interface TcpStream {
  /** Its number, or -1 once it is closed. */
  readonly fd: number
  readonly localAddress: Effect.Effect<NetAddress.InetAddress, PollerError>
  readonly remoteAddress: Effect.Effect<NetAddress.InetAddress, PollerError>

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
   *
   * Up to 4 KiB may wait for what the handlers of other connections write that became ready with this one: 0.25 milliseconds,
   * or as long as one of them keeps the thread. Whoever computes for long had better yield before, or do it on another thread.
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

  /** Changes what is given: setsockopt(2). */
  readonly setOptions: (options: TcpOptions) => Effect.Effect<void, PollerError>

  /** close(2), before the scope does. Fails with `Closed` if it is closed already. */
  readonly close: Effect.Effect<void, PollerError>

  /**
   * Gives the descriptor away without closing it, for instance to another thread, which makes a connection of it with
   * `fromFd`. Fails with `Closed`, and with `InvalidArgument` while there are bytes that came just when whoever waited for
   * them was interrupted: they are there for the next `read`.
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
export interface TcpListener {
  /** Its number, or -1 once it is closed. */
  readonly fd: number
  /** Where it listens, with the port that it got. */
  readonly address: NetAddress.InetAddress
  /** Waits for the next connection: accept4(2). It is closed with the scope. Fails with `Closed` and `WorkerFailed`. */
  readonly accept: Effect.Effect<TcpStream, PollerError, Scope.Scope>
  /**
   * The connections as they come, up to 64 in a chunk. Each is its consumer's to close; those that are still open when the
   * stream ends are closed then.
   */
  readonly incoming: Stream.Stream<TcpStream, PollerError>
  /**
   * Runs a handler for each connection in a fiber of its own, and closes the connection at its end. An error that the
   * handler does not handle is logged. Interrupting `run` interrupts every handler. Once the listener is closed, it waits for the
   * handlers that are at work, and then fails with `Closed`.
   */
  readonly run: <E, R>(
    handler: (connection: TcpStream) => Effect.Effect<unknown, E, R>
  ) => Effect.Effect<never, PollerError, Exclude<R, Scope.Scope>>
  /** close(2), before the scope does. Fails with `Closed` if it is closed already. */
  readonly close: Effect.Effect<void, PollerError>
}

/**
 * Listens at an address until the scope closes: socket(2), bind(2), listen(2).
 *
 * **Details**
 *
 * Fails with `AddressInUse`, `AddressNotAvailable`, `PermissionDenied` (a port below 1024), `LimitReached`, or with
 * `InvalidArgument` if the address or an option is none.
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
  internal.listen(address, options ?? {})

/**
 * Connects to an address: socket(2), connect(2). The connection is closed with the scope.
 *
 * **Details**
 *
 * Fails with `ConnectionRefused`, `Unreachable`, `TimedOut`, `LimitReached`, with `AddressNotAvailable` or `AddressInUse` if
 * it cannot be made from `localAddress`, with `InvalidArgument` if the address or an option is none, and with
 * `UnsupportedPlatform` for times of keep-alive where there are none. Then nothing is left open.
 *
 * **Example** (Nobody listens)
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
  internal.connect(address, options ?? {})

/**
 * Takes over a connected TCP socket that somebody else has opened and gives away. It is closed with the scope.
 *
 * **Details**
 *
 * Give it what `take` answers: the number of an `Fd`, or of a connection, that still has its owner would be closed twice.
 *
 * Its blocking mode is left as it is: none of the calls waits in the kernel, whatever that is. Fails with
 * `InvalidArgument` if the descriptor is no TCP socket, with `BadDescriptor` if it is not open; then it is still its
 * owner's. Whether it is connected is not checked.
 *
 * **Example** (Given to a second owner)
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
