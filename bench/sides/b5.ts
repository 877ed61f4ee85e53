/** Our side of B5: a TCP echo server with a fiber for each connection. */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect } from "effect"
import { Tcp } from "effect-amy"
import { layerOf } from "../support/layers.ts"

const echo = (connection: Tcp.TcpStream) =>
  Effect.gen(function* () {
    const buffer = new Uint8Array(32 * 1024)
    for (;;) {
      const length = yield* connection.read(buffer)
      if (length === 0) return
      yield* connection.writeAll(buffer, 0, length)
    }
  })

const program = Effect.gen(function* () {
  const listener = yield* Tcp.listen("127.0.0.1:0")
  yield* Console.log(listener.address.port)
  yield* listener.run(echo)
})

NodeRuntime.runMain(program.pipe(Effect.scoped, Effect.provide(layerOf(process.argv[2]))))
