/**
 * A chat server over lines of text: one listener, any number of connections, one thread.
 *
 * By default it runs against three scripted clients, and prints the conversation as each client saw
 * it. With `--serve` it serves people with `nc` or `telnet`. `--help` lists all options.
 *
 * Start with this file. Then read, in `lines/`, `server.ts` (fibers), `person.ts` (bytes and lines)
 * and `room.ts` (the people and their messages).
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Layer } from "effect"
import { Poller } from "effect-amy"
import { help, parse } from "./lines/options.ts"
import { converse } from "./lines/script.ts"
import { ChatServer, layer as chatServer } from "./lines/server.ts"

/** One thread does all the work, so the poller waits in its event loop. */
const layer = (port: number) => chatServer(port).pipe(Layer.provide(Poller.layerEventLoop()))

/** Serves clients until it is interrupted. */
const serve = Effect.gen(function* () {
  const { port, run } = yield* ChatServer
  yield* Console.log(`listening on 127.0.0.1:${port}; join with "nc 127.0.0.1 ${port}"; Ctrl-C ends it`)
  return yield* run
}).pipe(Effect.onInterrupt(() => Console.log("everything is closed")))

/** Runs the scripted conversation while the server runs. */
const script = Effect.gen(function* () {
  const { port, run } = yield* ChatServer
  const people = yield* Effect.raceFirst(run, converse(port))
  for (const { name, transcript } of people) {
    yield* Console.log([`what ${name} said and saw`, ...transcript.map((line) => `  ${line}`), ""].join("\n"))
  }
})

const program = Effect.gen(function* () {
  const { mode, port } = yield* parse(process.argv.slice(2))
  switch (mode) {
    case "Help":
      return yield* Console.log(help)
    case "Serve":
      return yield* serve.pipe(Effect.provide(layer(port)))
    case "Script":
      return yield* script.pipe(Effect.provide(layer(port)))
  }
})

// An expected error prints its message only. A defect is logged in full.
program.pipe(
  Effect.tapError((error) => Console.error(error.message)),
  Effect.tapDefect((defect) => Effect.logError(defect)),
  NodeRuntime.runMain({ disableErrorReporting: true })
)
