/** The command line of the chat server. */
import { Data, Effect, Runtime } from "effect"
import { parseArgs } from "node:util"

export const help = `A chat server over lines of text.

Usage: node --conditions=effect-amy-source examples/lines.ts [options]

  --port <n>   port on 127.0.0.1, 0 to 65535 (0: any that is free)
  --serve      serve people with nc or telnet until Ctrl-C or SIGTERM
  --help       print this

Without --serve, three scripted clients talk to each other. The conversation is
printed as each of them saw it.`

export interface Options {
  readonly mode: "Help" | "Serve" | "Script"
  readonly port: number
}

/** The command line is invalid. */
export class UsageError extends Data.TaggedError("UsageError")<{ readonly message: string }> {
  override readonly [Runtime.errorExitCode] = 2
}

export const parse = (args: ReadonlyArray<string>): Effect.Effect<Options, UsageError> =>
  Effect.try({
    try: () =>
      parseArgs({
        args: [...args],
        options: { port: { type: "string", default: "0" }, serve: { type: "boolean" }, help: { type: "boolean" } }
      }).values,
    // The first sentence names the mistake. The rest is advice on how to escape a dash.
    catch: (cause) => new UsageError({ message: `${String(cause).split(": ").at(-1)!.split(/\.\s/)[0]} (see --help)` })
  }).pipe(
    Effect.flatMap(({ help, port, serve }) =>
      /^\d{1,5}$/.test(port) && Number(port) <= 65_535
        ? Effect.succeed<Options>({
            mode: help === true ? "Help" : serve === true ? "Serve" : "Script",
            port: Number(port)
          })
        : Effect.fail(new UsageError({ message: `--port is "${port}": give a whole number from 0 to 65535` }))
    )
  )
