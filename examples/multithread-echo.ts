/**
 * An echo server on several threads, after amy's own example.
 *
 * - One thread waits in the kernel for all connections of all threads: `Poller.layerWorker`.
 * - The main thread listens (`Tcp.listen`) and accepts. It deals the new descriptors out to the
 *   worker threads, in turns.
 * - The worker threads have joined the poller: `Poller.layerAttach`. Each makes connections of its
 *   descriptors (`Tcp.fromFd`), with one fiber for each. It registers them itself, and receives
 *   their notifications directly. Neither the polling thread nor the main thread handles a byte.
 *
 * Start with this file. Then read, in `multithread-echo/`, `server.ts` (accepting), `workers.ts`
 * and `workerThread.ts` (the two ends of a worker) and `echo.ts` (reading and writing). The other
 * files there are the clients and the measurement.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Data, Effect, Layer } from "effect"
import { Poller } from "effect-amy"
import { openDescriptors } from "./multithread-echo/descriptors.ts"
import { measure } from "./multithread-echo/measure.ts"
import type { ClientOptions, ServerOptions } from "./multithread-echo/options.ts"
import { help, parse } from "./multithread-echo/options.ts"
import { losses, table } from "./multithread-echo/report.ts"
import * as Server from "./multithread-echo/server.ts"
import * as Workers from "./multithread-echo/workers.ts"

/** The whole server: the listener, the workers, the poller. They are closed in that order. */
const layer = ({ port, workers }: ServerOptions) =>
  Server.layer(port).pipe(
    Layer.provideMerge(Workers.layer(workers)),
    // One mailbox for each worker, and one for this thread.
    Layer.provideMerge(Poller.layerWorker({ maxThreads: workers + 1 }))
  )

/** Serves clients until it is interrupted. */
const serve = (options: ServerOptions) =>
  Effect.gen(function* () {
    const server = yield* Server.EchoServer
    yield* Console.log(`listening on 127.0.0.1:${server.port}, ${options.workers} worker threads; Ctrl-C ends it`)
    yield* server.run
  }).pipe(
    Effect.provide(layer(options)),
    Effect.onInterrupt(() => Console.log("everything is closed"))
  )

/** Bytes, connections or descriptors were lost. */
class Lost extends Data.TaggedError("Lost")<{ readonly losses: ReadonlyArray<string> }> {
  override get message(): string {
    return this.losses.map((loss) => `lost: ${loss}`).join("\n")
  }
}

/** Runs clients against the server, and checks what is left when it is closed. */
const check = (options: ServerOptions & ClientOptions) =>
  Effect.gen(function* () {
    const before = yield* openDescriptors
    const measurement = yield* Effect.provide(measure(options), layer(options))
    const after = yield* openDescriptors
    const outcome = { options, measurement, before, after }
    yield* Console.log(table(outcome))
    const lost = losses(outcome)
    if (lost.length > 0) return yield* new Lost({ losses: lost })
    // Windows does not show the descriptors.
    yield* Console.log(`\nnothing was lost${before.size === 0 ? "" : ", and every descriptor was closed"}`)
  })

const program = Effect.gen(function* () {
  const command = yield* parse(process.argv.slice(2))
  switch (command._tag) {
    case "Help":
      return yield* Console.log(help)
    case "Serve":
      return yield* serve(command)
    case "Measure":
      return yield* check(command)
  }
})

// An expected error prints its message only. A defect is logged in full.
program.pipe(
  Effect.tapError((error) => Console.error(error.message)),
  Effect.tapDefect((defect) => Effect.logError(defect)),
  NodeRuntime.runMain({ disableErrorReporting: true })
)
