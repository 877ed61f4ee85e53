/**
 * Runs in a process of `node --permission`. Prints what came of it, and what it left open.
 *
 * "use" uses a layer together with attached threads: one closes its layer, the others are
 * terminated. It listens at a path, and drops a permission meanwhile, if one is named. "open" opens
 * a layer, and then the path.
 */
import { Effect, Exit, Layer, Scope } from "effect"
import { Fd, Poller, PollerError, Registrar, Unix } from "effect-amy"
import { once } from "node:events"
import { fstatSync } from "node:fs"
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads"
import type { PollerLayer } from "../support/layers.ts"

const layers: { readonly [name: string]: PollerLayer } = {
  layerWorker: Poller.layerWorker({ maxThreads: 2 }),
  layerEventLoop: Poller.layerEventLoop({ maxThreads: 2 }),
  layerBlocking: Poller.layerBlocking({ maxThreads: 2, allowMainThread: true })
}

const [, , scenario, layerName = "", path = "", dropped] = process.argv

const drop = (): void => {
  if (dropped !== undefined) process.permission.drop(dropped)
}

const isOpen = (fd: number): boolean => {
  try {
    fstatSync(fd)
    return true
  } catch {
    return false
  }
}

/** `/proc` cannot be read here, and a system call of another kind may not be possible. */
const openDescriptors = () => Array.from({ length: 256 }, (_, fd) => fd).filter(isOpen)

const startThread = (handle: Poller.PollerHandle) =>
  Effect.promise(async () => {
    const worker = new Worker(new URL(import.meta.url), { workerData: handle })
    const [message] = (await once(worker, "message")) as [string]
    if (message !== "attached") throw new Error(`expected the message "attached", got "${message}"`)
    return worker
  })

const terminate = (worker: Worker) => Effect.promise(() => worker.terminate())

const listen = Effect.scoped(
  Effect.gen(function* () {
    yield* Unix.listen(path)
    yield* Effect.sync(drop)
  })
)

/** Builds the layer, runs a program with it, and closes it. Prints what is left open. */
const during = <A, E>(name: string, program: Effect.Effect<A, E, Poller.Poller | Registrar.Registrar>) =>
  Effect.gen(function* () {
    const before = openDescriptors()
    const exit = yield* Effect.exit(Effect.provide(program, Layer.fresh(layers[name]!)))
    if (Exit.isFailure(exit)) {
      const [reason] = exit.cause.reasons
      const error = reason?._tag === "Fail" ? reason.error : undefined
      console.log(PollerError.isPollerError(error) ? error.message : `defect: ${String(exit.cause)}`)
    }
    const left = openDescriptors().filter((fd) => !before.includes(fd))
    if (left.length > 0) console.log(`left open: ${left.join()}`)
  })

const withThreads = Effect.gen(function* () {
  const { handle, wait } = yield* Poller.Poller
  const closing = yield* startThread(handle)
  yield* listen
  yield* Effect.scoped(Unix.listen(path))
  console.log("listened twice")
  // Longer than an attached thread goes without checking on the polling thread.
  yield* Registrar.timeout(1200)
  while ((yield* wait("1 minute")).length === 0);
  closing.postMessage("close")
  yield* Effect.promise(() => once(closing, "exit"))
  // Each of the others needs the only place that is left.
  yield* terminate(yield* startThread(handle))
  yield* terminate(yield* startThread(handle))
  console.log("attached and terminated")
})

const use = Effect.gen(function* () {
  // Opens what the process opens once.
  yield* Effect.provide(Effect.void, layers["layerEventLoop"]!).pipe(Effect.ignore)
  yield* terminate(new Worker("", { eval: true }))
  yield* during(layerName, withThreads)
  console.log("ready")
})

const open = Effect.gen(function* () {
  yield* during(layerName, Effect.void)
  yield* during("layerEventLoop", Effect.scoped(Fd.open(path, "read")))
  console.log("ready")
})

const attached = Effect.gen(function* () {
  const scope = yield* Scope.make()
  yield* Layer.buildWithScope(Poller.layerAttach(workerData as Poller.PollerHandle), scope)
  parentPort!.postMessage("attached")
  yield* Effect.promise(() => once(parentPort!, "message"))
  yield* Scope.close(scope, Exit.void)
  parentPort!.close()
})

await Effect.runPromise(isMainThread ? (scenario === "use" ? use : open) : attached)
