/** The listening socket: registered with the poller like any other descriptor, and accepting when it is reported. */
import { Context, Effect, Layer, Schedule, Stream } from "effect"
import { Poller, type PollerError, Registrar } from "effect-amy"
import * as Sockets from "./sockets.ts"
import { type EchoWorkerError, EchoWorkers } from "./workers.ts"

export class EchoServer extends Context.Service<
  EchoServer,
  {
    readonly port: number
    /** How many connections it has accepted so far. */
    readonly accepted: Effect.Effect<number>
    /** Accepts and deals out until interrupted. Fails if the poller, a worker or the socket does. */
    readonly run: Effect.Effect<never, PollerError.PollerError | Sockets.SocketError | EchoWorkerError>
  }
>()("examples/EchoServer") {}

export const layer = (
  port: number
): Layer.Layer<
  EchoServer,
  PollerError.PollerError | Sockets.SocketError,
  EchoWorkers | Poller.Poller | Registrar.Registrar
> =>
  Layer.effect(
    EchoServer,
    Effect.gen(function* () {
      const poller = yield* Poller.Poller
      const workers = yield* EchoWorkers
      const listener = yield* Sockets.listen(port)
      // Taken back before the socket is closed, for scopes end in reverse.
      yield* Registrar.registerScoped(listener.fd, "Read")
      let accepted = 0

      // In one piece: a connection that was accepted and belongs to nobody yet would stay open for ever.
      const acceptOne = Effect.uninterruptible(
        Effect.gen(function* () {
          const fd = yield* Sockets.attempt(() => Sockets.accept(listener.fd))
          if (fd === Sockets.wouldBlock) return false
          accepted++
          yield* Effect.onError(workers.deal(fd), () => Effect.sync(() => Sockets.close(fd)))
          return true
        })
      )
      // One notification may stand for many connections, and there is no second one for those left behind.
      const acceptAll = Effect.repeat(acceptOne, { while: (more) => more }).pipe(
        Effect.retry({ while: isPassing, schedule: Schedule.spaced("50 millis") })
      )

      return {
        port: listener.port,
        accepted: Effect.sync(() => accepted),
        run: Effect.raceFirst(
          // Nothing else is registered on this thread, so every notification is about the listener.
          Effect.andThen(
            Stream.runForEach(poller.notifications, () => acceptAll),
            Effect.never
          ),
          workers.failure
        )
      }
    })
  )

/** A client that gave up before it was accepted, or no descriptor free for the moment: try again. */
const isPassing = (error: Sockets.SocketError | EchoWorkerError): boolean =>
  error._tag === "SocketError" && ["ECONNABORTED", "EMFILE", "ENFILE"].includes(error.code)
