/**
 * Connections of the poller as `Socket` of `effect/socket`. Programs that are written against that
 * service, such as Effect's RPC, run on this poller unchanged.
 *
 * It behaves as `NodeSocket` of `@effect/platform-node` does. Acquiring the reader connects, the
 * reader's scope owns the connection, and the writer waits for the connection of the moment. As in
 * `Tcp`, one call reads all connections that become ready together, and another writes to them.
 *
 * TLS is not offered: `upgrade` fails with `SocketUpgradeError`. When the peer has ended its side,
 * this side stays open until the reader's scope closes; that of `NodeSocket` ends by itself.
 *
 * **Example** (An echo server, and a client)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Poller, PollerSocket, PollerSocketServer } from "effect-amy"
 *
 * const program = Effect.gen(function* () {
 *   const server = yield* PollerSocketServer.make({ host: "127.0.0.1", port: 0 })
 *   yield* server
 *     .run((socket) =>
 *       Effect.gen(function* () {
 *         const { pull } = yield* socket.reader
 *         const { writeAll } = yield* socket.writer
 *         yield* Effect.forever(Effect.flatMap(pull, writeAll))
 *       }).pipe(Effect.scoped, Effect.ignore)
 *     )
 *     .pipe(Effect.forkScoped)
 *
 *   const socket = yield* PollerSocket.make({ address: server.address })
 *   const { pull } = yield* socket.reader
 *   const { write } = yield* socket.writer
 *   yield* write("hello")
 *   const [chunk] = yield* pull
 *   console.log(Buffer.from(chunk).toString())
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Poller.layerEventLoop()))) // => hello
 * ```
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as NetAddress from "effect/net/NetAddress"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as internal from "../internal/effectSocket/connect.ts"
import type { PollerError } from "../PollerError.ts"
import type { Registrar } from "../Registrar.ts"
import type { KeepAlive, TcpStream } from "./Tcp.ts"
import type { UnixAddress, UnixAddressInput, UnixStream } from "./Unix.ts"

/**
 * Where to connect to, or to listen: an address, a host and a port, or the path of a Unix socket.
 *
 * **Details**
 *
 * On Linux, a path that begins with a zero byte is an abstract name, as it is for `node:net`. An
 * `address` may be any that a socket, a listener or a server has reported; `{ abstract: "name" }`
 * is one, too.
 *
 * @category options
 * @since 0.1.0
 */
export type Target =
  | {
      readonly address: NetAddress.SocketAddress.Input | Exclude<UnixAddressInput, string>
      readonly host?: never
      readonly port?: never
      readonly path?: never
    }
  | { readonly host?: string | undefined; readonly port: number; readonly address?: never; readonly path?: never }
  | { readonly path: string; readonly address?: never; readonly host?: never; readonly port?: never }

/**
 * The options of {@link make} and {@link layer}: where to connect to, and how.
 *
 * **Details**
 *
 * The host defaults to `"localhost"`. It is looked up for each connection: by the `AddressResolver` of
 * `effect/net` in the context, or else by the system.
 *
 * Of several addresses, the first that accepts is used, as RFC 8305 has it ("happy eyeballs"). The
 * families take turns. An attempt begins when one before it fails, or after 250 milliseconds, and
 * those under way go on. Once one is connected, the others are closed.
 *
 * A Unix socket ignores the options of TCP, as `NodeSocket` does.
 *
 * @category options
 * @since 0.2.0
 */
export type MakeOptions = Target &
  FromStreamOptions & {
    /** Of TCP: see `Tcp.SetOptions`. Defaults to true. */
    readonly noDelay?: boolean | undefined
    /** Of TCP: see `Tcp.SetOptions`. */
    readonly keepAlive?: boolean | KeepAlive | undefined
  }

/**
 * The options of {@link fromStream}.
 *
 * @category options
 * @since 0.2.0
 */
export interface FromStreamOptions {
  /**
   * The time that opening may take: the lookup, and the attempts at every address. After that,
   * acquiring the reader fails with a `SocketOpenError` of kind `"Timeout"`. Its `cause` is an
   * `AggregateError` if attempts have failed before.
   */
  readonly openTimeout?: Duration.Input | undefined
}

/**
 * The address of one end of a connection.
 *
 * @category models
 * @since 0.2.0
 */
export type Address = NetAddress.InetAddress | UnixAddress

/**
 * The connection behind a `Socket`: its addresses, and its options. `PollerSocketServer` provides each
 * handler with its own, as `NodeSocketServer` does with `NetSocket`.
 *
 * **When to use**
 *
 * Use it for an access log, to refuse a peer by its address before anything is read, or to set an
 * option of one connection.
 *
 * **Details**
 *
 * The socket stays the handler's: read and write with the `Socket` that the handler is given.
 * Closing the connection, or taking its descriptor, ends that `Socket`.
 *
 * Behind the layer of a server, a handler finds it with `Effect.serviceOption`, because the type of
 * `SocketServer` does not say that it is provided. With `PollerSocketServer.make` it does.
 *
 * **Example** (An access log)
 *
 * ```ts
 * import { Console, Effect } from "effect"
 * import { Poller, PollerSocket, PollerSocketServer, Tcp } from "effect-amy"
 *
 * const program = Effect.gen(function* () {
 *   const server = yield* PollerSocketServer.make({ host: "127.0.0.1", port: 0 })
 *   const running = server.run((socket) =>
 *     Effect.gen(function* () {
 *       const { remoteAddress, socket: stream } = yield* PollerSocket.Connection
 *       const from = yield* remoteAddress
 *       yield* Console.log(from._tag)
 *       if (Tcp.isTcpStream(stream)) yield* stream.setOptions({ keepAlive: true })
 *       yield* Effect.scoped(Effect.flatMap(socket.reader, ({ pull }) => pull))
 *     })
 *   )
 *   yield* Effect.forkScoped(running)
 *
 *   const client = yield* PollerSocket.make({ address: server.address })
 *   const { pull } = yield* client.reader
 *   yield* (yield* client.writer).write("hello")
 *   yield* Effect.ignore(pull)
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Poller.layerEventLoop()))) // => InetAddressV4
 * ```
 *
 * @category services
 * @since 0.2.0
 */
export class Connection extends Context.Service<
  Connection,
  {
    /** The address of this end. Fails with `Closed`. */
    readonly localAddress: Effect.Effect<Address, PollerError>

    /**
     * The address of the peer, also after a reset. That of a Unix socket is mostly unnamed. Fails
     * with `Closed`.
     */
    readonly remoteAddress: Effect.Effect<Address, PollerError>

    /**
     * The connection itself, with its options and its descriptor. `Tcp.isTcpStream` and
     * `Unix.isUnixStream` tell which of the two it is.
     */
    readonly socket: TcpStream | UnixStream
  }
>()("effect-amy/PollerSocket/Connection") {}

/**
 * Makes a socket that connects each time its reader is acquired.
 *
 * **Details**
 *
 * Making it cannot fail. Acquiring the reader:
 *
 * - Fails with `SocketOpenError`. Its `cause` is the `PollerError`. If several addresses of a host
 *   were tried, it is an `AggregateError`, whose `errors` are the `PollerError` of each.
 *
 * **Example** (The server starts late)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Poller, PollerError, PollerSocket, Tcp } from "effect-amy"
 *
 * const program = Effect.gen(function* () {
 *   const listener = yield* Tcp.listen("127.0.0.1:0")
 *   yield* listener.close
 *   const socket = yield* PollerSocket.make({ address: listener.address })
 *   const { reason } = yield* Effect.flip(Effect.scoped(socket.reader))
 *   if (reason._tag === "SocketOpenError" && PollerError.isPollerError(reason.cause)) console.log(reason.cause.reason._tag)
 *
 *   yield* Tcp.listen(listener.address)
 *   yield* Effect.scoped(socket.reader)
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Poller.layerEventLoop()))) // => ConnectionRefused
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: (options: MakeOptions) => Effect.Effect<Socket.Socket, never, Registrar> = internal.make

/**
 * Makes a socket of connections that an effect opens. The effect runs each time the reader is
 * acquired, in the reader's scope.
 *
 * **Details**
 *
 * Acquiring the reader:
 *
 * - Fails with `SocketOpenError`. Its `cause` is the `PollerError`: `InvalidArgument` if the effect
 *   returned something else than a stream of `Tcp` or `Unix`.
 *
 * **Example** (Both ends of a pair)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Poller, PollerSocket, Unix } from "effect-amy"
 *
 * const program = Effect.gen(function* () {
 *   const [one, other] = yield* Unix.socketPair
 *   const socket = yield* PollerSocket.fromStream(Effect.succeed(one))
 *   const { pull } = yield* socket.reader
 *   yield* other.writeAll(new TextEncoder().encode("hello"))
 *   const [chunk] = yield* pull
 *   console.log(Buffer.from(chunk).toString())
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Poller.layerEventLoop()))) // => hello
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromStream: <R>(
  open: Effect.Effect<TcpStream | UnixStream, PollerError, R>,
  options?: FromStreamOptions
) => Effect.Effect<Socket.Socket, never, Exclude<R, Scope.Scope>> = internal.fromStream

/**
 * Provides the socket that {@link make} makes.
 *
 * **Example** (A Unix socket)
 *
 * ```ts
 * import { Effect, Layer } from "effect"
 * import { Socket } from "effect/socket"
 * import { Poller, PollerSocket, Unix } from "effect-amy"
 * import { tmpdir } from "node:os"
 * import { join } from "node:path"
 *
 * const path = join(tmpdir(), `example-socket-${process.pid}.sock`)
 *
 * const program = Effect.gen(function* () {
 *   const listener = yield* Unix.listen(path)
 *   const socket = yield* Socket.Socket
 *   const { pull } = yield* socket.reader
 *   const connection = yield* listener.accept
 *   yield* connection.writeAll(new TextEncoder().encode("hello"))
 *   const [chunk] = yield* pull
 *   console.log(Buffer.from(chunk).toString())
 * })
 *
 * const layer = PollerSocket.layer({ path }).pipe(Layer.provideMerge(Poller.layerEventLoop()))
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(layer))) // => hello
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: MakeOptions): Layer.Layer<Socket.Socket, never, Registrar> =>
  Layer.effect(Socket.Socket, make(options))
