/**
 * The listener on the main thread. It accepts connections, and deals their descriptors out to the
 * worker threads.
 */
import { Context, Effect, Layer, Stream } from "effect"
import { type PollerError, type Registrar, Tcp } from "effect-amy"
import { closeSync } from "node:fs"
import { type EchoWorkerError, EchoWorkers } from "./workers.ts"

export class EchoServer extends Context.Service<
  EchoServer,
  {
    readonly port: number
    /** Connections accepted so far. */
    readonly accepted: Effect.Effect<number>
    /**
     * Accepts connections until it is interrupted. Fails if the poller, a worker or the listener
     * fails.
     */
    readonly run: Effect.Effect<never, PollerError.PollerError | EchoWorkerError>
  }
>()("examples/EchoServer") {}

export const layer = (
  port: number
): Layer.Layer<EchoServer, PollerError.PollerError, EchoWorkers | Registrar.Registrar> =>
  Layer.effect(
    EchoServer,
    Effect.gen(function* () {
      const workers = yield* EchoWorkers
      const listener = yield* Tcp.listen(`127.0.0.1:${port}`, { backlog: 4096 })
      let accepted = 0

      // Uninterruptible: a descriptor that was taken, and has no new owner yet, would stay open for
      // ever.
      const deal = Effect.fnUntraced(function* (connection: Tcp.TcpStream) {
        accepted++
        const fd = yield* connection.take
        yield* Effect.onError(workers.deal(fd), () => Effect.sync(() => closeSync(fd)))
      }, Effect.uninterruptible)

      return {
        port: listener.address.port,
        accepted: Effect.sync(() => accepted),
        run: Effect.raceFirst(Effect.andThen(Stream.runForEach(listener.incoming, deal), Effect.never), workers.failure)
      }
    })
  )
