/**
 * A TCP server on all cores: a thread for each, with a poller and a listener of its own.
 *
 * - All listeners have the same address and port (`reusePort`). The kernel deals new connections
 *   out to them, so no thread waits for another, and none passes a connection on.
 * - Without an argument, clients connect, and the example prints how many connections each thread
 *   has served. With a port, it serves there until it is interrupted.
 *
 * Only Linux and FreeBSD deal connections out to listeners. On other systems, one thread accepts
 * and deals out descriptors, as `multithread-echo.ts` does. It does so, too, where the program has
 * to decide which thread gets a connection.
 *
 * `cores/serverThread.ts` is the server. `cores/server.ts` starts its threads, and
 * `cores/client.ts` is a client.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Data, Effect, type Scope } from "effect"
import { Poller, type PollerError } from "effect-amy"
import { availableParallelism } from "node:os"
import * as Client from "./cores/client.ts"
import * as Server from "./cores/server.ts"

const clients = 100
const threads = availableParallelism()

/** Something else than a port was passed. */
class InvalidPort extends Data.TaggedError("InvalidPort")<{ readonly given: string }> {
  override get message(): string {
    return `invalid port ${JSON.stringify(this.given)}: expected a number from 0 to 65535`
  }
}

const serve = (given: string) =>
  Effect.gen(function* () {
    const port = Number(given)
    if (!/^\d+$/.test(given) || port > 65535) return yield* new InvalidPort({ given })
    const server = yield* Server.start(threads, port)
    yield* Console.log(`listening on 127.0.0.1:${server.port}, ${threads} threads; Ctrl-C ends it`)
    return yield* server.failure
  })

const demonstrate = Effect.gen(function* () {
  const server = yield* Server.start(threads, 0)
  yield* Console.log(`${clients} clients, ${threads} threads`)
  const running = Effect.forEach(Array.from({ length: clients }).keys(), Client.run(server.port), { concurrency: 20 })
  // If a thread fails, the race fails.
  yield* Effect.raceFirst(running, server.failure)
  for (const [index, served] of server.served().entries()) {
    yield* Console.log(`thread ${index + 1}: ${served} connections`)
  }
  yield* Console.log("every reply was right")
})

const [port] = process.argv.slice(2)

type Failure = Client.WrongReply | InvalidPort | PollerError.PollerError | Server.ServerError

// The clients have a poller, too.
const program: Effect.Effect<void, Failure, Scope.Scope> =
  port === undefined ? Effect.provide(demonstrate, Poller.layer) : serve(port)

// An expected error prints its message only. A defect is logged in full.
program.pipe(
  Effect.scoped,
  Effect.tapError((error) => Console.error(error.message)),
  Effect.tapDefect((defect) => Effect.logError(defect)),
  NodeRuntime.runMain({ disableErrorReporting: true })
)
