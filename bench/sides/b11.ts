/**
 * Our side of B11: `b11.ts LAYER many|each echo|sink`. "many" receives and sends as many datagrams as
 * there are. "each" takes them from a stream, and sends each by itself, as a first program does.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Stream } from "effect"
import { Udp } from "effect-amy"
import { layerOf } from "../support/layers.ts"

const [layer, how, what] = process.argv.slice(2)

const count = new Uint32Array(1)
const countBytes = new Uint8Array(count.buffer)

/** Counts a datagram. Returns whether it asks for the number of datagrams so far. */
const asks = ({ payload }: Udp.Datagram): boolean => {
  count[0]!++
  return payload[0] === 1
}

const serveEach = (socket: Udp.UdpSocket) =>
  Stream.runForEach(socket.stream, (datagram) => {
    if (what === "echo") return socket.send(datagram.payload, datagram)
    return asks(datagram) ? socket.send(countBytes, datagram) : Effect.void
  })

const serveMany = (socket: Udp.UdpSocket) =>
  Effect.forever(
    Effect.flatMap(socket.receiveMany, (datagrams) =>
      what === "echo"
        ? socket.sendMany(datagrams)
        : socket.sendMany(datagrams.filter(asks).map((address) => ({ payload: countBytes, address })))
    ),
    { disableYield: true }
  )

const program = Effect.gen(function* () {
  const socket = yield* Udp.bind("127.0.0.1:0")
  yield* Console.log((yield* socket.localAddress).port)
  yield* (how === "many" ? serveMany : serveEach)(socket)
})

NodeRuntime.runMain(program.pipe(Effect.scoped, Effect.provide(layerOf(layer))))
