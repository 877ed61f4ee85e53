/** A thread that holds the handle of a user event, and takes commands. */
import { Effect } from "effect"
import { UserEvent } from "effect-amy"
import { parentPort, workerData } from "node:worker_threads"
import { outcomeOf } from "./outcome.ts"
import { command, runThread } from "./thread.ts"

export interface EventThreadData {
  /** If it is missing, the first message is the handle. */
  readonly handle: UserEvent.UserEventHandle | undefined
}

/** A command: a number of triggers in a row, or one of the others. The thread posts its outcome. */
export type EventCommand = { readonly trigger: number } | "clear" | "open" | "end"

await runThread(
  Effect.gen(function* () {
    const handle = (workerData as EventThreadData).handle ?? ((yield* command) as UserEvent.UserEventHandle)
    const opened = yield* Effect.match(UserEvent.fromHandle(handle), {
      onFailure: ({ reason }) => reason._tag,
      onSuccess: (event) => event
    })
    if (typeof opened === "string") return parentPort!.postMessage(opened)
    parentPort!.postMessage("open")
    for (;;) {
      const next = (yield* command) as EventCommand
      if (next === "end") return
      const effect =
        next === "clear"
          ? opened.clear
          : next === "open"
            ? Effect.scoped(UserEvent.fromHandle(handle))
            : Effect.repeat(opened.trigger, { times: next.trigger - 1 })
      parentPort!.postMessage(yield* outcomeOf(effect))
    }
  }).pipe(Effect.scoped)
)
