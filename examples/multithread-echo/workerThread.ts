/**
 * A worker thread. It joins the poller by its handle, takes connections over from the main thread,
 * and serves them. Their notifications come to this thread directly, without the main thread.
 */
import { NodeRuntime, NodeWorkerRunner } from "@effect/platform-node"
import { Effect, Stream } from "effect"
import { Poller } from "effect-amy"
import { WorkerRunnerPlatform } from "effect/workers/WorkerRunner"
import { workerData } from "node:worker_threads"
import * as Echo from "./echo.ts"
import type { Connection, WorkerReport } from "./messages.ts"

const program = Effect.gen(function* () {
  const platform = yield* WorkerRunnerPlatform
  const runner = yield* platform.start<WorkerReport, Connection>()
  const serve = yield* Echo.make((report) => runner.send(0, report))

  // If the poller fails, the race fails, and so does this thread. The main thread notices that.
  yield* Effect.raceFirst(
    // Runs a fiber for each connection. Returns when the main thread closes this worker, and
    // interrupts the rest.
    runner.run((_port, fd) => serve(fd)),
    // Every notification goes to a fiber that waits for it, so this stream emits nothing. It only
    // ends or fails.
    Stream.runDrain(Poller.notifications)
  )
})

program.pipe(
  Effect.scoped,
  Effect.provide([Poller.layerAttach(workerData as Poller.PollerHandle), NodeWorkerRunner.layer]),
  NodeRuntime.runMain
)
