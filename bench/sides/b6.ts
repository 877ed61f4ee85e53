/** Our side of B6: an echo server on `PollerSocketServer`, with the same handler as its peer. */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect } from "effect"
import type { Socket } from "effect/socket"
import { PollerSocketServer } from "effect-amy"
import { layerOf } from "../support/layers.ts"

const echo = (socket: Socket.Socket) =>
  Effect.gen(function* () {
    const reader = yield* socket.reader
    const writer = yield* socket.writer
    for (;;) yield* writer.writeAll(yield* reader.pull)
  }).pipe(Effect.scoped, Effect.ignore)

const program = Effect.gen(function* () {
  const server = yield* PollerSocketServer.make({ host: "127.0.0.1", port: 0, noDelay: true })
  if (server.address._tag === "UnixPathAddress") return
  yield* Console.log(server.address.port)
  yield* server.run(echo)
})

NodeRuntime.runMain(program.pipe(Effect.scoped, Effect.provide(layerOf(process.argv[2]))))
