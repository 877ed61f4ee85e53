/**
 * Writes to two connections in one batch. The fiber that hears of its write first writes again, and
 * the other fiber closes the poller. What then runs must not touch the memory and descriptors that
 * were closed: that would crash the process.
 */
import { Effect, Exit, Fiber, Layer, Scope } from "effect"
import { Poller, Tcp } from "effect-amy"
import { outcomeOf } from "../support/outcome.ts"
import * as Kernel from "../support/kernel.ts"

// The clock stands still, so that both writes stay in one batch on a slow machine, too.
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
