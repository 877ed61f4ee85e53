// Sockets on the default layer, as plain descriptors and as Effect's own services, on the built JavaScript.
import { Effect, Stream } from "effect"
import { Poller } from "effect-amy"
import { LineReader } from "effect-amy/codecs"
import { PollerSocket, Tcp } from "effect-amy/net"
import * as PollerSocketServer from "effect-amy/net/PollerSocketServer"
import assert from "node:assert/strict"

const echo = (socket) =>
  Effect.scoped(
    Effect.gen(function* () {
      const { pull } = yield* socket.reader
      const { writeAll } = yield* socket.writer
      return yield* Effect.forever(Effect.flatMap(pull, writeAll))
    })
  ).pipe(Effect.ignore)

const program = Effect.gen(function* () {
  const listener = yield* Tcp.listen("127.0.0.1:0")
  yield* Effect.forkScoped(listener.run((connection) => Stream.run(connection.stream, connection.sink)))
  const client = yield* Tcp.connect(listener.address)
  yield* Stream.make("hello", "world").pipe(Stream.encodeText, Stream.runForEach(client.writeAll))
  yield* client.shutdown("write")
  assert.deepEqual(yield* client.stream.pipe(LineReader.decode, Stream.runCollect), ["helloworld"])

  const server = yield* PollerSocketServer.make({ host: "127.0.0.1", port: 0 })
  yield* Effect.forkScoped(server.run(echo))
  const socket = yield* PollerSocket.make({ address: server.address })
  const { pull } = yield* socket.reader
  const { write } = yield* socket.writer
  yield* write("hello")
  assert.equal(Buffer.from((yield* pull)[0]).toString(), "hello")
})

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Poller.layer)))
console.log("sockets work")
