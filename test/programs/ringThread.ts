/**
 * A thread that attaches to a poller, or has its own, and reads two connections together until an
 * io_uring or a context of Linux AIO is opened for them, or used again. It posts the descriptors of
 * the connections, and closes its layer at the next message.
 */
import { Effect, Fiber } from "effect"
import { Poller, Tcp } from "effect-amy"
import { once } from "node:events"
import { parentPort, workerData } from "node:worker_threads"
import { libc, provideLibc } from "../../src/internal/libc/koffi.ts"
import type { Functions } from "../../src/internal/libc/prototypes/index.ts"
import * as Kernel from "../support/kernel.ts"

const handle = workerData as Poller.PollerHandle | undefined
const layer = handle === undefined ? Poller.layerEventLoop() : Poller.layerAttach(handle)

/** The calls that have read several connections. */
const batches = { count: 0 }
const real = libc()
const functions: Partial<Functions> = {
  io_uring_enter: (...all) => (batches.count++, real.functions.io_uring_enter(...all)),
  io_submit: (number, context, count, calls) => {
    if (count > 1) batches.count++
    return real.functions.io_submit(number, context, count, calls)
  }
}
provideLibc({
  ...real,
  functions: Object.create(real.functions, Object.getOwnPropertyDescriptors(functions)) as Functions
})

const program = Effect.gen(function* () {
  const pairs = [Kernel.tcpPair(), Kernel.tcpPair()]
  const connections = yield* Effect.forEach(pairs, ([near]) => Tcp.fromFd(near))
  while (batches.count === 0) {
    const reads = connections.map((connection) => connection.read(new Uint8Array(8)))
    const reading = yield* Effect.forEach(reads, (read) => Effect.forkChild(read, { startImmediately: true }))
    for (const [, far] of pairs) Kernel.write(far)
    yield* Effect.forEach(reading, Fiber.join)
  }
  parentPort!.postMessage(pairs.flat())
  yield* Effect.promise(() => once(parentPort!, "message"))
  for (const [, far] of pairs) Kernel.close(far)
})

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(layer)))
parentPort!.close()
