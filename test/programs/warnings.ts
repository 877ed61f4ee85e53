/**
 * Uses sockets, timers and channels on every layer, and prints each warning of the process. A fiber
 * that a socket resumes emits one of its own.
 */
import { Effect } from "effect"
import { PollChannel, Poller, Registrar, Tcp } from "effect-amy"
import type { PollerLayer } from "../support/layers.ts"

const layers: ReadonlyArray<PollerLayer> = [
  Poller.layerEventLoop(),
  Poller.layerWorker(),
  Poller.layerBlocking({ allowMainThread: true })
]

process.on("warning", ({ message, name }) => console.log(`${name}: ${message}`))

const program = Effect.gen(function* () {
  const listener = yield* Tcp.listen("127.0.0.1:0")
  yield* Effect.forkScoped(listener.run(({ writeAll }) => writeAll(Uint8Array.of(1))))
  const client = yield* Tcp.connect(listener.address)
  yield* client.read(new Uint8Array(1))
  process.emitWarning("from the program")

  const { receiver, sender } = yield* PollChannel.unbounded<number>()
  yield* sender.send(1)
  yield* receiver.receive
  yield* Registrar.timeout(1)
  yield* Poller.wait(Infinity)
}).pipe(Effect.scoped)

for (const layer of layers) await Effect.runPromise(Effect.provide(program, layer))

const attached = Effect.flatMap(Poller.handle, (handle) => Effect.provide(program, Poller.layerAttach(handle)))
await Effect.runPromise(Effect.provide(attached, Poller.layerWorker()))
console.log("ready")
