/** Connects for `PollerSocket`: by address, by name, or by path. */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as NetAddress from "effect/net/NetAddress"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import { lookup } from "node:dns/promises"
import type { PollerError } from "../../PollerError.ts"
import type { Options } from "../../net/PollerSocket.ts"
import type { Registrar } from "../../Registrar.ts"
import type { TcpStream } from "../../net/Tcp.ts"
import type { UnixStream } from "../../net/Unix.ts"
import { invalidArgument } from "../errors/pollerErrors.ts"
import { toInet } from "./resolveHost.ts"
import * as EffectSocket from "./socket.ts"
import type { StreamSocket } from "../net/streamSocket.ts"
import * as Tcp from "../net/tcp.ts"
import * as Unix from "../net/unix.ts"

export const make = (options: Options): Effect.Effect<Socket.Socket, never, Registrar> =>
  fromStream(connect(options), options)

/** Every stream of this library is a `StreamSocket`. */
export const fromStream = <R>(
  open: Effect.Effect<TcpStream | UnixStream, PollerError, R>,
  options?: { readonly openTimeout?: Duration.Input | undefined }
): Effect.Effect<Socket.Socket, never, Exclude<R, Scope.Scope>> =>
  EffectSocket.make(
    Effect.mapError(open, EffectSocket.openError) as unknown as Effect.Effect<
      StreamSocket<unknown>,
      Socket.SocketError,
      R
    >,
    options
  )

const connect = (options: Options): Effect.Effect<TcpStream | UnixStream, PollerError, Registrar | Scope.Scope> =>
  Effect.suspend((): Effect.Effect<TcpStream | UnixStream, PollerError, Registrar | Scope.Scope> => {
    const { address, host, keepAlive, noDelay, path, port } = options
    if (path !== undefined) return Unix.connect(path, {})
    if (typeof address === "object" && "path" in address) return Unix.connect(address.path, {})
    const tcpOptions = {
      ...(noDelay === undefined ? {} : { noDelay }),
      ...(keepAlive === undefined ? {} : { keepAlive })
    }
    if (address !== undefined) return Tcp.connect(address, tcpOptions)
    return Effect.flatMap(resolve(host ?? "localhost"), ([first, ...others]) =>
      others.reduce(
        (connecting, ip) => Effect.catch(connecting, () => Tcp.connect(at(ip, port!), tcpOptions)),
        Tcp.connect(at(first, port!), tcpOptions)
      )
    )
  })

/**
 * An address that was looked up. One of IPv6 may have a zone, which is that of a link; where it is none, the address is used
 * without, as Node does. What is no address is told by whoever is given it.
 */
export const at = (ip: string, port: number): NetAddress.InetAddressInput =>
  Result.getOrElse(toInet(ip, port), () => ({ address: ip.replace(/%.*/, ""), port }))

/** The addresses of a host; those that are spelled out are not looked up. */
export const resolve = (host: string): Effect.Effect<readonly [string, ...Array<string>], PollerError> =>
  Effect.flatMap(
    Effect.tryPromise({
      try: () => lookup(host, { all: true }),
      catch: (cause) => invalidArgument(`the host "${host}" cannot be looked up: ${String(cause)}`)
    }),
    ([first, ...others]) =>
      first === undefined
        ? Effect.fail(invalidArgument(`the host "${host}" has no address`))
        : Effect.succeed([first.address, ...others.map((other) => other.address)] as const)
  )
