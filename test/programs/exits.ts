/**
 * Ends its process in one way, which the first argument names. It prints "ready", and then ends by
 * itself or receives a signal.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Duration, Effect, type Layer, Runtime } from "effect"
import { Poller, Registrar } from "effect-amy"
import { once } from "node:events"
import { Worker } from "node:worker_threads"
import * as Kernel from "../support/kernel.ts"
import type { PollerLayer } from "../support/layers.ts"
import type { ConsumerData, ConsumerMessage } from "../support/programs.ts"
import { programUrl } from "../support/programUrl.ts"

const layers: { readonly [name: string]: PollerLayer } = {
  layerWorker: Poller.layerWorker(),
  layerEventLoop: Poller.layerEventLoop(),
  layerBlocking: Poller.layerBlocking({ allowMainThread: true })
}

const ready = Effect.sync(() => console.log("ready"))

/**
 * Opens a poller, registers a descriptor and waits for it in vain. `meanwhile` runs beside that.
 */
const waiting = (layer: PollerLayer, meanwhile: Effect.Effect<void> = Effect.void) =>
  Effect.gen(function* () {
    yield* Effect.addFinalizer(() => Effect.sync(() => console.log("finalized")))
    const poller = yield* Poller.Poller
    yield* Registrar.registerScoped(Kernel.source(), "Read")
    yield* Effect.forkScoped(Effect.andThen(ready, meanwhile))
    yield* poller.wait(Duration.infinity)
  }).pipe(Effect.scoped, Effect.provide(layer), Effect.ensuring(Effect.sync(() => console.log("closed"))))

/** Runs an action in the next turn of the event loop, when the other fiber waits. */
const later = (action: () => void) => Effect.sync(() => void setImmediate(action))

/** Starts a thread of this process, and returns once it polls or sleeps. */
const startThread = async (data: ConsumerData): Promise<Extract<ConsumerMessage, { _tag: "ready" }>> => {
  const worker = new Worker(programUrl("programs/consumer"), { workerData: data })
  const [message] = (await once(worker, "message")) as [ConsumerMessage]
  if (message._tag !== "ready") throw new Error(`expected the message "ready", got "${message._tag}"`)
  return message
}

/** Ends the process while another thread owns a poller. This thread may be attached to it. */
const exitBeside = async (layer: "worker" | "eventLoop" | "blocking", attached: boolean) => {
  const { handle } = await startThread({ layer })
  const end = later(() => process.exit(7))
  await (attached
    ? Effect.runPromise(waiting(Poller.layerAttach(handle), end))
    : Effect.runPromise(Effect.andThen(ready, end)))
}

const end = (layer: Layer.Layer<Poller.Poller | Registrar.Registrar, unknown>) =>
  Effect.gen(function* () {
    const poller = yield* Poller.Poller
    const fd = Kernel.source()
    yield* Registrar.registerScoped(fd, "Read")
    Kernel.signal(fd)
    yield* poller.wait(Duration.infinity)
    yield* ready
  }).pipe(Effect.scoped, Effect.provide(layer))

const scenarios: { readonly [name: string]: (layer: PollerLayer) => unknown } = {
  "process.exit from outside": (layer) =>
    Effect.runPromise(
      waiting(
        layer,
        later(() => process.exit(7))
      )
    ),
  "process.exit in a fiber": (layer) =>
    Effect.runPromise(
      waiting(
        layer,
        Effect.sync(() => process.exit(7))
      )
    ),
  "process.exit in an exit listener": (layer) => {
    process.on("exit", () => process.exit(8))
    return Effect.runPromise(
      waiting(
        layer,
        later(() => process.exit(7))
      )
    )
  },
  "an uncaught exception": (layer) =>
    Effect.runPromise(
      waiting(
        layer,
        later(() => {
          throw new Error("uncaught on purpose")
        })
      )
    ),
  "an unhandled rejection": (layer) =>
    Effect.runPromise(
      waiting(
        layer,
        later(() => void Promise.reject(new Error("unhandled on purpose")))
      )
    ),
  runMain: (layer) => NodeRuntime.runMain(waiting(layer)),
  "the natural end": (layer) => Effect.runPromise(end(layer)),
  "the natural end under runMain": (layer) => NodeRuntime.runMain(end(layer)),
  "a failure under runMain": (layer) =>
    NodeRuntime.runMain(Effect.andThen(end(layer), Effect.fail({ [Runtime.errorExitCode]: 3 })), {
      disableErrorReporting: true
    }),
  "process.exit while a thread is attached": async () => {
    const handle = Promise.withResolvers<Poller.PollerHandle>()
    void Effect.runPromise(
      Effect.gen(function* () {
        handle.resolve((yield* Poller.Poller).handle)
        yield* Effect.never
      }).pipe(Effect.provide(Poller.layerWorker()))
    )
    await startThread({ layer: "attached", handle: await handle.promise })
    await Effect.runPromise(
      Effect.andThen(
        ready,
        later(() => process.exit(7))
      )
    )
  },
  "process.exit beside a thread with layerWorker": () => exitBeside("worker", false),
  "process.exit beside a thread with layerEventLoop": () => exitBeside("eventLoop", false),
  "process.exit beside a thread in layerBlocking": () => exitBeside("blocking", false),
  "process.exit attached to a thread with layerWorker": () => exitBeside("worker", true),
  "process.exit attached to a thread in layerBlocking": () => exitBeside("blocking", true)
}

await scenarios[process.argv[2]!]!(layers[process.argv[3] ?? "layerWorker"]!)
