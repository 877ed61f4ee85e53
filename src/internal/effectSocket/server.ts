/** Listeners as `SocketServer` of `effect/socket`. */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type * as NetAddress from "effect/net/NetAddress"
import type * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import * as SocketServer from "effect/socket/SocketServer"
import { isPollerError, type PollerError } from "../../PollerError.ts"
import type { Connection } from "../../net/PollerSocket.ts"
import type { MakeOptions, Server } from "../../net/PollerSocketServer.ts"
import type { TcpStream } from "../../net/Tcp.ts"
import type { UnixStream } from "../../net/Unix.ts"
import type { Registrar } from "../../Registrar.ts"
import { type Names, readOptions } from "../errors/options.ts"
import { invalidArgument } from "../errors/pollerErrors.ts"
import * as EffectSocket from "./socket.ts"
import type { Listener } from "../net/listener.ts"
import { toPathAddress } from "../net/addresses.ts"
import { addressesOf, type TargetOptions, targetOptions } from "./connect.ts"
import type { StreamSocket } from "../net/streamSocket.ts"
import * as Tcp from "../net/tcp.ts"
import * as Unix from "../net/unix.ts"
import { unixTarget } from "./unixTarget.ts"

interface Bound {
  readonly listener: Listener<StreamSocket<unknown>, unknown>
  readonly address: NetAddress.SocketAddress
}

/** `tag` is that of the service by which a handler finds its connection. */
export const make = (
  options: MakeOptions,
  tag: Tag
): Effect.Effect<Server, SocketServer.SocketServerError, Registrar | Scope.Scope> =>
  Effect.map(
    Effect.mapError(
      listen(options),
      (cause) => new SocketServer.SocketServerError({ reason: new SocketServer.SocketServerOpenError({ cause }) })
    ),
    ({ address, listener }) => ({ address, run: (handler) => run(listener, handler, tag) })
  )

type Tag = Context.Key<Connection, Connection["Service"]>

/**
 * What a handler can know of its connection. Makes the effects only when they are asked for. It
 * also opens the connection for the socket of the handler.
 */
class ConnectionImpl implements EffectSocket.Opener {
  readonly socket: TcpStream | UnixStream
  /** Whether the reader has an owner, which closes the connection. */
  #isTaken = false

  constructor(socket: TcpStream | UnixStream) {
    this.socket = socket
  }

  get localAddress(): Connection["Service"]["localAddress"] {
    return this.socket.localAddress
  }

  get remoteAddress(): Connection["Service"]["remoteAddress"] {
    return this.socket.remoteAddress
  }

  get isTaken(): boolean {
    return this.#isTaken
  }

  open(): Effect.Effect<StreamSocket<unknown>, Socket.SocketError> {
    return Effect.suspend(() => {
      this.#isTaken = true
      return this.socket.fd === -1
        ? EffectSocket.closed
        : Effect.succeed(this.socket as unknown as StreamSocket<unknown>)
    })
  }
}

const run = <R, E, _>(
  listener: Bound["listener"],
  handler: (socket: Socket.Socket) => Effect.Effect<_, E, R>,
  tag: Tag
): Effect.Effect<never, SocketServer.SocketServerError, Exclude<R, Connection>> => {
  const find = (fiber: Fiber.Fiber<unknown, unknown>) => Context.getUnsafe(fiber.context, tag) as ConnectionImpl
  const serving = listener.serve<E, R, Exclude<R, Connection>>({
    // The fiber begins with it: to provide a handler with it would keep 400 bytes more.
    contextOf: (context, connection) =>
      Context.add(
        context,
        tag,
        new ConnectionImpl(connection as unknown as TcpStream | UnixStream)
      ) as Context.Context<unknown> as Context.Context<R>,
    handle: (_, fiber) => handler(EffectSocket.of(find(fiber))),
    end(connection, exit, fiber) {
      // No other owner closes the connection of a handler that has not acquired the reader.
      const close = find(fiber).isTaken ? () => false : () => connection.owned.closeUnsafe()
      if (Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause)) {
        close()
        return undefined
      }
      return Effect.ignoreCause(exit, { log: "Unhandled", message: "Unhandled error in SocketServer" }).pipe(
        Effect.ensuring(Effect.sync(close))
      )
    }
  })
  return Effect.mapError(
    serving,
    (cause) => new SocketServer.SocketServerError({ reason: new SocketServer.SocketServerUnknownError({ cause }) })
  )
}

type ListenOptions = TargetOptions & Omit<MakeOptions, keyof TargetOptions>

const listenOptions: Names<ListenOptions> = {
  ...targetOptions,
  backlog: true,
  reusePort: "boolean",
  ipv6Only: "boolean",
  noDelay: "boolean",
  keepAlive: true
}

const listen = (options: MakeOptions): Effect.Effect<Bound, PollerError, Registrar | Scope.Scope> =>
  Effect.suspend(() => {
    const read = readOptions<ListenOptions>("PollerSocketServer", options as ListenOptions, listenOptions)
    if (isPollerError(read)) return Effect.fail(read)
    const { address, host, path, port, ...given } = read
    const unix = unixTarget({ address, path })
    if (isPollerError(unix)) return Effect.fail(unix)
    if (unix !== undefined) {
      return Effect.map(Unix.listen(unix, given), (listener) => bound(listener, toPathAddress(listener.address)))
    }
    const tcp = (at: NetAddress.InetAddressInput) =>
      Effect.map(Tcp.listen(at, given), (listener) => bound(listener, listener.address))
    if (address !== undefined) return tcp(address as NetAddress.InetAddressInput)
    if (port === undefined)
      return Effect.fail(invalidArgument("invalid options: expected a port, an address or a path"))
    if (host !== undefined) return Effect.flatMap(addressesOf(host, port), ([first]) => tcp(first))
    // At both families, where the system has IPv6.
    return Effect.catchIf(tcp({ address: "::", port }), hasNoIpv6, () => tcp({ address: "0.0.0.0", port }))
  })

const hasNoIpv6 = ({ reason }: PollerError): boolean =>
  reason._tag === "AddressNotAvailable" || (reason._tag === "InvalidArgument" && reason.code === "EAFNOSUPPORT")

const bound = (listener: unknown, address: unknown): Bound => ({
  listener: listener as Bound["listener"],
  address: address as NetAddress.SocketAddress
})
