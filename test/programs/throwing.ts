/**
 * Consumers whose observer throws, in a process that listens for uncaught exceptions and goes on.
 * Prints what is seen after that as one line of JSON for each way to consume: nothing else may be
 * affected. The argument names the layer.
 */
import { Effect, Exit, Fiber, Layer, Queue, Scope, Stream } from "effect"
import { AsyncFd, Fd, PollChannel, Poller, type PollerError, Registrar, Tcp } from "effect-amy"
import * as Kernel from "../support/kernel.ts"
import { layerAttached } from "../support/layers.ts"

const layers = {
  layerWorker: Poller.layerWorker(),
  layerEventLoop: Poller.layerEventLoop(),
  layerBlocking: Poller.layerBlocking({ allowMainThread: true }),
  layerAttach: layerAttached()
}

const thrown: Array<string> = []
process.on("uncaughtException", (error) => thrown.push(error.message))
process.on("unhandledRejection", (error) => thrown.push(`rejection: ${String(error)}`))

type Services = Poller.Poller | Registrar.Registrar | Scope.Scope
type Failure = PollerError.PollerError
interface Way {
  /** Waits for one report. */
  readonly consume: Effect.Effect<unknown, unknown, Services>
  /** Makes that report. */
  readonly report: Effect.Effect<unknown, Failure, Services>
}

const byte = Uint8Array.of(1)

const pipe = Effect.gen(function* () {
  const { reader, writer } = yield* Fd.pipe
  return { reader, report: writer.tryWrite(byte) }
})

const ways: { readonly [name: string]: Effect.Effect<Way, Failure, Services> } = {
  "AsyncFd.read": Effect.gen(function* () {
    const { reader, report } = yield* pipe
    const fd = yield* AsyncFd.make(reader, { event: "Read" })
    return { consume: fd.read(new Uint8Array(1)), report }
  }),
  "AsyncFd.readable": Effect.gen(function* () {
    const { reader, report } = yield* pipe
    const fd = yield* AsyncFd.make(reader, { event: "Read" })
    return { consume: fd.readable, report }
  }),
  "Registrar.watch": Effect.gen(function* () {
    const { reader, report } = yield* pipe
    return { consume: Stream.runHead(Registrar.watch(reader, "Read")), report }
  }),
  "Poller.queue": Effect.gen(function* () {
    const { reader, report } = yield* pipe
    yield* Registrar.registerScoped(reader, "Read")
    return { consume: Effect.flatMap(Poller.queue, Queue.take), report }
  }),
  "Poller.wait": Effect.gen(function* () {
    const { reader, report } = yield* pipe
    yield* Registrar.registerScoped(reader, "Read")
    return { consume: Poller.wait("1 minute"), report }
  }),
  "PollChannel.receive": Effect.gen(function* () {
    const { receiver, sender } = yield* PollChannel.unbounded<number>()
    return { consume: receiver.receive, report: sender.send(1) }
  }),
  "Tcp.read": Effect.gen(function* () {
    const listener = yield* Tcp.listen("127.0.0.1:0")
    const client = yield* Tcp.connect(listener.address)
    const connection = yield* listener.accept
    return { consume: connection.read(new Uint8Array(1)), report: client.write(byte) }
  }),
  "Tcp.writeAll": Effect.gen(function* () {
    const listener = yield* Tcp.listen("127.0.0.1:0")
    const client = yield* Tcp.connect(listener.address)
    const connection = yield* listener.accept
    const all = new Uint8Array(16 * 1024 * 1024)
    return { consume: client.writeAll(all), report: Effect.forkScoped(Stream.runDrain(connection.stream)) }
  })
}

const throwing = <A, E>(effect: Effect.Effect<A, E, Services>): Effect.Effect<void, never, Services> =>
  Effect.contextWith((context) =>
    Effect.sync(() => {
      Effect.runCallback(Effect.provideContext(effect, context), {
        onExit: () => {
          throw new Error("thrown by onExit")
        }
      })
    })
  )

const until = (condition: () => boolean) =>
  Effect.promise(async () => {
    while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1))
  })

const tryOne = (name: string, way: Effect.Effect<Way, Failure, Services>) =>
  Effect.gen(function* () {
    const before = Kernel.openDescriptors().size
    thrown.length = 0
    const scope = yield* Scope.make()
    const context = yield* Layer.buildWithScope(layers[process.argv[2] as keyof typeof layers], scope)
    const seen = yield* Effect.gen(function* () {
      const bad = yield* way
      const others = [yield* pipe, yield* pipe]
      const readers = yield* Effect.forEach(others, ({ reader }) => AsyncFd.make(reader, { event: "Read" }))
      const waiting = yield* Effect.forEach(readers, (fd) =>
        Effect.forkChild(fd.read(new Uint8Array(1)), { startImmediately: true })
      )
      yield* throwing(bad.consume)
      // Every fiber waits by now, so all of these may come in one batch.
      yield* until(() => true)
      yield* others[0]!.report
      yield* bad.report
      yield* others[1]!.report
      const sameBatch = yield* Effect.forEach(waiting, Fiber.join)
      yield* until(() => thrown.length > 0)
      const id = yield* Registrar.timeout(1)
      const after = yield* Effect.repeat(Poller.wait("10 seconds"), {
        until: (all) => all.some((each) => each.id === id)
      })

      // Three readers of a socket that is closed, the first of which throws.
      const listener = yield* Tcp.listen("127.0.0.1:0")
      const client = yield* Tcp.connect(listener.address)
      yield* throwing(client.read(new Uint8Array(1)))
      const reading = yield* Effect.forEach([1, 2], () =>
        Effect.forkChild(Effect.flip(client.read(new Uint8Array(1))), { startImmediately: true })
      )
      yield* client.close
      const closed = yield* Effect.forEach(reading, (fiber) =>
        Effect.map(Fiber.join(fiber), ({ reason }) => reason._tag)
      )
      yield* until(() => thrown.length > 1)

      // What waits when the layer closes: one that throws for each kind, and one behind it.
      const [last] = [yield* pipe]
      const fd = yield* AsyncFd.make(last.reader, { event: "Read" })
      yield* throwing(Effect.exit(fd.readable))
      yield* throwing(Effect.exit(Effect.flatMap(Poller.queue, Queue.take)))
      const ending = [
        yield* Effect.forkDetach(Effect.flip(fd.readable), { startImmediately: true }),
        yield* Effect.forkDetach(Effect.flip(Effect.flatMap(Poller.queue, Queue.take)), { startImmediately: true })
      ]
      return { sameBatch, timer: after.length > 0, closed, ending }
    }).pipe(Effect.provideContext(context), Effect.provideService(Scope.Scope, scope))
    yield* Scope.close(scope, Exit.void)
    const ended = yield* Effect.forEach(seen.ending, (fiber) =>
      Effect.map(Fiber.join(fiber as Fiber.Fiber<unknown>), (error) =>
        String((error as { _tag?: string })._tag ?? error)
      )
    )
    yield* until(() => thrown.length > 3)
    const left = Kernel.openDescriptors().size - before
    console.log(JSON.stringify({ name, ...seen, ending: undefined, ended, thrown, left }))
  })

await Effect.runPromise(Effect.forEach(Object.entries(ways), ([name, way]) => tryOne(name, way), { discard: true }))
