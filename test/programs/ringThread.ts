/**
 * A thread that attaches to a poller and reads two connections together until an io_uring is opened
 * for them. It posts the descriptors of the connections, and waits to be terminated.
 */
import { Effect, Fiber } from "effect"
import { Poller, Tcp } from "effect-amy"
import { parentPort, workerData } from "node:worker_threads"
import * as Kernel from "../support/kernel.ts"

const rings = () => [...Kernel.openDescriptors().values()].filter((name) => name.includes("io_uring")).length

const program = Effect.gen(function* () {
  const pairs = [Kernel.tcpPair(), Kernel.tcpPair()]
  const connections = yield* Effect.forEach(pairs, ([near]) => Tcp.fromFd(near))
  const before = rings()
  while (rings() === before) {
    const reads = connections.map((connection) => connection.read(new Uint8Array(8)))
    const reading = yield* Effect.forEach(reads, (read) => Effect.forkChild(read, { startImmediately: true }))
    for (const [, far] of pairs) Kernel.write(far)
    yield* Effect.forEach(reading, Fiber.join)
  }
  parentPort!.postMessage(pairs.flat())
  yield* Effect.never
})

await Effect.runPromise(
  program.pipe(Effect.scoped, Effect.provide(Poller.layerAttach(workerData as Poller.PollerHandle)))
)
