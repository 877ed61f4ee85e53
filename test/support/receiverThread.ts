/** A thread that attaches to a poller and holds the receiving end of a channel. */
import { Effect } from "effect"
import { PollChannel, Poller } from "effect-amy"
import { parentPort, workerData } from "node:worker_threads"
import { command, runThread } from "./thread.ts"

export interface ReceiverThreadData {
  readonly poller: Poller.PollerHandle
  readonly capacity: number
}

const { capacity, poller } = workerData as ReceiverThreadData

// Any message ends the channel, and the thread.
await runThread(
  Effect.gen(function* () {
    const { sender } = yield* PollChannel.bounded<unknown>(capacity)
    const handle = yield* sender.handle
    parentPort!.postMessage(handle, [handle.port])
    yield* command
  }).pipe(Effect.scoped, Effect.provide(Poller.layerAttach(poller)))
)
