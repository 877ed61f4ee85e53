/**
 * Listeners of the poller as `SocketServer` of `effect/socket`. Programs that are written against
 * that service, such as the servers of Effect's RPC and Cluster, run on this poller unchanged.
 *
 * It behaves as `NodeSocketServer` of `@effect/platform-node` does. Connections wait until `run`,
 * and each handler gets a `Socket` and a fiber of its own. An error that a handler does not handle
 * is logged. Interrupting `run` interrupts every handler. Once the server's own scope has closed,
 * the handlers that are at work go on to their end, and then `run` fails.
 *
 * A handler finds the address of its peer in the service `PollerSocket.Connection`.
 *
 * A connection is closed with the scope of its socket's reader, or with its handler if that never
 * acquired a reader. As in `Tcp`, one call reads all connections that become ready together, and
 * another writes to them.
 *
 * **Example** (As a layer)
 *
 * ```ts
 * import { Effect, Layer } from "effect"
 * import { SocketServer } from "effect/socket"
 * import { Poller, PollerSocketServer } from "effect-amy"
 *
 * const program = Effect.gen(function* () {
 *   const server = yield* SocketServer.SocketServer
 *   console.log(server.address._tag)
 * })
 *
 * const layer = PollerSocketServer.layer({ host: "127.0.0.1", port: 0 }).pipe(Layer.provide(Poller.layerEventLoop()))
 * await Effect.runPromise(Effect.provide(program, layer)) // => InetAddressV4
 * ```
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as SocketServer from "effect/socket/SocketServer"
import * as internal from "../internal/effectSocket/server.ts"
import type * as NetAddress from "effect/net/NetAddress"
import type * as Socket from "effect/socket/Socket"
import { Connection, type Target } from "./PollerSocket.ts"
import type { Registrar } from "../Registrar.ts"
import type { KeepAlive } from "./Tcp.ts"

/**
 * The options of {@link make} and {@link layer}: where to listen, and how. See `Tcp.ListenOptions`.
 *
 * **Details**
 *
 * Without a host, the server listens at every address of this machine. It listens at the first
 * address of a host that is looked up. All options but `backlog` are of TCP, and ignored for a
 * path, as `NodeSocketServer` does.
 *
 * @category options
 * @since 0.2.0
 */
export type MakeOptions = Target & {
  readonly backlog?: number | undefined
  readonly reusePort?: boolean | undefined
  readonly ipv6Only?: boolean | undefined
  readonly noDelay?: boolean | undefined
  readonly keepAlive?: boolean | KeepAlive | undefined
}

/**
 * What {@link make} returns: a `SocketServer` whose type says that handlers are provided with their
 * `PollerSocket.Connection`.
 *
 * @category models
 * @since 0.2.0
 */
export interface Server {
  /**
   * The address that it listens at. The path of an abstract name begins with a zero byte.
   */
  readonly address: NetAddress.SocketAddress

  /** Runs a handler for each connection, in a fiber of its own. */
  readonly run: <R, E, _>(
    handler: (socket: Socket.Socket) => Effect.Effect<_, E, R>
  ) => Effect.Effect<never, SocketServer.SocketServerError, Exclude<R, Connection>>
}

/**
 * Listens until the scope closes.
 *
 * **Details**
 *
 * - Fails with `SocketServerOpenError`. Its `cause` is the `PollerError`.
 *
 * `run` fails with `SocketServerUnknownError`, whose `cause` is the `PollerError`, too.
 *
 * **Example**
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Poller, PollerSocketServer, Tcp } from "effect-amy"
 *
 * const program = Effect.gen(function* () {
 *   const listener = yield* Tcp.listen("127.0.0.1:0")
 *   const { port } = listener.address
 *   const error = yield* Effect.flip(PollerSocketServer.make({ host: "127.0.0.1", port }))
 *   console.log(error.reason._tag, String(error.reason.cause).includes("EADDRINUSE"))
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Poller.layerEventLoop()))) // => SocketServerOpenError true
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  options: MakeOptions
): Effect.Effect<Server, SocketServer.SocketServerError, Registrar | Scope.Scope> => internal.make(options, Connection)

/**
 * Provides the server that {@link make} makes.
 *
 * Its handlers are provided with `PollerSocket.Connection`, too. To look at each connection of a
 * server of RPC or Cluster, wrap the service: docs/guide.md has a program.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options: MakeOptions
): Layer.Layer<SocketServer.SocketServer, SocketServer.SocketServerError, Registrar> =>
  Layer.effect(SocketServer.SocketServer, make(options))
