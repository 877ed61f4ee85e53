/**
 * Messages through ZeroMQ, which knows nothing of Node: `npm run example examples/zeromq.ts`.
 *
 * It needs libzmq (Debian: libzmq5). Two sockets send each other a hundred thousand messages at once.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Effect } from "effect"
import { Poller } from "effect-amy"
import * as ZeroMq from "./zeromq/zeromq.ts"

const count = 100_000

const send = (socket: ZeroMq.Socket) =>
  Effect.gen(function* () {
    for (let number = 1; number <= count; number++) yield* socket.send(new Uint8Array(Uint32Array.of(number).buffer))
  })

/** Gives the sum of the numbers that arrive. Fails if they are out of order. */
const receive = (socket: ZeroMq.Socket) =>
  Effect.gen(function* () {
    let sum = 0
    for (let number = 1; number <= count; number++) {
      const [received] = new Uint32Array((yield* socket.receive).buffer)
      if (received !== number) return yield* Effect.die(new Error(`${received} came in place of ${number}`))
      sum += received
    }
    return sum
  })

const program = Effect.gen(function* () {
  const server = yield* ZeroMq.open(ZeroMq.Type.Pair)
  const client = yield* ZeroMq.open(ZeroMq.Type.Pair)
  yield* client.connect(yield* server.bind("tcp://127.0.0.1:*"))
  const all = [send(server), send(client), receive(server), receive(client)]
  const [, , atServer, atClient] = yield* Effect.all(all, { concurrency: "unbounded" })
  console.log(`${count} messages in each direction, in order; the sums are ${atServer} and ${atClient}`)
})

program.pipe(Effect.scoped, Effect.provide(Poller.layerEventLoop()), NodeRuntime.runMain)
