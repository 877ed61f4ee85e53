/** Starts threads, each with a program of this folder. The scope ends them. */
import { Cause, Effect, Exit, Queue, type Scope } from "effect"
import { parentPort, type Transferable, Worker } from "node:worker_threads"
import { programUrl } from "./programUrl.ts"

export interface Thread {
  readonly post: (message: unknown, transferList?: ReadonlyArray<Transferable>) => Effect.Effect<void>
  /** Returns the next message of the thread. If the thread throws, this dies of the same error. */
  readonly message: Effect.Effect<unknown>
  /** Returns once the thread has ended. */
  readonly exited: Effect.Effect<number>
  readonly terminate: Effect.Effect<void>
}

/** Starts a program of this folder. */
export const start = (
  program: string,
  workerData: unknown,
  transferList: ReadonlyArray<Transferable> = []
): Effect.Effect<Thread, never, Scope.Scope> =>
  Effect.gen(function* () {
    const messages = yield* Queue.unbounded<unknown>()
    const worker = yield* Effect.acquireRelease(
      Effect.sync(
        () =>
          new Worker(programUrl(`support/${program}`), {
            workerData,
            transferList: [...transferList],
            execArgv: ["--conditions=effect-amy-source"]
          })
      ),
      (worker) => Effect.promise(() => worker.terminate())
    )
    worker.on("message", (message) => void Queue.offerUnsafe(messages, message))
    worker.on("error", (error) => void Queue.failCauseUnsafe(messages, Cause.die(error)))
    const exit = new Promise<number>((resolve) => void worker.on("exit", resolve))
    return {
      post: (message, transferList = []) => Effect.sync(() => worker.postMessage(message, transferList)),
      message: Queue.take(messages),
      exited: Effect.promise(() => exit),
      terminate: Effect.asVoid(Effect.promise(() => worker.terminate()))
    }
  })

/** Blocks this thread, and with it its event loop. */
export const block = (millis: number): void => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, millis)

const commands: Array<unknown> = []
let commandArrived = () => {}
parentPort?.on("message", (command) => {
  commands.push(command)
  commandArrived()
})
parentPort?.unref()

/**
 * Called in a thread: returns the next message posted to it. Keeps the thread alive only while it
 * waits for one.
 */
export const command: Effect.Effect<unknown> = Effect.callback((resume) => {
  parentPort!.ref()
  commandArrived = () => {
    commandArrived = () => {}
    parentPort!.unref()
    resume(Effect.succeed(commands.shift()))
  }
  if (commands.length > 0) commandArrived()
})

/**
 * Runs the program of a thread until it ends. If it fails, the thread throws, which fails the test.
 */
export const runThread = async <A, E>(program: Effect.Effect<A, E>): Promise<void> => {
  const exit = await Effect.runPromiseExit(program)
  if (Exit.isFailure(exit)) throw new Error(Cause.pretty(exit.cause))
}
