/** A runner in a process of its own: started, killed, asked to leave, and never left behind. */
import { Data, Deferred, Effect, type Scope } from "effect"
import { spawn } from "node:child_process"

export class RunnerEnded extends Data.TaggedError("RunnerEnded")<{ readonly pid: number; readonly how: string }> {
  override get message(): string {
    return `the runner in process ${this.pid} has ended by itself: ${this.how}`
  }
}

export interface RunnerProcess {
  readonly pid: number
  /** Ends it without a word. Returns how it has ended, as the next does: a signal, or an exit code. */
  readonly kill: Effect.Effect<string>
  /** Lets it hand over what it has, and end. */
  readonly leave: Effect.Effect<string>
  /** Fails if it ends otherwise. */
  readonly watch: Effect.Effect<never, RunnerEnded>
}

/**
 * Starts this program once more, with other arguments; the scope ends it. A runner leaves when its standard input
 * ends: so it also leaves when the process that started it is gone, whatever that one died of.
 */
export const start = (...args: ReadonlyArray<string>): Effect.Effect<RunnerProcess, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const child = spawn(process.execPath, [...process.execArgv, process.argv[1]!, ...args], {
        // What it has to say is trouble.
        stdio: ["pipe", 2, 2]
      })
      const ended = Deferred.makeUnsafe<string>()
      const end = (how: string): void => void Deferred.doneUnsafe(ended, Effect.succeed(how))
      child.on("exit", (code, signal) => end(signal ?? `exit code ${code}`))
      child.on("error", (error) => end(error.message))
      // Ending the input of one that is dead already is no error.
      child.stdin?.on("error", () => {})

      const pid = child.pid ?? 0
      let isExpected = false
      const endBy = (how: () => void) =>
        Effect.suspend(() => {
          isExpected = true
          how()
          return Deferred.await(ended)
        })
      return {
        pid,
        kill: endBy(() => child.kill("SIGKILL")),
        leave: endBy(() => child.stdin?.end()),
        watch: Effect.flatMap(Deferred.await(ended), (how) =>
          isExpected ? Effect.never : Effect.fail(new RunnerEnded({ pid, how }))
        )
      }
    }),
    ({ kill, leave }) => Effect.timeoutOrElse(leave, { duration: "5 seconds", orElse: () => kill })
  )

/** In the runner's process: waits until it is to leave. */
export const hasToLeave = Effect.callback<void>((resume) => {
  const end = (): void => resume(Effect.void)
  process.stdin.once("end", end).once("error", end).resume()
})
