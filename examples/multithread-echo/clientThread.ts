/**
 * The clients' thread. It has an event loop of its own, so that clients do not slow down the main
 * thread.
 */
import { parentPort, workerData } from "node:worker_threads"
import { type ClientResult, type Kind, kinds, runClient } from "./client.ts"
import type { ClientsInput, ClientsResult } from "./clients.ts"

const percentile = (sorted: Float64Array, share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0

const summarize = (results: ReadonlyArray<ClientResult>): ClientsResult => ({
  sent: results.reduce((sum, each) => sum + each.sent, 0),
  received: results.reduce((sum, each) => sum + each.received, 0),
  problems: results.flatMap(({ problem }) => problem ?? []),
  kinds: (Object.keys(kinds) as Array<Kind>).map((kind) => {
    const those = results.filter((each) => each.kind === kind)
    const roundTrips = Float64Array.from(those.flatMap((each) => each.roundTrips)).sort()
    return {
      kind,
      clients: those.length,
      echoes: roundTrips.length,
      p50: percentile(roundTrips, 0.5),
      p99: percentile(roundTrips, 0.99)
    }
  })
})

const { clients, port, seconds } = workerData as ClientsInput
const deadline = performance.now() + seconds * 1000
const running = Array.from({ length: clients }, (_, index) => runClient(index, port, deadline))
parentPort!.postMessage(summarize(await Promise.all(running)))
