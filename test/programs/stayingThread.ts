/**
 * A thread that attaches, opens the event of another thread fifty times and a set of descriptors if
 * it is given the event, and waits to be terminated. It posts an event of its own then.
 */
import { Effect } from "effect"
import { ForeignFd, Poller, UserEvent } from "effect-amy"
import { parentPort, workerData } from "node:worker_threads"
import type { LeavingData } from "../support/programs.ts"

const { event, handle } = workerData as LeavingData

const program = Effect.gen(function* () {
  if (event !== undefined) {
    for (let count = 0; count < 50; count++) yield* UserEvent.fromHandle(event)
    yield* ForeignFd.makeSet
  }
  parentPort!.postMessage(event === undefined ? "attached" : (yield* UserEvent.make).handle)
  yield* Effect.never
})

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Poller.layerAttach(handle))))
