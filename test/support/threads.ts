/** Starts threads that are attached to a poller, and calls their commands as effects. */
import { Data, Effect, Exit, type Scope } from "effect"
import type { Poller } from "effect-amy"
import { Worker } from "node:worker_threads"
import type { Answer, AttachedThreadData, Commands, Message } from "./attachedThread.ts"
import { programUrl } from "./programUrl.ts"

/** The failure of a command: the tag of its reason, and its message. */
export class ThreadFailure extends Data.TaggedError("ThreadFailure")<{
  readonly failure: string
  readonly message: string
}> {}

export interface AttachedThread {
  /** Starts a command at once. Commands may overlap: the thread runs each in a fiber of its own. */
  readonly call: <Name extends keyof Commands>(
    name: Name,
    ...args: Parameters<Commands[Name]>
  ) => Effect.Effect<Effect.Success<ReturnType<Commands[Name]>>, ThreadFailure>
  /** Detaches and ends the thread. Its scope does the same. */
  readonly close: Effect.Effect<void>
  readonly worker: Worker
}

/** Starts a thread that runs a program of this directory. */
export const startWorker = (name: string, workerData?: unknown): Worker =>
  new Worker(programUrl(`support/${name}`), { execArgv: ["--conditions=effect-amy-source"], workerData })

/** Starts a thread and returns once it is attached. The scope ends it. */
export const startThread = (handle: Poller.PollerHandle): Effect.Effect<AttachedThread, ThreadFailure, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<AttachedThread, ThreadFailure>((resume) => {
      const worker = startWorker("attachedThread", { handle } satisfies AttachedThreadData)
      const pending = new Map<number, (exit: Exit.Exit<unknown, ThreadFailure>) => void>()
      const post = (message: Message) => worker.postMessage(message)
      const ended = new Promise<void>((resolve) => worker.once("exit", () => resolve()))
      let calls = 0
      const died = (message: string) => {
        const failure = Exit.fail(new ThreadFailure({ failure: "Died", message }))
        resume(failure)
        for (const settle of pending.values()) settle(failure)
        pending.clear()
      }
      worker.on("error", (error) => died(String(error)))
      worker.on("exit", (code) => died(`the thread ended with exit code ${code}`))
      worker.on("message", (answer: Answer) => {
        if (answer === "ready") {
          return resume(
            Exit.succeed({
              call: ((name: keyof Commands, ...args: ReadonlyArray<never>) =>
                Effect.callback<unknown, ThreadFailure>((resume) => {
                  const call = ++calls
                  pending.set(call, resume)
                  post({ call, name, args })
                  return Effect.sync(() => void pending.delete(call))
                })) as AttachedThread["call"],
              close: Effect.suspend(() => {
                post("close")
                return Effect.promise(() => ended)
              }),
              worker
            })
          )
        }
        const settle = pending.get(answer.call)
        pending.delete(answer.call)
        settle?.("failure" in answer ? Exit.fail(new ThreadFailure(answer)) : Exit.succeed(answer.value))
      })
    }),
    (thread) => thread.close
  )

/** Blocks a thread, and lets the test wait until the thread is blocked. */
export interface Gate {
  readonly buffer: SharedArrayBuffer
  /** Returns once a thread is blocked at the gate. */
  readonly reached: Effect.Effect<void>
}

export const makeGate = (): Gate => {
  const buffer = new SharedArrayBuffer(8)
  return {
    buffer,
    reached: Effect.promise(async () => {
      const result = Atomics.waitAsync(new Int32Array(buffer), 0, 0)
      if (result.async) await result.value
    })
  }
}
