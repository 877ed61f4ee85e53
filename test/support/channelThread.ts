/** A thread that holds a sender, and sends what it is told to. */
import { Effect, Exit, Fiber } from "effect"
import { PollChannel } from "effect-amy"
import { parentPort, workerData } from "node:worker_threads"
import { outcomeOf } from "./outcome.ts"
import { command, runThread, start } from "./thread.ts"

export interface ChannelThreadData {
  readonly handle: PollChannel.SenderHandle
  /** Stands in each of its messages. */
  readonly name: string
  /** What it does, one after the other, before it ends. Without it, it is told by messages. */
  readonly commands?: ReadonlyArray<ChannelCommand>
  /** Counts the messages that were accepted, and is seen by others at any time. */
  readonly accepted?: SharedArrayBuffer
}

/** The name of the thread, and a number that rises. */
export type Message = readonly [name: string, index: number]

/** Each is answered by a message; "end" ends the thread. */
export type ChannelCommand =
  /** Sends so many, one after the other. Answers how the last went. */
  | { readonly send: number }
  /** Sends so many at the same time and interrupts every third. Answers the indices of those that were accepted. */
  | { readonly together: number }
  /** Starts so many at the same time and does not wait for them. */
  | { readonly start: number }
  /** Has another thread of that name send so many. Answers when that has ended. */
  | { readonly fork: string; readonly send: number }
  /** Answers how sending a function goes. */
  | "function"
  /** Answers whether there was room for one more, or the reason. */
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
      // Each gets to where it waits.
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
