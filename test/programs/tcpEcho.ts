/**
 * A thread that echoes a connection in capital letters until its end, and then closes its
 * descriptor.
 */
import { Effect, Stream } from "effect"
import { Poller, Tcp } from "effect-amy"
import { parentPort, workerData } from "node:worker_threads"

const { fd } = workerData as { readonly fd: number }

const program = Effect.gen(function* () {
  const connection = yield* Tcp.fromFd(fd)
  yield* connection.stream.pipe(
    Stream.decodeText,
    Stream.map((text) => new TextEncoder().encode(text.toUpperCase())),
    Stream.run(connection.sink)
  )
  yield* connection.close
})

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Poller.layer)))
parentPort!.postMessage("closed")
