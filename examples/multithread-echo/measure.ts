/** Runs the clients against the server, and collects what both sides counted. */
import { Effect, Stream, SubscriptionRef } from "effect"
import { Poller, type PollerError } from "effect-amy"
import type { ClientsError, ClientsResult } from "./clients.ts"
import * as Clients from "./clients.ts"
import { total, type WorkerReport } from "./messages.ts"
import type { ClientOptions } from "./options.ts"
import { EchoServer } from "./server.ts"
import { type EchoWorkerError, EchoWorkers } from "./workers.ts"

export interface Measurement {
  readonly clients: ClientsResult
  readonly accepted: number
  readonly workers: ReadonlyArray<WorkerReport>
  /** Figures of the main thread: its own notifications, and the counts of the whole poller. */
  readonly poller: Poller.PollerStats
}

export const measure = ({
  clients,
  seconds
}: ClientOptions): Effect.Effect<
  Measurement,
  ClientsError | PollerError.PollerError | EchoWorkerError,
  EchoServer | EchoWorkers | Poller.Poller
> =>
  Effect.gen(function* () {
    const server = yield* EchoServer
    const workers = yield* EchoWorkers

    const measured = Effect.gen(function* () {
      const result = yield* Clients.run({ port: server.port, clients, seconds })
      const accepted = yield* server.accepted
      // A client may see the end before the worker's report of it arrives. A missing report is a
      // loss.
      yield* SubscriptionRef.changes(workers.reports).pipe(
        Stream.takeUntil((reports) => total(reports, "connections") >= accepted),
        Stream.runDrain,
        Effect.timeoutOption("10 seconds")
      )
      return {
        clients: result,
        accepted,
        workers: yield* SubscriptionRef.get(workers.reports),
        poller: yield* Poller.stats
      }
    })
    // The server runs until the measurement is done. The measurement fails if the server fails.
    return yield* Effect.raceFirst(measured, server.run)
  })
