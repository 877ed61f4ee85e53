/** One thread of the server. It does everything for its connections, from accepting to closing. */
import { Effect } from "effect"
import { Poller, Tcp } from "effect-amy"
import { once } from "node:events"
import { parentPort, workerData } from "node:worker_threads"
import type { ThreadData } from "./server.ts"

const { index, port, served } = workerData as ThreadData

const echo = Effect.fnUntraced(function* (connection: Tcp.TcpStream) {
  Atomics.add(served, index, 1)
  const buffer = new Uint8Array(16 * 1024)
  for (;;) {
    const length = yield* connection.read(buffer)
    if (length === 0) return
    yield* connection.writeAll(buffer, 0, length)
  }
})

const program = Effect.gen(function* () {
  const listener = yield* Tcp.listen(`127.0.0.1:${port}`, { reusePort: true })
  parentPort!.postMessage(listener.address.port)
  // Interrupts the connections when the main thread asks this one to stop.
  const stopped = Effect.promise(() => once(parentPort!, "message"))
  yield* Effect.raceFirst(listener.run(echo), stopped)
})

await Effect.runPromise(
  program.pipe(
    Effect.scoped,
    Effect.provide(Poller.layerEventLoop()),
    // Of other classes of errors, no fields come to the main thread.
    Effect.mapError(({ message }) => new Error(message))
  )
)
