/**
 * A runner in its own process. It can be started, killed and asked to leave, and it is never left
 * behind.
 */
import { Data, Deferred, Effect, type Scope } from "effect"
import { spawn } from "node:child_process"

export class RunnerEnded extends Data.TaggedError("RunnerEnded")<{ readonly pid: number; readonly how: string }> {
  override get message(): string {
    return `the runner in process ${this.pid} ended by itself: ${this.how}`
  }
}

export interface RunnerProcess {
  readonly pid: number
  /** Kills the process. Returns how it ended: a signal, or an exit code. */
  readonly kill: Effect.Effect<string>
  /** Lets the runner hand over its shards and end. Returns how it ended. */
  readonly leave: Effect.Effect<string>
  /** Fails if the process ends for another reason. */
  readonly watch: Effect.Effect<never, RunnerEnded>
}

/**
 * Starts this program once more, with other arguments. The scope ends it. A runner leaves when its
 * standard input ends. So it also leaves when the process that started it has died for any reason.
 */
export const start = (...args: ReadonlyArray<string>): Effect.Effect<RunnerProcess, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const child = spawn(process.execPath, [...process.execArgv, process.argv[1]!, ...args], {
        // A runner prints errors only.
        stdio: ["pipe", 2, 2]
      })
      const ended = Deferred.makeUnsafe<string>()
      const end = (how: string): void => void Deferred.doneUnsafe(ended, Effect.succeed(how))
      child.on("exit", (code, signal) => end(signal ?? `exit code ${code}`))
      child.on("error", (error) => end(error.message))
      // Ending the input of a dead process is not an error.
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

/** Waits, in the runner's process, until it has to leave. */
export const hasToLeave = Effect.callback<void>((resume) => {
  const end = (): void => resume(Effect.void)
  process.stdin.once("end", end).once("error", end).resume()
})
