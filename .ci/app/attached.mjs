// A second thread attaches to the poller, on the built JavaScript.
import { Effect } from "effect"
import { Poller, Registrar } from "effect-amy"
import assert from "node:assert/strict"
import { closeSync, openSync, writeSync } from "node:fs"
import { once } from "node:events"
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads"
import * as Fifo from "./fifo.mjs"

if (isMainThread) {
  const fifo = Fifo.open()
  const program = Effect.gen(function* () {
    const workerData = { handle: yield* Poller.handle, fd: fifo.fd, path: fifo.path }
    const worker = new Worker(new URL(import.meta.url), { workerData })
    const message = yield* Effect.promise(() => once(worker, "message"))
    assert.deepEqual(message, [{ id: 1, event: "Read" }])
    yield* Effect.promise(() => once(worker, "exit"))
    assert.equal((yield* Poller.stats).notifications, 0)
  })
  await Effect.runPromise(Effect.provide(program, Poller.layer))
  fifo.close()
  console.log("an attached thread receives its own notifications")
} else {
  const program = Effect.gen(function* () {
    yield* Registrar.register(workerData.fd, "Read")
    // In Deno, a thread writes only to what it has opened itself.
    const fd = openSync(workerData.path, "w")
    writeSync(fd, "x")
    closeSync(fd)
    const [{ event, id }] = yield* Poller.wait("5 seconds")
    parentPort.postMessage({ id, event })
  })
  await Effect.runPromise(Effect.provide(program, Poller.layerAttach(workerData.handle)))
}
