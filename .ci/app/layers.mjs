// Sockets on every layer, a channel and an attached thread: the program that .ci/tools/bundle.mjs bundles.
import { Effect, Stream } from "effect"
import { PollChannel, Poller } from "effect-amy"
import { Tcp } from "effect-amy/net"
import { isMainThread, Worker, workerData } from "node:worker_threads"

const echo = Effect.gen(function* () {
  const listener = yield* Tcp.listen("127.0.0.1:0")
  yield* Effect.forkScoped(listener.run((connection) => Stream.run(connection.stream, connection.sink)))
  const client = yield* Tcp.connect(listener.address)
  yield* client.writeAll(new TextEncoder().encode("hello"))
  yield* client.shutdown("write")
  return Buffer.concat(yield* Stream.runCollect(client.stream)).toString()
}).pipe(Effect.scoped)

const layers = {
  layerWorker: Poller.layer,
  layerEventLoop: Poller.layerEventLoop(),
  layerBlocking: Poller.layerBlocking({ allowMainThread: true })
}

const onEachLayer = Effect.forEach(Object.entries(layers), ([name, layer]) =>
  Effect.map(Effect.provide(echo, layer), (text) => console.log(name, text))
)

const attached = Effect.gen(function* () {
  const { receiver, sender } = yield* PollChannel.unbounded()
  const port = yield* sender.handle
  const data = { poller: yield* Poller.handle, port }
  const thread = new Worker(process.argv[1], { workerData: data, transferList: [port.port] })
  const exited = new Promise((resolve) => thread.once("exit", resolve))
  console.log("layerAttach", yield* receiver.receive)
  yield* Effect.promise(() => exited)
}).pipe(Effect.scoped, Effect.provide(Poller.layer))

const inThread = Effect.gen(function* () {
  const sender = yield* PollChannel.fromHandle(workerData.port)
  yield* sender.send(yield* Effect.provide(echo, Poller.layerAttach(workerData.poller)))
}).pipe(Effect.scoped)

// A single executable has no file that a thread of its own could run.
const isFile = process.argv[1] !== process.execPath

const main = isFile ? Effect.andThen(onEachLayer, attached) : onEachLayer
Effect.runPromise(isMainThread ? main : inThread)
