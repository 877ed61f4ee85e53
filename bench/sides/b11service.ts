/** `DatagramSocket` of `effect/socket` in B11: `b11service.ts poller|node echo|sink`. */
import { NodeDatagramSocket, NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Layer } from "effect"
import { PollerDatagramSocket } from "effect-amy"
import { DatagramSocket } from "effect/socket"
import { layerOf } from "../support/layers.ts"

const [whose, what] = process.argv.slice(2)

const count = new Uint32Array(1)
const countBytes = new Uint8Array(count.buffer)

const program = Effect.gen(function* () {
  const socket = yield* DatagramSocket.DatagramSocket
  const { address, pull } = yield* socket.reader
  const { write, writeAll } = yield* socket.writer
  yield* Console.log(address.port)
  const echo = Effect.flatMap(pull, writeAll)
  const sink = Effect.flatMap(pull, (datagrams) =>
    Effect.forEach(
      datagrams,
      (datagram) => {
        count[0]!++
        return datagram.payload[0] === 1 ? write({ payload: countBytes, address: datagram }) : Effect.void
      },
      { discard: true }
    )
  )
  yield* Effect.forever(what === "echo" ? echo : sink, { disableYield: true })
})

const options = { bind: { address: "127.0.0.1" } }
const service =
  whose === "node"
    ? NodeDatagramSocket.layer(options)
    : PollerDatagramSocket.layer(options).pipe(Layer.provide(layerOf("event-loop")))

NodeRuntime.runMain(program.pipe(Effect.scoped, Effect.provide(service)))
