/**
 * Writes to a connection whose reader is gone, while SIGPIPE would kill the process, which is its
 * default.
 */
import { Effect, Stream } from "effect"
import { Poller, Tcp } from "effect-amy"
import { writeSync } from "node:fs"
import { reasonOf } from "../support/outcome.ts"
import * as Kernel from "../support/kernel.ts"

const layer = process.argv[2]

// Node ignores the signal until a listener was added and removed.
const listener = () => {}
process.on("SIGPIPE", listener)
process.off("SIGPIPE", listener)

if (layer === "careless") {
  const [reader, writer] = Kernel.pipe()
  Kernel.close(reader)
  writeSync(writer, "x")
}

const program = Effect.gen(function* () {
  const server = yield* Tcp.listen("127.0.0.1:0")
  const connection = yield* Tcp.connect(server.address)
  yield* connection.shutdown("write")
  const bytes = new Uint8Array(1)
  process.send!({
    write: yield* reasonOf(connection.write(bytes)),
    writeAll: yield* reasonOf(connection.writeAll(bytes)),
    sink: yield* reasonOf(Stream.run(Stream.make(bytes), connection.sink))
  })
})

await Effect.runPromise(
  program.pipe(Effect.scoped, Effect.provide(layer === "layerWorker" ? Poller.layerWorker() : Poller.layerEventLoop()))
)
process.disconnect!()
