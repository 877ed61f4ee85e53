/**
 * Our side of B8: `b8.ts MODULE`. Builds and closes `layerWorker` again and again, after a warm-up.
 * The module is the library: its sources, or compiled.
 */
import { Effect, Exit, Layer, Scope } from "effect"
import type * as Library from "effect-amy"
import { median } from "../support/statistics.ts"
import * as Meter from "../support/meter.ts"

const builds = 30
const warmUp = 3

const { Poller } = (await import(process.argv[2]!)) as typeof Library

const program = Effect.gen(function* () {
  const start: Array<number> = []
  const close: Array<number> = []
  for (let i = 0; i < warmUp + builds; i++) {
    const scope = yield* Scope.make()
    const before = performance.now()
    yield* Layer.buildWithScope(Poller.layerWorker(), scope)
    const between = performance.now()
    yield* Scope.close(scope, Exit.void)
    if (i < warmUp) continue
    start.push(between - before)
    close.push(performance.now() - between)
  }
  Meter.report({ startMillis: median(start), closeMillis: median(close) })
})

await Effect.runPromise(program)
