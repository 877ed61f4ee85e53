/**
 * Ends threads by `worker.terminate()` in the midst of whatever the library does. Each thread opens
 * and closes timers, events, channels and sockets without end. Each is terminated a round later
 * than the one before it, and the first before it has closed anything.
 */
import { Effect } from "effect"
import { Poller, PollChannel, Registrar, Tcp, Udp, Unix, UserEvent } from "effect-amy"
import { once } from "node:events"
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads"
import type { PollerLayer } from "../support/layers.ts"

const layers: { readonly [name: string]: PollerLayer } = {
  layerWorker: Poller.layerWorker(),
  layerEventLoop: Poller.layerEventLoop(),
  layerBlocking: Poller.layerBlocking()
}

interface Data {
  readonly layer: string
  /** The number of complete rounds after which the thread posts a message. */
  readonly rounds: number
  /** The poller to attach to, if the thread has none of its own. */
  readonly handle: Poller.PollerHandle | undefined
}

const timers = Effect.gen(function* () {
  yield* Registrar.cancelTimer(yield* Registrar.timeout("1 hour"))
})

const everything = Effect.gen(function* () {
  yield* Effect.repeat(timers, { times: 100 })
  yield* Registrar.interval(1)
  const event = yield* UserEvent.make
  yield* event.trigger
  const { receiver, sender } = yield* PollChannel.unbounded<number>()
  yield* sender.send(1)
  yield* receiver.tryReceive
  yield* Udp.bind("127.0.0.1:0")
  yield* Unix.socketPair
  const listener = yield* Tcp.listen("127.0.0.1:0")
  const client = yield* Tcp.connect(listener.address)
  const server = yield* listener.accept
  yield* client.writeAll(new Uint8Array(1))
  yield* server.read(new Uint8Array(1))
}).pipe(Effect.scoped)

const run = ({ handle, layer, rounds }: Data) => {
  let done = 0
  const count = Effect.sync(() => {
    if (done++ === rounds) parentPort!.postMessage("under way")
  })
  const all = Effect.forever(Effect.andThen(count, everything))
  return Effect.provide(all, handle === undefined ? layers[layer]! : Poller.layerAttach(handle))
}

const endThread = (data: Data) =>
  Effect.gen(function* () {
    const worker = new Worker(new URL(import.meta.url), { workerData: data })
    yield* Effect.promise(() => once(worker, "message"))
    return yield* Effect.promise(() => worker.terminate())
  })

const endThreads = (layer: string, handle: Poller.PollerHandle | undefined) =>
  Effect.gen(function* () {
    const threads = Array.from({ length: 6 }, (_, rounds) => endThread({ layer, rounds, handle }))
    yield* Effect.all(threads, { concurrency: "unbounded" })
    console.log("ready")
  })

const main = (layer: string) =>
  layer === "layerAttach"
    ? Poller.Poller.use(({ handle }) => endThreads(layer, handle)).pipe(Effect.provide(Poller.layerWorker()))
    : endThreads(layer, undefined)

await Effect.runPromise(isMainThread ? main(process.argv[2]!) : run(workerData as Data))
