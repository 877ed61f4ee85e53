/** Exits while another thread loads native code. The exit has to wait for it. */
import { Effect } from "effect"
import { Poller } from "effect-amy"
import { writeSync } from "node:fs"
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads"
import { shownThread } from "../../src/internal/kernel/threadId.ts"
import { PollerMemory } from "../../src/internal/shared/pollerMemory.ts"
import { block } from "../support/thread.ts"
import { contentsOf } from "../../src/internal/layers/pollerHandle.ts"

if (isMainThread) {
  const program = Effect.gen(function* () {
    const { handle } = yield* Poller.Poller
    const worker = new Worker(new URL(import.meta.url), { workerData: contentsOf(handle).memory })
    worker.on("message", () => {
      console.log("ready")
      process.exit(7)
    })
    yield* Effect.never
  })
  void Effect.runPromise(Effect.provide(program, Poller.layerWorker()))
} else {
  const memory = new PollerMemory(workerData as SharedArrayBuffer)
  const place = memory.loading.begin(shownThread())
  parentPort!.postMessage("loading")
  block(200)
  // `console.log` would leave the writing to the main thread.
  writeSync(1, "loaded\n")
  memory.loading.end(place)
}
