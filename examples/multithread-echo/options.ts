/** The command line: its options, and its errors. */
import { Data, Effect, Runtime } from "effect"
import { availableParallelism } from "node:os"
import { parseArgs } from "node:util"

export const help = `An echo server on several threads, after the example of amy.

One thread waits in the kernel for all connections (Poller.layerWorker). The main
thread accepts them and deals them out to worker threads. These have joined the
poller (Poller.layerAttach), and serve each connection with one fiber.

Usage: node --conditions=effect-amy-source examples/multithread-echo.ts [options]

  --workers <n>   worker threads, 1 to 64 (the number of cores, at least 2)
  --port <n>      port on 127.0.0.1, 0 to 65535 (0: any that is free)
  --clients <n>   clients to run against the server, 1 to 5000 (200)
  --seconds <n>   how long they send, 1 to 3600 (3)
  --serve         run no clients: serve others until Ctrl-C or SIGTERM
  --help          print this

Without --serve, every echoed byte is checked and a table is printed. The exit code
is 0 if nothing was lost and every descriptor was closed, and 1 otherwise. It is 2
if an option is invalid, and 130 after Ctrl-C or SIGTERM, once everything is closed.`

export interface ServerOptions {
  readonly workers: number
  readonly port: number
}

export interface ClientOptions {
  readonly clients: number
  readonly seconds: number
}

export type Command =
  | { readonly _tag: "Help" }
  | ({ readonly _tag: "Serve" } & ServerOptions)
  | ({ readonly _tag: "Measure" } & ServerOptions & ClientOptions)

/** The command line is invalid. */
export class UsageError extends Data.TaggedError("UsageError")<{ readonly message: string }> {
  override readonly [Runtime.errorExitCode] = 2
}

export const parse = (args: ReadonlyArray<string>): Effect.Effect<Command, UsageError> =>
  Effect.try({
    try: () =>
      parseArgs({
        args: [...args],
        options: {
          workers: { type: "string" },
          port: { type: "string" },
          clients: { type: "string" },
          seconds: { type: "string" },
          serve: { type: "boolean" },
          help: { type: "boolean" }
        }
      }).values,
    // The first sentence names the mistake. The rest is advice on how to escape a dash.
    catch: (cause) => new UsageError({ message: `${String(cause).split(": ").at(-1)!.split(/\.\s/)[0]} (see --help)` })
  }).pipe(
    Effect.flatMap(
      Effect.fnUntraced(function* (values): Effect.fn.Return<Command, UsageError> {
        if (values.help === true) return { _tag: "Help" }
        const server = {
          workers: yield* wholeNumber("workers", values.workers, 1, 64, Math.max(2, availableParallelism())),
          port: yield* wholeNumber("port", values.port, 0, 65_535, 0)
        }
        if (values.serve !== true) {
          return {
            _tag: "Measure",
            ...server,
            clients: yield* wholeNumber("clients", values.clients, 1, 5000, 200),
            seconds: yield* wholeNumber("seconds", values.seconds, 1, 3600, 3)
          }
        }
        if (values.clients !== undefined || values.seconds !== undefined) {
          return yield* new UsageError({ message: "--serve runs no clients: leave out --clients and --seconds" })
        }
        return { _tag: "Serve", ...server }
      })
    )
  )

const wholeNumber = (
  name: string,
  value: string | undefined,
  from: number,
  to: number,
  otherwise: number
): Effect.Effect<number, UsageError> => {
  if (value === undefined) return Effect.succeed(otherwise)
  const number = /^\d+$/.test(value) ? Number(value) : NaN
  return number >= from && number <= to
    ? Effect.succeed(number)
    : Effect.fail(new UsageError({ message: `--${name} is "${value}": give a whole number from ${from} to ${to}` }))
}
