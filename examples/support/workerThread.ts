/**
 * A worker thread: joins the poller by the handle it was given, takes connections over from the main thread, and serves
 * them. Notifications come to this thread directly; the main thread has no part in it any more.
 */
import { NodeRuntime, NodeWorkerRunner } from "@effect/platform-node"
import { Effect, Stream } from "effect"
import { Poller } from "effect-amy"
import { WorkerRunnerPlatform } from "effect/workers/WorkerRunner"
import { workerData } from "node:worker_threads"
import * as Connections from "./connections.ts"
import type { Connection, WorkerReport } from "./messages.ts"

const program = Effect.gen(function* () {
  const poller = yield* Poller.Poller
  const platform = yield* WorkerRunnerPlatform
  const runner = yield* platform.start<WorkerReport, Connection>()
  const connections = yield* Connections.make((report) => runner.send(0, report))

  // A thread whose poller has failed is of no use: then the race fails, the thread with it, and the main thread sees it.
  yield* Effect.raceFirst(
    // Returns when the main thread asks this one to close.
    runner.run((_port, fd) => connections.adopt(fd)),
    Stream.runForEach(poller.notifications, ({ id }) => connections.advance(id))
  )
})

program.pipe(
  Effect.scoped,
  Effect.provide([Poller.layerAttach(workerData as Poller.PollerHandle), NodeWorkerRunner.layer]),
  NodeRuntime.runMain
)
