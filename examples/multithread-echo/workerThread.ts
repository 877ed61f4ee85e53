/**
 * A worker thread: joins the poller by the handle it was given, takes connections over from the main thread, and serves
 * them. Their notifications come to this thread directly; the main thread has no part in it any more.
 */
import { NodeRuntime, NodeWorkerRunner } from "@effect/platform-node"
import { Effect, Stream } from "effect"
import { Poller } from "effect-amy"
import { WorkerRunnerPlatform } from "effect/workers/WorkerRunner"
import { workerData } from "node:worker_threads"
import * as Echo from "./echo.ts"
import type { Connection, WorkerReport } from "./messages.ts"

const program = Effect.gen(function* () {
  const poller = yield* Poller.Poller
  const platform = yield* WorkerRunnerPlatform
  const runner = yield* platform.start<WorkerReport, Connection>()
  const serve = yield* Echo.make((report) => runner.send(0, report))

  // A thread whose poller has failed is of no use: then the race fails, the thread with it, and the main thread sees it.
  yield* Effect.raceFirst(
    // A fiber for each connection. Returns when the main thread asks this one to close, and interrupts those that are left.
    runner.run((_port, fd) => serve(fd)),
    // Every notification is for a fiber that waits for it, and there is none left for the stream: it only fails or ends.
    Stream.runDrain(poller.notifications)
  )
})

program.pipe(
  Effect.scoped,
  Effect.provide([Poller.layerAttach(workerData as Poller.PollerHandle), NodeWorkerRunner.layer]),
  NodeRuntime.runMain
)
