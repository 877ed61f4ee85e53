/**
 * The transport of every connection in the cluster: between runners, from clients to runners, and
 * from all of them to the registry. Any `SocketServer` and `Socket` would do.
 */
import { Effect, Layer, References } from "effect"
import { RunnerAddress, Runners } from "effect/cluster"
import { NetAddress } from "effect/net"
import { RpcClient, RpcSerialization } from "effect/rpc"
import { Socket, type SocketServer } from "effect/socket"
import { PollerSocket, PollerSocketServer, Registrar } from "effect-amy"

export const host = "127.0.0.1"

/**
 * Listens on a port that the kernel chooses. A reset connection is not worth a warning where
 * processes are killed.
 */
export const layerServer = PollerSocketServer.layer({ host, port: 0 }).pipe(
  Layer.merge(Layer.succeed(References.UnhandledLogLevel, "Debug"))
)

const connect = (address: RunnerAddress.RunnerAddress) => PollerSocket.make({ ...address, openTimeout: 5000 })

/** Returns the address of one of these servers. */
export const addressOf = ({ address }: SocketServer.SocketServer["Service"]) =>
  NetAddress.isInetAddress(address)
    ? Effect.succeed(RunnerAddress.make(host, address.port))
    : Effect.die("the server listens on a path")

/** Makes a client's side of the RPC protocol, over a new connection. */
export const makeProtocol = Effect.fnUntraced(function* (address: RunnerAddress.RunnerAddress) {
  const socket = yield* connect(address)
  return yield* RpcClient.makeProtocolSocket().pipe(Effect.provideService(Socket.Socket, socket))
})

/** Provides the protocol by which runners and clients reach a runner. */
export const layerClientProtocol = Layer.effect(
  Runners.RpcClientProtocol,
  Effect.gen(function* () {
    const serialization = yield* RpcSerialization.RpcSerialization
    const registrar = yield* Registrar.Registrar
    return {
      codecFor: serialization.codecFor,
      make: (address) =>
        makeProtocol(address).pipe(
          Effect.provideService(RpcSerialization.RpcSerialization, serialization),
          Effect.provideService(Registrar.Registrar, registrar)
        )
    }
  })
)
