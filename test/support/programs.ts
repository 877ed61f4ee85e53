/** The files of test/programs: run as a process that has to end by itself, or as a thread of this process. */
import { Cause, Effect, Queue } from "effect"
import type { Poller } from "effect-amy"
import { spawn } from "node:child_process"
import { constants } from "node:os"
import { fileURLToPath } from "node:url"
import { Worker } from "node:worker_threads"
import { programUrl } from "./programUrl.ts"

const execArgv = ["--conditions=effect-amy-source"]
const locate = (name: string): URL => programUrl(`programs/${name}`)

export interface Ended {
  readonly code: number | null
  /** What it was killed by; "SIGKILL" means that it did not end by itself. */
  readonly signal: NodeJS.Signals | null
  /** From the line "ready" to the end. */
  readonly millis: number
  readonly output: ReadonlyArray<string>
  readonly errors: string
}

/** A process that has not ended by then hangs: nothing that the programs do takes as long, even on a busy machine. */
const limit = 60_000

/** Runs a program as a process until it ends. If a signal is given, sends it once the program prints the line "ready". */
export const runProgram = (name: string, args: ReadonlyArray<string>, signal?: NodeJS.Signals): Effect.Effect<Ended> =>
  Effect.callback((resume) => {
    const child = spawn(process.execPath, [...execArgv, fileURLToPath(locate(name)), ...args], {
      stdio: ["ignore", "pipe", "pipe"]
    })
    let output = ""
    let errors = ""
    let ready: number | undefined
    const killer = setTimeout(() => child.kill("SIGKILL"), limit)
    child.stdout.on("data", (chunk: Buffer) => {
      output += chunk.toString()
      if (ready !== undefined || !output.includes("ready\n")) return
      ready = performance.now()
      if (signal !== undefined) child.kill(signal)
    })
    child.stderr.on("data", (chunk: Buffer) => (errors += chunk.toString()))
    let ended = 0
    child.on("exit", () => (ended = performance.now()))
    child.on("close", (code, signal) => {
      clearTimeout(killer)
      resume(
        Effect.succeed({
          code,
          signal,
          millis: ended - (ready ?? NaN),
          output: output.trimEnd().split("\n"),
          errors
        })
      )
    })
    return Effect.sync(() => {
      clearTimeout(killer)
      child.kill("SIGKILL")
    })
  })

export interface Thread<Message> {
  readonly worker: Worker
  /** The next message of the thread. Fails if the thread dies. */
  readonly next: Effect.Effect<Message>
  readonly exited: Effect.Effect<number>
}

/** Runs a program as a thread, until the scope closes. */
export const startThread = <Message>(name: string, workerData: unknown) =>
  Effect.gen(function* () {
    const messages = yield* Queue.unbounded<Message, Error>()
    const worker = yield* Effect.acquireRelease(
      Effect.sync(() => new Worker(locate(name), { workerData, execArgv })),
      (worker) => Effect.promise(() => worker.terminate())
    )
    const exit = new Promise<number>((resolve) => worker.once("exit", resolve))
    worker.on("message", (message: Message) => Queue.offerUnsafe(messages, message))
    worker.on("error", (error: Error) => Queue.failCauseUnsafe(messages, Cause.fail(error)))
    const thread: Thread<Message> = {
      worker,
      next: Effect.orDie(Queue.take(messages)),
      exited: Effect.promise(() => exit)
    }
    return thread
  })

/** What test/programs/consumer.ts is given. */
export interface ConsumerData {
  readonly layer: "worker" | "eventLoop" | "blocking" | "attached"
  /** For "attached". */
  readonly handle?: Poller.PollerHandle
  /** By what it takes its notifications. */
  readonly consume?: "stream" | "queue" | "wait"
}

/** What test/programs/consumer.ts tells. */
export type ConsumerMessage =
  | {
      readonly _tag: "ready"
      readonly handle: Poller.PollerHandle
      /** An eventfd of its own that it has registered, and the id. */
      readonly fd: number
      readonly id: number
    }
  | { readonly _tag: "notified"; readonly ids: ReadonlyArray<number> }
  /** Its consumer ended by itself, and this is what the operations answer then. */
  | { readonly _tag: "ended"; readonly outcome: string; readonly operations: Record<string, string> }
  /** It was told to block, and does nothing more. */
  | { readonly _tag: "blocked" }
  /** It was told to close its layer, and has. */
  | { readonly _tag: "closed" }

/** A thread with a poller of its own, or attached to one; ready to be told about its eventfd. */
export const startConsumer = (data: ConsumerData) =>
  Effect.gen(function* () {
    const thread = yield* startThread<ConsumerMessage>("consumer", data)
    const ready = yield* thread.next
    if (ready._tag !== "ready") return yield* Effect.die(new Error(`not ready but ${ready._tag}`))
    return {
      ...thread,
      ...ready,
      /** Tells it to close its layer and end. */
      close: Effect.sync(() => thread.worker.postMessage("close"))
    }
  })

/** What test/programs/blockingTime.ts tells of one wait. */
export interface WaitMeasured {
  readonly elapsed: number
  readonly taken: number
  /** How often it went into the kernel. */
  readonly waits: number
}

/** Sends SIGUSR2 to all threads of this process, again and again until the scope closes. */
export const signalAllThreads = (everyMillis: number) =>
  Effect.gen(function* () {
    listenForSignals()
    const thread = yield* startThread<string>("signaller", { everyMillis, signal: constants.signals.SIGUSR2 })
    yield* thread.next
  })

/** How often this process's main thread has heard of SIGUSR2. */
export const signals = { heard: 0 }

let listening = false

/**
 * Makes SIGUSR2 harmless: unhandled, it would end the process. It stays so, for a signal may still be on its way to some
 * thread when whoever sent it has long gone.
 */
export const listenForSignals = (): void => {
  if (listening) return
  listening = true
  process.on("SIGUSR2", () => void signals.heard++)
}
