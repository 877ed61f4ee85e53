/**
 * Two connections are written to together. Who is told first of that writes again, and the other one closes the poller.
 * That must not touch what was closed with it, which would end the process.
 */
import { Effect, Exit, Fiber, Layer, Scope } from "effect"
import { Poller, Tcp } from "effect-amy"
import { outcomeOf } from "../support/outcome.ts"
import * as Kernel from "../support/kernel.ts"

// However slow this is, both are written to at the end of their batch.
const now = performance.now()
performance.now = () => now

const scope = Scope.makeUnsafe()
const bytes = new Uint8Array(1)

const program = Effect.gen(function* () {
  const context = yield* Layer.buildWithScope(Poller.layerEventLoop(), scope)
  const pairs = [Kernel.tcpPair(), Kernel.tcpPair()]
  const write = (fd: number, next: (connection: Tcp.TcpStream) => Effect.Effect<unknown>) =>
    Effect.gen(function* () {
      const connection = yield* Tcp.fromFd(fd)
      yield* connection.read(new Uint8Array(1))
      yield* connection.writeAll(bytes)
      return yield* next(connection)
    }).pipe(Effect.provide(context))
  const first = yield* Effect.forkChild(
    write(pairs[0]![0], (connection) => outcomeOf(connection.writeAll(bytes))),
    { startImmediately: true }
  )
  const second = yield* Effect.forkChild(
    write(pairs[1]![0], () => Scope.close(scope, Exit.void)),
    { startImmediately: true }
  )
  yield* Effect.provide(
    Effect.flatMap(Poller.Poller, (poller) => poller.wait(0)),
    context
  )
  for (const [, peer] of pairs) Kernel.write(peer)
  yield* Fiber.awaitAll([first, second])
})

await Effect.runPromise(Effect.scoped(program))
