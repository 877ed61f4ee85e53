/** The threads of the server, as the main thread sees them. */
import { Data, Deferred, Effect, type Scope } from "effect"
import { Worker } from "node:worker_threads"

/** What a thread gets as its `workerData`. */
export interface ThreadData {
  readonly port: number
  /** How many connections each thread has accepted, in memory that all threads share. */
  readonly served: Int32Array<SharedArrayBuffer>
  readonly index: number
}

export interface Server {
  readonly port: number
  /** How many connections each thread has accepted. */
  readonly served: () => ReadonlyArray<number>
  /** Fails as soon as a thread fails. */
  readonly failure: Effect.Effect<never, ServerError>
}

/** A thread failed, or could not be started. */
export class ServerError extends Data.TaggedError("ServerError")<{ readonly cause: unknown }> {
  override get message(): string {
    return `a thread of the server failed: ${String(this.cause)}`
  }
}

type Failed = Deferred.Deferred<never, ServerError>

const fail = (failed: Failed, cause: unknown) => Deferred.doneUnsafe(failed, Effect.fail(new ServerError({ cause })))

/**
 * Starts a thread, and returns its port once it listens. When the scope closes, the thread closes
 * its connections and ends.
 */
const startThread = Effect.fnUntraced(function* (data: ThreadData, failed: Failed) {
  const listening = yield* Deferred.make<number>()
  const exited = yield* Deferred.make<void>()
  yield* Effect.acquireRelease(
    Effect.sync(() => {
      const worker = new Worker(new URL("./serverThread.ts", import.meta.url), {
        workerData: data,
        name: `server ${data.index + 1}`
      })
      worker.on("message", (port: number) => Deferred.doneUnsafe(listening, Effect.succeed(port)))
      worker.on("error", (cause) => fail(failed, cause))
      worker.on("exit", (code) => {
        fail(failed, `exit code ${code}`)
        Deferred.doneUnsafe(exited, Effect.void)
      })
      return worker
    }),
    (worker) =>
      Effect.suspend(() => {
        worker.postMessage("stop")
        return Deferred.await(exited)
      })
  )
  return yield* Effect.raceFirst(Deferred.await(listening), Deferred.await(failed))
})

/** Starts the threads. With port 0, the first gets a free port, and the others share it. */
export const start = (count: number, port: number): Effect.Effect<Server, ServerError, Scope.Scope> =>
  Effect.gen(function* () {
    const failed = yield* Deferred.make<never, ServerError>()
    const served = new Int32Array(new SharedArrayBuffer(count * Int32Array.BYTES_PER_ELEMENT))
    const first = yield* startThread({ port, served, index: 0 }, failed)
    const others = Array.from({ length: count - 1 }, (_, before) => before + 1)
    const startNext = (index: number) => startThread({ port: first, served, index }, failed)
    yield* Effect.forEach(others, startNext, { concurrency: "unbounded" })
    return { port: first, served: () => [...served], failure: Deferred.await(failed) }
  })
