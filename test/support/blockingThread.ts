/** The entry of a thread that only polls, as amy's own example has it: it tells its handle, and waits until it is told to end. */
import { Effect } from "effect"
import { Poller } from "effect-amy"
import { parentPort, receiveMessageOnPort } from "node:worker_threads"

const port = parentPort!

const program = Effect.gen(function* () {
  const poller = yield* Poller.Poller
  port.postMessage(poller.handle)
  // Whatever comes is for the threads that are attached, so what this one waits for never comes.
  while (receiveMessageOnPort(port) === undefined) yield* poller.wait("50 millis")
})

await Effect.runPromise(Effect.provide(program, Poller.layerBlocking()))
port.close()
