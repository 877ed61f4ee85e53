/**
 * The worker threads as the main thread sees them. It deals connections out to them, and they send
 * reports.
 */
import { NodeWorker } from "@effect/platform-node"
import { Context, Data, Deferred, Effect, FiberSet, Layer, SubscriptionRef } from "effect"
import { Poller } from "effect-amy"
import { Spawner, WorkerPlatform } from "effect/workers/Worker"
import type { WorkerError } from "effect/workers/WorkerError"
import { Worker } from "node:worker_threads"
import { type Connection, emptyReport, type WorkerReport } from "./messages.ts"

/** A worker thread died, could not be started, or could not receive a message. */
export class EchoWorkerError extends Data.TaggedError("EchoWorkerError")<{ readonly cause: WorkerError }> {
  override get message(): string {
    const { cause, message } = this.cause.reason
    return `a worker thread failed: ${String(cause ?? message)}`
  }
}

const failed = (cause: WorkerError) => new EchoWorkerError({ cause })

export class EchoWorkers extends Context.Service<
  EchoWorkers,
  {
    /** Sends a connection to the next worker, in turns. */
    readonly deal: (connection: Connection) => Effect.Effect<void, EchoWorkerError>
    /** The last report of each worker. */
    readonly reports: SubscriptionRef.SubscriptionRef<ReadonlyArray<WorkerReport>>
    /** Fails as soon as a worker fails. */
    readonly failure: Effect.Effect<never, EchoWorkerError>
  }
>()("examples/EchoWorkers") {}

/**
 * Starts `count` worker threads. When the layer closes, each closes its connections, and the layer
 * waits for it.
 */
export const layer = (count: number): Layer.Layer<EchoWorkers, EchoWorkerError, Poller.Poller> =>
  Layer.effect(
    EchoWorkers,
    Effect.gen(function* () {
      const handle = yield* Poller.handle
      const platform = yield* WorkerPlatform
      // The handle is plain data. With it the worker joins the poller of this thread. (A thread
      // inherits the options of its process, so it resolves `effect-amy` as this one does.)
      const startThread = () => new Worker(entry, { workerData: handle, name: "echo worker" })
      const threads = yield* FiberSet.make<never, EchoWorkerError>()
      const failure = Effect.andThen(FiberSet.join(threads), Effect.never)
      const reports = yield* SubscriptionRef.make<ReadonlyArray<WorkerReport>>(
        Array.from({ length: count }, () => emptyReport)
      )

      const start = Effect.fnUntraced(function* (index: number) {
        const worker = yield* platform
          .spawn<WorkerReport, Connection>(index)
          .pipe(Effect.provideService(Spawner, startThread), Effect.mapError(failed))
        const ready = yield* Deferred.make<void>()
        const running = worker.run((report) => SubscriptionRef.update(reports, (all) => all.with(index, report)), {
          onSpawn: Effect.asVoid(Deferred.succeed(ready, undefined))
        })
        yield* FiberSet.run(threads, Effect.mapError(running, failed))
        yield* Effect.raceFirst(Deferred.await(ready), failure)
        return worker
      })
      const workers = yield* Effect.forEach(Array.from({ length: count }).keys(), start, { concurrency: "unbounded" })

      let dealt = 0
      return EchoWorkers.of({
        deal: (connection) => Effect.suspend(() => Effect.mapError(workers[dealt++ % count]!.send(connection), failed)),
        reports,
        failure
      })
    })
  ).pipe(Layer.provide(NodeWorker.layerPlatform))

const entry = new URL("./workerThread.ts", import.meta.url)
