/**
 * A thread that opens everything for which the library takes a descriptor, and posts the handles of
 * what it has made. It then waits to be terminated.
 */
import { Effect } from "effect"
import { PollChannel, Poller, Registrar, UserEvent } from "effect-amy"
import { parentPort, workerData } from "node:worker_threads"
import type { LeavingData, LeavingMessage } from "../support/programs.ts"

const { event, handle, sender } = workerData as LeavingData

const program = Effect.gen(function* () {
  yield* Registrar.interval("1 hour")
  const events = yield* Effect.replicateEffect(UserEvent.make, 20)
  yield* PollChannel.bounded<number>(1)
  // What ended before is not left.
  yield* Effect.scoped(UserEvent.make)
  if (event !== undefined) yield* (yield* UserEvent.fromHandle(event)).trigger
  if (sender !== undefined) yield* (yield* PollChannel.fromHandle<number>(sender)).send(1)
  const message: LeavingMessage = { events: events.map((each) => each.handle) }
  parentPort!.postMessage(message)
  yield* Effect.never
})

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Poller.layerAttach(handle))))
