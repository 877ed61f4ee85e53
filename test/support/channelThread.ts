/** A thread that holds a sender, and takes commands. */
import { Effect, Exit, Fiber } from "effect"
import { PollChannel } from "effect-amy"
import { parentPort, workerData } from "node:worker_threads"
import { outcomeOf } from "./outcome.ts"
import { command, runThread, start } from "./thread.ts"

export interface ChannelThreadData {
  readonly handle: PollChannel.SenderHandle
  /** The first part of each of its messages. */
  readonly name: string
  /**
   * The commands to run one after the other, before it ends. If it is missing, each message is a
   * command.
   */
  readonly commands?: ReadonlyArray<ChannelCommand>
  /** Counts the messages that were accepted, in memory that other threads can read. */
  readonly accepted?: SharedArrayBuffer
}

/** The name of the thread, and a number that rises from message to message. */
export type Message = readonly [name: string, index: number]

/** A command. The thread posts its result, except for "end", which ends the thread. */
export type ChannelCommand =
  /** Sends a number of messages one after the other. Returns the outcome of the last. */
  | { readonly send: number }
  /**
   * Sends a number of messages at the same time and interrupts every third. Returns the indices
   * that were accepted.
   */
  | { readonly together: number }
  /** Starts to send a number of messages at the same time, and does not wait for them. */
  | { readonly start: number }
  /**
   * Starts another thread, which sends a number of messages under its own name. Returns once that
   * thread has ended.
   */
  | { readonly fork: string; readonly send: number }
  /** Returns the outcome of sending a function. */
  | "function"
  /** Returns whether there was room for one more message, or the tag of the error. */
  | "try"
  | "close"
  | "end"

const data = workerData as ChannelThreadData
const accepted = new Int32Array(data.accepted ?? new ArrayBuffer(4))
let index = 0

const perform = (
  sender: PollChannel.Sender<Message>,
  command: Exclude<ChannelCommand, "end">
): Effect.Effect<unknown> => {
  const send = Effect.suspend(() => sender.send([data.name, index++]))
  if (command === "close") return Effect.as(sender.close, "ok")
  if (command === "function") {
    return outcomeOf((sender as PollChannel.Sender<unknown>).send(() => {}))
  }
  if (command === "try") {
    return Effect.match(
      Effect.suspend(() => sender.trySend([data.name, index])),
      {
        onFailure: ({ reason }) => reason._tag,
        onSuccess: (sent) => {
          if (sent) index++
          return sent
        }
      }
    )
  }
  if ("fork" in command) {
    return Effect.gen(function* () {
      const handle = yield* Effect.orDie(sender.handle)
      const commands: ReadonlyArray<ChannelCommand> = [{ send: command.send }]
      const thread = yield* start("channelThread", { handle, name: command.fork, commands }, [handle.port])
      const answer = yield* thread.message
      yield* thread.exited
      return answer
    }).pipe(Effect.scoped)
  }
  if ("start" in command) {
    return Effect.as(Effect.all(Array.from({ length: command.start }, () => Effect.forkDetach(send))), "started")
  }
  if ("together" in command) {
    return Effect.gen(function* () {
      const indices = Array.from({ length: command.together }, () => index++)
      const fibers = yield* Effect.all(indices.map((index) => Effect.forkChild(sender.send([data.name, index]))))
      // Each fiber starts, and waits for room.
      yield* Effect.sleep(1)
      yield* Effect.all(
        fibers.filter((_, i) => i % 3 === 0).map((fiber) => Fiber.interrupt(fiber)),
        { concurrency: "unbounded" }
      )
      const exits = yield* Effect.all(fibers.map((fiber) => Fiber.await(fiber)))
      return indices.filter((_, i) => Exit.isSuccess(exits[i]!))
    })
  }
  const counted = Effect.tap(send, () => Effect.sync(() => Atomics.add(accepted, 0, 1)))
  return outcomeOf(Effect.repeat(counted, { times: command.send - 1 }))
}

await runThread(
  Effect.gen(function* () {
    const opened = yield* Effect.match(PollChannel.fromHandle<Message>(data.handle), {
      onFailure: ({ reason }) => reason._tag,
      onSuccess: (sender) => sender
    })
    if (typeof opened === "string") return parentPort!.postMessage(opened)
    if (data.commands !== undefined) {
      for (const each of data.commands) {
        if (each !== "end") parentPort!.postMessage(yield* perform(opened, each))
      }
      return
    }
    parentPort!.postMessage("open")
    for (;;) {
      const next = (yield* command) as ChannelCommand
      if (next === "end") return
      parentPort!.postMessage(yield* perform(opened, next))
    }
  }).pipe(Effect.scoped)
)
