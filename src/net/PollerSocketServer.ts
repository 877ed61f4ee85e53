/**
 * Listeners of the poller as `effect/socket`'s `SocketServer`, so that what is written against that service, such as the
 * servers of Effect's RPC and Cluster, runs on this poller unchanged.
 *
 * It behaves as `NodeSocketServer` of `@effect/platform-node` does: connections wait until `run`, each handler runs in a
 * fiber of its own and gets a `Socket`, what it does not handle is logged, and interrupting `run` interrupts all of them. Once
 * the server's own scope has closed, handlers that are at work go on to their end, and then `run` fails. As in `Tcp`, what
 * is ready together is read and written together.
 *
 * The connection is closed with the scope of the socket's reader, or with the handler if it never asked for one.
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
import type { Target } from "./PollerSocket.ts"
import type { Registrar } from "../Registrar.ts"
import type { KeepAlive } from "./Tcp.ts"

/**
 * Where to listen, and how: see `Tcp.ListenOptions`. Without a host, on every address of this machine; of one that is looked
 * up, at its first address. All but `backlog` is of TCP, and ignored for a path, as Node does.
 *
 * @category options
 * @since 0.1.0
 */
export type Options = Target & {
  readonly backlog?: number | undefined
  readonly reusePort?: boolean | undefined
  readonly ipv6Only?: boolean | undefined
  readonly noDelay?: boolean | undefined
  readonly keepAlive?: boolean | KeepAlive | undefined
}

/**
 * Listens until the scope closes. Fails with a `SocketServerOpenError` whose cause is the `PollerError`; `run` fails with a
 * `SocketServerUnknownError` with such a cause.
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
export const make: (
  options: Options
) => Effect.Effect<SocketServer.SocketServer["Service"], SocketServer.SocketServerError, Registrar | Scope.Scope> =
  internal.make

/**
 * Provides a server that is made with `make`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options: Options
): Layer.Layer<SocketServer.SocketServer, SocketServer.SocketServerError, Registrar> =>
  Layer.effect(SocketServer.SocketServer, make(options))
