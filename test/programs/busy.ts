/**
 * Ends a thread that is never idle, by `process.exit()` or by `worker.terminate()`. For each
 * notification of its poller, the thread makes the descriptor ready again.
 */
import { Effect, type Layer, Stream } from "effect"
import { Poller, type PollerError, Registrar } from "effect-amy"
import { once } from "node:events"
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads"
import * as Kernel from "../support/kernel.ts"

const [, , layerName, how] = process.argv

const layers: { readonly [name: string]: Layer.Layer<Poller.Poller | Registrar.Registrar, PollerError.PollerError> } = {
  layerWorker: Poller.layerWorker(),
  layerEventLoop: Poller.layerEventLoop(),
  layerBlocking: Poller.layerBlocking()
}

if (isMainThread) {
  const worker = new Worker(new URL(import.meta.url), { workerData: layerName })
  await once(worker, "message")
  console.log("ready")
  if (how === "process.exit") process.exit(7)
  await worker.terminate()
  console.log("terminated")
} else {
  let rounds = 0
  await Effect.gen(function* () {
    const poller = yield* Poller.Poller
    const fd = Kernel.source()
    yield* Registrar.register(fd, "Read")
    Kernel.signal(fd)
    yield* poller.notifications.pipe(
      Stream.runForEach(() =>
        Effect.sync(() => {
          if (++rounds === 1000) parentPort!.postMessage("busy")
          Kernel.signal(fd)
        })
      )
    )
  }).pipe(Effect.provide(layers[workerData as string]!), Effect.runPromise)
}
