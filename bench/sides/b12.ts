/**
 * Our side of B12: `b12.ts read|stream|server LAYER`, with Node's `--expose-gc`. An echo server on
 * `Tcp`, with a buffer for each connection or without, or on `PollerSocketServer`.
 */
import { Effect, Stream } from "effect"
import type { Socket } from "effect/socket"
import { PollerSocketServer, Tcp } from "effect-amy"
import * as Idle from "../support/idle.ts"
import { layerOf } from "../support/layers.ts"
import * as Meter from "../support/meter.ts"

const echo = (connection: Tcp.TcpStream) =>
  Effect.gen(function* () {
    const buffer = new Uint8Array(4 * 1024)
    for (;;) {
      const length = yield* connection.read(buffer)
      if (length === 0) return
      yield* connection.writeAll(buffer, 0, length)
    }
  })

const echoStream = (connection: Tcp.TcpStream) =>
  Stream.runForEach(connection.stream, (chunk) => connection.writeAll(chunk))

const echoSocket = (socket: Socket.Socket) =>
  Effect.gen(function* () {
    const reader = yield* socket.reader
    const writer = yield* socket.writer
    for (;;) yield* writer.writeAll(yield* reader.pull)
  }).pipe(Effect.scoped, Effect.ignore)

const [what, layer] = process.argv.slice(2)

const served = Effect.gen(function* () {
  if (what === "server") {
    const server = yield* PollerSocketServer.make({ host: "127.0.0.1", port: 0, noDelay: true })
    yield* Effect.forkScoped(server.run(echoSocket))
    return server.address._tag === "UnixPathAddress" ? 0 : server.address.port
  }
  const listener = yield* Tcp.listen("127.0.0.1:0")
  yield* Effect.forkScoped(listener.run(what === "stream" ? echoStream : echo))
  return listener.address.port
})

const program = Effect.gen(function* () {
  const port = yield* served
  Meter.report(yield* Effect.promise(() => Idle.measure(port)))
})

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(layerOf(layer))))
