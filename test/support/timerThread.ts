/** A thread with timers of its own. It attaches to a poller, or blocks in one of its own. */
import { Effect } from "effect"
import { Poller, Registrar } from "effect-amy"
import { parentPort, workerData } from "node:worker_threads"
import { runThread } from "./thread.ts"

const { poller } = workerData as { readonly poller: Poller.PollerHandle | undefined }

const layer = poller === undefined ? Poller.layerBlocking() : Poller.layerAttach(poller)

await runThread(
  Effect.gen(function* () {
    const { wait } = yield* Poller.Poller
    const millis = [0, 0.4, 5, 12.5]
    const ids: Array<number> = []
    const early: Array<number> = []
    const start = performance.now()
    for (const each of millis) ids.push(yield* Registrar.timeout(each))
    const reported: Array<number> = []
    while (reported.length < ids.length) {
      for (const { id } of yield* wait("10 seconds")) {
        reported.push(id)
        // The two clocks may differ by a microsecond, because both round.
        if (performance.now() - start < millis[ids.indexOf(id)]! - 0.001) early.push(id)
      }
    }
    const cancelled = yield* Registrar.interval(1)
    yield* wait("10 seconds")
    yield* Registrar.cancelTimer(cancelled)
    parentPort!.postMessage({ ids, reported, early, afterwards: yield* wait(0) })
  }).pipe(Effect.provide(layer))
)
