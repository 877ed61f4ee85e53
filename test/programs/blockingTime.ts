/**
 * A thread that measures the waits of a `layerBlocking`. Each message is the timeout of one wait.
 */
import { Duration, Effect, Queue } from "effect"
import { Poller } from "effect-amy"
import { parentPort } from "node:worker_threads"
import type { WaitMeasured } from "../support/programs.ts"

const port = parentPort!

const program = Effect.gen(function* () {
  const poller = yield* Poller.Poller
  const asked = yield* Queue.unbounded<number>()
  port.on("message", (millis: number) => Queue.offerUnsafe(asked, millis))
  while (true) {
    const millis = yield* Queue.take(asked)
    const before = yield* poller.stats
    const start = performance.now()
    const taken = yield* poller.wait(Duration.millis(millis))
    const elapsed = performance.now() - start
    const after = yield* poller.stats
    port.postMessage({ elapsed, taken: taken.length, waits: after.waits - before.waits } satisfies WaitMeasured)
  }
}).pipe(Effect.provide(Poller.layerBlocking()))

await Effect.runPromise(program)
