/**
 * B6's peer: an echo server on `NodeSocketServer`, with a fiber for each connection. Prints its
 * port, then serves until it is ended.
 */
import { NodeSocketServer } from "@effect/platform-node"
import { Console, Effect } from "effect"
import type { Socket } from "effect/socket"

const echo = (socket: Socket.Socket) =>
  Effect.gen(function* () {
    const reader = yield* socket.reader
    const writer = yield* socket.writer
    for (;;) yield* writer.writeAll(yield* reader.pull)
  }).pipe(Effect.scoped, Effect.ignore)

const program = Effect.gen(function* () {
  const server = yield* NodeSocketServer.make({ host: "127.0.0.1", port: 0, noDelay: true })
  if (server.address._tag === "UnixPathAddress") return
  yield* Console.log(server.address.port)
  yield* server.run(echo)
})

await Effect.runPromise(Effect.scoped(program))
