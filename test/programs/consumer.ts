/**
 * A thread that builds a layer and registers a source of its own. It posts each notification, and
 * how its consumer ended.
 *
 * The message "exit" makes it end at once and leave everything as it is. "block" makes it sleep for
 * ever, even if something wakes its event loop. Any other message makes it close its layer and end.
 */
import { Duration, Effect, Layer, Queue, Stream } from "effect"
import { Poller, Registrar } from "effect-amy"
import { parentPort, workerData } from "node:worker_threads"
import * as Kernel from "../support/kernel.ts"
import { operationsNow, outcome } from "../support/opened.ts"
import type { ConsumerData, ConsumerMessage } from "../support/programs.ts"

const data = workerData as ConsumerData
const port = parentPort!
const tell = (message: ConsumerMessage) => Effect.sync(() => port.postMessage(message))

const layers = {
  worker: () => Poller.layerWorker(),
  eventLoop: () => Poller.layerEventLoop(),
  blocking: () => Poller.layerBlocking(),
  attached: () => Poller.layerAttach(data.handle!)
}

const asked = Effect.callback<void>((resume) => {
  port.once("message", (message) => {
    if (message === "exit") process.exit()
    if (message !== "block") return resume(Effect.void)
    port.postMessage({ _tag: "blocked" } satisfies ConsumerMessage)
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
  })
})

const notified = (ids: ReadonlyArray<number>) => tell({ _tag: "notified", ids })

const consume = (poller: Poller.Poller["Service"]) => {
  switch (data.consume ?? "stream") {
    case "stream":
      return Stream.runForEach(poller.notifications, ({ id }) => notified([id]))
    case "queue":
      return Effect.forever(Effect.flatMap(Queue.take(poller.queue), ({ id }) => notified([id])))
    case "wait":
      return Effect.forever(Effect.flatMap(poller.wait(Duration.infinity), (all) => notified(all.map(({ id }) => id))))
  }
}

const program = Effect.gen(function* () {
  const poller = yield* Poller.Poller
  const registrar = yield* Registrar.Registrar
  const fd = yield* Effect.acquireRelease(Effect.sync(Kernel.source), (fd) => Effect.sync(() => Kernel.close(fd)))
  const id = yield* registrar.register(fd, "Read")
  yield* tell({ _tag: "ready", handle: poller.handle, fd, id })
  const ended = yield* outcome(consume(poller))
  const operations = yield* operationsNow({ poller, registrar })
  // The consumers end first. An attached layer closes its descriptors afterwards, in the same turn.
  yield* Effect.yieldNow
  yield* tell({ _tag: "ended", outcome: ended, operations })
  // The layer stays open until a message asks for its end.
  yield* Effect.never
}).pipe(Effect.scoped, Effect.provide(Layer.fresh(layers[data.layer]())))

await Effect.runPromise(Effect.raceFirst(program, asked))
port.postMessage({ _tag: "closed" } satisfies ConsumerMessage)
port.close()
