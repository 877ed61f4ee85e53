/** Runs an example as a user does, in a process of its own. */
import { Effect, type Scope } from "effect"
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"

export interface Example {
  readonly child: ChildProcessWithoutNullStreams
  readonly output: { stdout: string; stderr: string }
  /** Returns the exit code and the signal, once all output has arrived. */
  readonly exit: Effect.Effect<ReadonlyArray<unknown>>
}

/** Starts `examples/<name>.ts`. The scope kills it if it still runs. */
export const startExample = (
  name: string,
  ...args: ReadonlyArray<string>
): Effect.Effect<Example, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync((): Example => {
      const file = fileURLToPath(new URL(`../../examples/${name}.ts`, import.meta.url))
      const child = spawn(process.execPath, ["--conditions=effect-amy-source", file, ...args])
      const output = { stdout: "", stderr: "" }
      child.stdout.setEncoding("utf8").on("data", (text: string) => (output.stdout += text))
      child.stderr.setEncoding("utf8").on("data", (text: string) => (output.stderr += text))
      const closed = once(child, "close")
      return { child, output, exit: Effect.promise(() => closed) }
    }),
    ({ child }) => Effect.sync(() => child.kill("SIGKILL"))
  )

/** Runs an example until it ends by itself. */
export const runExample = (name: string, ...args: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const { exit, output } = yield* startExample(name, ...args)
    const [code, signal] = yield* exit
    return { code, signal, ...output }
  }).pipe(Effect.scoped)
