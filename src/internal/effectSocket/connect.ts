/** Connects for `PollerSocket`: by address, by name, or by path. */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Effect from "effect/Effect"
import type * as NetAddress from "effect/net/NetAddress"
import type * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import { isNativeError } from "node:util/types"
import { isPollerError, type PollerError } from "../../PollerError.ts"
import type { FromStreamOptions, MakeOptions } from "../../net/PollerSocket.ts"
import type { Registrar } from "../../Registrar.ts"
import type { TcpStream } from "../../net/Tcp.ts"
import type { UnixStream } from "../../net/Unix.ts"
import { textOf } from "../errors/arguments.ts"
import { type Names, readOptions } from "../errors/options.ts"
import { invalidArgument } from "../errors/pollerErrors.ts"
import { connectToAny } from "./happyEyeballs.ts"
import { resolveHost } from "./resolveHost.ts"
import * as EffectSocket from "./socket.ts"
import { StreamSocket } from "../net/streamSocket.ts"
import * as Tcp from "../net/tcp.ts"
import * as Unix from "../net/unix.ts"
import { unixTarget } from "./unixTarget.ts"
import { isOf } from "../objects/guards.ts"

export const make = (options: MakeOptions): Effect.Effect<Socket.Socket, never, Registrar> =>
  opened((failed) => connect(options, failed), options)

export const fromStream = <R>(
  open: Effect.Effect<TcpStream | UnixStream, PollerError, R>,
  options?: FromStreamOptions
): Effect.Effect<Socket.Socket, never, Exclude<R, Scope.Scope>> => opened(() => open, options)

const opened = <R>(
  open: (failed: Array<PollerError>) => Effect.Effect<TcpStream | UnixStream, PollerError | AggregateError, R>,
  options?: FromStreamOptions
): Effect.Effect<Socket.Socket, never, Exclude<R, Scope.Scope>> =>
  EffectSocket.make(
    (failed) => Effect.mapError(Effect.flatMap(open(failed), toStreamSocket), EffectSocket.openError),
    options
  )

const toStreamSocket = (stream: unknown): Effect.Effect<StreamSocket<unknown>, PollerError> =>
  isOf(StreamSocket<unknown>, stream)
    ? Effect.succeed(stream)
    : Effect.fail(invalidArgument("invalid stream: expected one that Tcp or Unix has opened"))

/** The options that say where to connect to, whichever of them are given, and how. */
export interface TargetOptions {
  readonly address?: MakeOptions["address"]
  readonly host?: string | undefined
  readonly port?: number | undefined
  readonly path?: string | undefined
}

export const targetOptions: Names<TargetOptions> = { address: true, host: true, port: true, path: true }

type ConnectOptions = TargetOptions & Pick<MakeOptions, "noDelay" | "keepAlive">

const connectOptions: Names<ConnectOptions> = { ...targetOptions, noDelay: "boolean", keepAlive: true }

type Connecting = Effect.Effect<TcpStream | UnixStream, PollerError | AggregateError, Registrar | Scope.Scope>

const connect = (given: MakeOptions, failed: Array<PollerError>): Connecting =>
  Effect.suspend((): Connecting => {
    const options = readOptions<ConnectOptions>("PollerSocket", given as ConnectOptions, connectOptions)
    if (isPollerError(options)) return Effect.fail(options)
    const { address, host, keepAlive, noDelay, port } = options
    const unix = unixTarget(options)
    if (isPollerError(unix)) return Effect.fail(unix)
    if (unix !== undefined) return Unix.connect(unix, undefined)
    const tcpOptions = {
      ...(noDelay === undefined ? {} : { noDelay }),
      ...(keepAlive === undefined ? {} : { keepAlive })
    }
    if (address !== undefined) return Tcp.connect(address as NetAddress.InetAddressInput, tcpOptions)
    return Effect.flatMap(addressesOf(host ?? "localhost", port!), (addresses) =>
      connectToAny(addresses, (one) => Tcp.connect(one, tcpOptions), failed)
    )
  })

/** Resolves the host of a stream socket, with the error of this library. */
export const addressesOf = (
  host: string,
  port: number
): Effect.Effect<NonEmptyReadonlyArray<NetAddress.InetAddress>, PollerError> =>
  Effect.mapError(resolveHost(host, port), (error) =>
    isPollerError(error)
      ? error
      : invalidArgument(
          error._tag === "DnsError"
            ? `the host "${textOf(host)}" cannot be looked up: ${isNativeError(error.cause) ? error.cause.message : error.message}`
            : `the host "${textOf(host)}" or the port ${textOf(port)} is invalid: ${error.message}`
        )
  )
