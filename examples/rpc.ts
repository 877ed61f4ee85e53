/**
 * Effect's RPC on the poller's sockets: typed requests between programs, for systems of more than
 * one machine.
 *
 * - The schema of a request describes its success and its error. Both arrive as typed values.
 * - The reply can be a stream, even an infinite one. The server waits until the client has taken
 *   what was sent. It is interrupted when the client stops.
 *
 * Server and client are one program here. If they were two, only the address would change.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Latch, Layer, Schema, Stream } from "effect"
import { NetAddress } from "effect/net"
import { Rpc, RpcClient, RpcGroup, RpcSerialization, RpcServer } from "effect/rpc"
import { SocketServer } from "effect/socket"
import { Poller, PollerSocket, PollerSocketServer } from "effect-amy"

const host = "127.0.0.1"

/** The transport. Any `SocketServer` and `Socket` would do. */
const serverSocket = PollerSocketServer.layer({ host, port: 0 })
const clientSocket = (port: number) => PollerSocket.layer({ host, port })

class NoFactors extends Schema.TaggedError<NoFactors>()("NoFactors", { n: Schema.Int, why: Schema.String }) {}

/** The contract between server and client. */
class Numbers extends RpcGroup.make(
  Rpc.make("factors", {
    payload: { n: Schema.Int },
    success: Schema.Array(Schema.Int),
    error: NoFactors
  }),
  Rpc.make("primes", { payload: { from: Schema.Int }, success: Schema.Int, stream: true })
) {}

const factorsOf = (n: number): ReadonlyArray<number> => {
  for (let p = 2; p * p <= n; p++) if (n % p === 0) return [p, ...factorsOf(n / p)]
  return [n]
}

const nextPrime = (from: number): number => (factorsOf(from).length === 1 ? from : nextPrime(from + 1))

/** Opens when the server has ended a stream of primes. */
const hasStopped = Latch.makeUnsafe()

const handlers = Numbers.toLayer({
  factors: ({ n }) =>
    n > 1 ? Effect.succeed(factorsOf(n)) : Effect.fail(new NoFactors({ n, why: "it is less than 2" })),
  // This stream is infinite.
  primes: ({ from }) =>
    Stream.iterate(nextPrime(Math.max(from, 2)), (prime) => nextPrime(prime + 1)).pipe(Stream.ensuring(hasStopped.open))
})

const server = RpcServer.layer(Numbers).pipe(
  Layer.provide(handlers),
  Layer.provide(RpcServer.layerProtocolSocketServer),
  Layer.provideMerge(serverSocket)
)

const client = Effect.gen(function* () {
  const numbers = yield* RpcClient.make(Numbers)

  const factors = yield* numbers.factors({ n: 360 })
  yield* Console.log(`360 = ${factors.join(" * ")}`)

  yield* numbers
    .factors({ n: 1 })
    .pipe(Effect.catchTag("NoFactors", ({ n, why }) => Console.log(`${n} has no prime factors: ${why}`)))

  const primes = yield* numbers.primes({ from: 1000 }).pipe(Stream.take(5), Stream.runCollect)
  yield* Console.log(`the first five primes from 1000 on: ${primes.join(", ")}`)

  yield* hasStopped.await
  yield* Console.log("the server has stopped searching")
})

const program = Effect.gen(function* () {
  const { address } = yield* SocketServer.SocketServer
  if (!NetAddress.isInetAddress(address)) return yield* Effect.die("the server listens on a path")
  yield* Console.log(`the server listens on ${NetAddress.formatInet(address)}`)
  const protocol = RpcClient.layerProtocolSocket().pipe(Layer.provide(clientSocket(address.port)))
  yield* client.pipe(Effect.scoped, Effect.provide(protocol))
}).pipe(Effect.provide(server), Effect.provide(RpcSerialization.layerNdjson), Effect.provide(Poller.layerEventLoop()))

program.pipe(Effect.andThen(Console.log("both are closed")), NodeRuntime.runMain)
