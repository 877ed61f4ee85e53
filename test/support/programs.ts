/**
 * Runs the files of test/programs: as a process that has to end by itself, or as a thread of this
 * process.
 */
import { Cause, Effect, Queue } from "effect"
import type { PollChannel, Poller, UserEvent } from "effect-amy"
import { spawn } from "node:child_process"
import { constants } from "node:os"
import { fileURLToPath } from "node:url"
import { type Transferable, Worker } from "node:worker_threads"
import { programUrl } from "./programUrl.ts"

const execArgv = ["--conditions=effect-amy-source"]
const locate = (name: string): URL => programUrl(`programs/${name}`)

export interface Ended {
  readonly code: number | null
  /** The signal that ended it. "SIGKILL" means that it did not end by itself. */
  readonly signal: NodeJS.Signals | null
  /** The time from the line "ready" to the end. */
  readonly millis: number
  readonly output: ReadonlyArray<string>
  readonly errors: string
}

/**
 * A process that takes longer hangs. No program takes a second of processor time, of which it may
 * get a tenth.
 */
const limit = 60_000

/**
 * Runs a program as a process until it ends. Sends it the signal, if there is one, at the line
 * "ready". `flags` are further options of Node. Kills it after `most` milliseconds.
 */
export const runProgram = (
  name: string,
  args: ReadonlyArray<string>,
  signal?: NodeJS.Signals,
  flags: ReadonlyArray<string> = [],
  most = limit
): Effect.Effect<Ended> =>
  Effect.callback((resume) => {
    const child = spawn(process.execPath, [...execArgv, ...flags, fileURLToPath(locate(name)), ...args], {
      stdio: ["ignore", "pipe", "pipe"]
    })
    let output = ""
    let errors = ""
    let ready: number | undefined
    const killer = setTimeout(() => child.kill("SIGKILL"), most)
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

/** Runs a program as a thread. The scope ends it. */
export const startThread = <Message>(
  name: string,
  workerData: unknown,
  transferList: ReadonlyArray<Transferable> = []
) =>
  Effect.gen(function* () {
    const messages = yield* Queue.unbounded<Message, Error>()
    const worker = yield* Effect.acquireRelease(
      Effect.sync(() => new Worker(locate(name), { workerData, execArgv, transferList: [...transferList] })),
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

/** The data of a thread that runs test/programs/consumer.ts. */
export interface ConsumerData {
  readonly layer: "worker" | "eventLoop" | "blocking" | "attached"
  /** The poller of an "attached" thread. */
  readonly handle?: Poller.PollerHandle
  /** How it takes its notifications. Defaults to "stream". */
  readonly consume?: "stream" | "queue" | "wait"
}

/** A message of test/programs/consumer.ts. */
export type ConsumerMessage =
  | {
      readonly _tag: "ready"
      readonly handle: Poller.PollerHandle
      /** An eventfd that the thread has registered under `id`. */
      readonly fd: number
      readonly id: number
    }
  | { readonly _tag: "notified"; readonly ids: ReadonlyArray<number> }
  /** Its consumer ended by itself. `operations` are the outcomes of operations begun afterwards. */
  | { readonly _tag: "ended"; readonly outcome: string; readonly operations: Record<string, string> }
  /** It received "block", and sleeps for ever. */
  | { readonly _tag: "blocked" }
  /** It has closed its layer. */
  | { readonly _tag: "closed" }

/**
 * Starts a thread with a poller of its own, or one that is attached to a poller. Returns once it
 * waits.
 */
export const startConsumer = (data: ConsumerData) =>
  Effect.gen(function* () {
    const thread = yield* startThread<ConsumerMessage>("consumer", data)
    const ready = yield* thread.next
    if (ready._tag !== "ready") return yield* Effect.die(new Error(`expected the message "ready", got "${ready._tag}"`))
    return {
      ...thread,
      ...ready,
      /** Asks the thread to close its layer and end. */
      close: Effect.sync(() => thread.worker.postMessage("close"))
    }
  })

/** The data of a thread that runs test/programs/leavingThread.ts. */
export interface LeavingData {
  readonly handle: Poller.PollerHandle
  /** An event and a sender of another thread, for it to use. */
  readonly event?: UserEvent.UserEventHandle
  readonly sender?: PollChannel.SenderHandle
}

/** The message of test/programs/leavingThread.ts, once everything is open. */
export interface LeavingMessage {
  readonly events: ReadonlyArray<UserEvent.UserEventHandle>
}

/** A message of test/programs/blockingTime.ts: one wait. */
export interface WaitMeasured {
  readonly elapsed: number
  readonly taken: number
  /** How often the wait went into the kernel. */
  readonly waits: number
}

/** Sends SIGUSR2 to all threads of this process over and over, until the scope closes. */
export const signalAllThreads = (everyMillis: number) =>
  Effect.gen(function* () {
    listenForSignals()
    const thread = yield* startThread<string>("signaller", { everyMillis, signal: constants.signals.SIGUSR2 })
    yield* thread.next
  })

/** How often a listener of this process's main thread was called for SIGUSR2. */
export const signals = { heard: 0 }

let listening = false

/**
 * Makes SIGUSR2 harmless, which would end the process if nothing listened for it. The listener
 * stays: a signal may arrive long after it was sent.
 */
export const listenForSignals = (): void => {
  if (listening) return
  listening = true
  process.on("SIGUSR2", () => void signals.heard++)
}
