/**
 * A thread that only polls, as in amy's own example. It posts its handle, and polls until it
 * receives a message.
 */
import { Effect } from "effect"
import { Poller } from "effect-amy"
import { parentPort, receiveMessageOnPort } from "node:worker_threads"

const port = parentPort!

const program = Effect.gen(function* () {
  const poller = yield* Poller.Poller
  port.postMessage(poller.handle)
  // All notifications are for the attached threads: this thread registers nothing.
  while (receiveMessageOnPort(port) === undefined) yield* poller.wait("50 millis")
})

await Effect.runPromise(Effect.provide(program, Poller.layerBlocking()))
port.close()
