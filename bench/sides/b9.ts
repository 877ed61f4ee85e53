/**
 * Our side of B9: `b9.ts attached|own|alone THREADS BLOCKS`. Starts the threads, and reads their
 * tallies before and after the measured time. This thread sleeps meanwhile.
 */
import { Effect } from "effect"
import { Poller } from "effect-amy"
import { Worker } from "node:worker_threads"
import * as Meter from "../support/meter.ts"
import { Tally } from "../support/tally.ts"
import type { ThreadData } from "./b9thread.ts"

const [how, ...numbers] = process.argv.slice(2)
const [threads = 1, blocks = 1] = numbers.map(Number)
const indices = Array.from({ length: threads }, (_, index) => index)

/** Starts a thread that ends with the scope. A thread that fails ends the process. */
const start = (data: ThreadData, tally: Tally) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const worker = new Worker(new URL("./b9thread.ts", import.meta.url), { workerData: data })
      return new Promise((resolve) => worker.once("exit", resolve))
    }),
    (exited) =>
      Effect.suspend(() => {
        tally.end()
        return Effect.promise(() => exited)
      })
  )

const program = Effect.gen(function* () {
  const poller = yield* Poller.Poller
  const pollers = { attached: poller.handle, own: "own", alone: undefined } as const
  const given = pollers[how as keyof typeof pollers]
  const tally = Tally.of(threads)
  for (const index of indices) yield* start({ index, blocks, poller: given, shared: tally.shared }, tally)
  while (indices.some((index) => tally.done(index) === 0)) yield* Effect.sleep(5)

  yield* Effect.sleep(Meter.setting("BENCH_WARMUP_MS"))
  const before = indices.map((index) => tally.done(index))
  const from = performance.now()
  yield* Effect.sleep(Meter.setting("BENCH_MEASURE_MS"))
  const done = indices.map((index) => tally.done(index) - before[index]!)
  const elapsed = performance.now() - from
  Meter.report({
    perSecond: (done.reduce((sum, each) => sum + each, 0) / elapsed) * 1e3,
    perSecondOfTheSlowest: (Math.min(...done) / elapsed) * 1e3
  })
})

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Poller.layerWorker())))
