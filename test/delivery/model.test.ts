/**
 * Compares random sequences of operations on pipes, sockets and eventfds with a model of
 * edge-triggered readiness. No notification may be missing, repeated or a ghost. `MODEL_SEED`
 * repeats a run, and `MODEL_SEQUENCES` sets its length.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { Poller, Registrar } from "effect-amy"
import * as Kernel from "../support/kernel.ts"
import type { PollerLayer } from "../support/layers.ts"
import { layers } from "../support/layers.ts"
import { times } from "../support/long.ts"
import type { Failure, Operation, Services } from "../support/model.ts"
import { describeSequence, generate, random, runAlone, runBeside, shrink } from "../support/model.ts"

const seed = Number(process.env.MODEL_SEED ?? Math.floor(Math.random() * 0x1_0000_0000))
const sequences = Number(process.env.MODEL_SEQUENCES ?? times(50, 600))

const services = Effect.all({ poller: Poller.Poller, registrar: Registrar.Registrar })

type Runner = (services: Services, operations: ReadonlyArray<Operation>) => Promise<Failure | undefined>
const alone: Runner = async (services, operations) => runAlone(services, operations)
const beside: Runner = runBeside

const agrees = (layer: PollerLayer, run: Runner, length: number, waits: "often" | "seldom") =>
  Effect.gen(function* () {
    const before = Kernel.openDescriptors().size
    const { poller, registrar } = yield* services
    const next = random(seed)
    for (let sequence = 1; sequence <= sequences; sequence++) {
      const operations = generate(next, length, waits)
      const failure = yield* Effect.promise(() => run({ poller, registrar }, operations))
      if (failure === undefined) continue
      // Each attempt has a poller of its own, so that an earlier failure has no influence.
      const anew = (candidate: ReadonlyArray<Operation>) =>
        Effect.runPromise(
          services.pipe(
            Effect.flatMap((fresh) => Effect.promise(() => run(fresh, candidate))),
            Effect.provide(layer)
          )
        )
      const shortest = yield* Effect.promise(() => shrink(operations.slice(0, failure.after), anew))
      expect.fail(
        `sequence ${sequence} of MODEL_SEED=${seed}: ${failure.message}\n` +
          `at the end of: ${describeSequence(shortest.operations)}\n` +
          (shortest.message === undefined ? "(not repeatable any shorter)" : `which alone says: ${shortest.message}`)
      )
    }
    expect(Kernel.openDescriptors().size).toBeLessThanOrEqual(before)
  }).pipe(Effect.provide(layer))

const blocking = (options?: Poller.LayerOptions) => Poller.layerBlocking({ ...options, allowMainThread: true })

const cases: ReadonlyArray<readonly [string, (options?: Poller.LayerOptions) => PollerLayer, Runner]> = [
  ["layerEventLoop, alone", layers.layerEventLoop, alone],
  ["layerBlocking, alone", blocking, alone],
  ["layerEventLoop, with turns of the loop in between", layers.layerEventLoop, beside],
  ["layerWorker", layers.layerWorker, beside],
  ["layerAttach to a layerWorker", layers["layerAttach to a layerWorker"], beside]
]

for (const [name, layer, run] of cases) {
  describe(`promises 3 and 5: the notifications agree with the model (${name})`, () => {
    it.live("in a wait after every few operations", () => agrees(layer(), run, 60, "often"), 600_000)

    it.live(
      "in a wait after many operations, with the smallest mailbox and the smallest batch",
      () => agrees(layer({ mailboxSize: 1, batchSize: 1 }), run, 150, "seldom"),
      600_000
    )
  })
}
