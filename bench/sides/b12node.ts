/**
 * B12's peers: `b12node.ts net|server`, with Node's `--expose-gc`. An echo server with `node:net`, or
 * on `NodeSocketServer` with a fiber for each connection.
 */
import { NodeSocketServer } from "@effect/platform-node"
import { Effect } from "effect"
import type { Socket } from "effect/socket"
import { createServer, type AddressInfo } from "node:net"
import * as Idle from "../support/idle.ts"
import * as Meter from "../support/meter.ts"

const echo = (socket: Socket.Socket) =>
  Effect.gen(function* () {
    const reader = yield* socket.reader
    const writer = yield* socket.writer
    for (;;) yield* writer.writeAll(yield* reader.pull)
  }).pipe(Effect.scoped, Effect.ignore)

const program = Effect.gen(function* () {
  const server = yield* NodeSocketServer.make({ host: "127.0.0.1", port: 0, noDelay: true })
  yield* Effect.forkScoped(server.run(echo))
  if (server.address._tag === "UnixPathAddress") return
  const { port } = server.address
  Meter.report(yield* Effect.promise(() => Idle.measure(port)))
})

if (process.argv[2] === "server") await Effect.runPromise(Effect.scoped(program))
else {
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on("data", (data) => socket.write(data))
    socket.on("error", () => socket.destroy())
  })
  server.listen(0, "127.0.0.1", () => {
    void Idle.measure((server.address() as AddressInfo).port).then((figures) => {
      Meter.report(figures)
      process.exit()
    })
  })
}
