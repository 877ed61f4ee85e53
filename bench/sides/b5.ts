/** Our side of B5: TCP echo, one fiber a connection. */
import { Effect } from "effect"
import { Tcp } from "effect-amy"
import { NodeRuntime } from "@effect/platform-node"
import { layerOf } from "../support/layers.ts"

const echo = (connection: Tcp.TcpStream) => {
  const buffer = new Uint8Array(64 * 1024)
  const again: Effect.Effect<void, unknown> = Effect.flatMap(connection.read(buffer), (length) =>
    length === 0 ? Effect.void : Effect.flatMap(connection.writeAll(buffer, 0, length), () => again)
  )
  return again
}

const program = Effect.gen(function* () {
  const listener = yield* Tcp.listen("127.0.0.1:0", { backlog: 4096 })
  console.log(listener.address.port)
  return yield* listener.run(echo)
})

NodeRuntime.runMain(program.pipe(Effect.scoped, Effect.provide(layerOf(process.argv[2]!))))
