/**
 * The connections of one worker thread: registers each with the poller, goes on with it when it is reported, and closes
 * it at its end. Closing the scope closes all that are left.
 */
import { Effect, type Scope } from "effect"
import { Poller, type PollerError, Registrar } from "effect-amy"
import { EchoConnection } from "./echoConnection.ts"
import { emptyReport, type WorkerReport } from "./messages.ts"
import * as Sockets from "./sockets.ts"

export interface Connections {
  /** Takes a connection over: from here on this thread closes it. */
  readonly adopt: (fd: number) => Effect.Effect<void, PollerError.PollerError>
  /** Goes on with the connection that a notification is about. */
  readonly advance: (id: Registrar.RegistrationId) => Effect.Effect<void, PollerError.PollerError>
}

export const make = Effect.fnUntraced(function* (
  onEnd: (report: WorkerReport) => Effect.Effect<void>
): Effect.fn.Return<Connections, never, Poller.Poller | Registrar.Registrar | Scope.Scope> {
  const poller = yield* Poller.Poller
  const registrar = yield* Registrar.Registrar
  const open = new Map<Registrar.RegistrationId, EchoConnection>()
  /** Those whose registration asks for room to write, and not for something to read. */
  const full = new Set<Registrar.RegistrationId>()
  let report = emptyReport

  yield* Effect.addFinalizer(() =>
    // The descriptors are closed whatever becomes of the poller.
    Effect.forEach(open.values(), ({ fd }) =>
      Effect.ensuring(
        Effect.ignore(registrar.deregister(fd)),
        Effect.sync(() => Sockets.close(fd))
      )
    )
  )

  const adopt = Effect.fnUntraced(function* (fd: number) {
    const id = yield* Effect.onError(registrar.register(fd, "Read"), () => Effect.sync(() => Sockets.close(fd)))
    open.set(id, new EchoConnection(fd))
    // Its first notification may have been taken by now, by a fiber that did not know of it yet: look for oneself.
    yield* advance(id)
  }, Effect.uninterruptible)

  const advance = (id: Registrar.RegistrationId): Effect.Effect<void, PollerError.PollerError> =>
    Effect.suspend(() => {
      const connection = open.get(id)
      if (connection === undefined) return Effect.void
      return Sockets.attempt(() => connection.advance()).pipe(
        Effect.flatMap((next) => {
          switch (next) {
            case "Read":
              return full.delete(id) ? registrar.reregister(id, connection.fd, "Read") : Effect.void
            case "Write":
              // Only "Write": what else it has sent can wait. That also reports room that there is already.
              return full.has(id)
                ? Effect.void
                : Effect.andThen(
                    Effect.sync(() => full.add(id)),
                    registrar.reregister(id, connection.fd, "Write")
                  )
            case "Again":
              // To register again reports what is ready now: so it comes back, behind whoever is waiting already.
              full.delete(id)
              return registrar.reregister(id, connection.fd, "Read")
            case "End":
              return end(id, connection)
          }
        }),
        // That a client breaks off is no failure of the server: this connection ends, the others go on.
        Effect.catchTag("SocketError", (error) => end(id, connection, error))
      )
    }).pipe(Effect.uninterruptible)

  const end = Effect.fnUntraced(function* (
    id: Registrar.RegistrationId,
    { fd, fullBuffers, received, sent }: EchoConnection,
    error?: Sockets.SocketError
  ) {
    // First nobody may find it any more, then the poller forgets it, and only then is the number free for another.
    if (!open.delete(id)) return
    full.delete(id)
    yield* Effect.ensuring(
      registrar.deregister(fd),
      Effect.sync(() => Sockets.close(fd))
    )
    const { notifications } = yield* poller.stats
    report = {
      connections: report.connections + 1,
      failures: report.failures + (error === undefined ? 0 : 1),
      lastFailure: error?.message ?? report.lastFailure,
      received: report.received + received,
      sent: report.sent + sent,
      fullBuffers: report.fullBuffers + fullBuffers,
      notifications
    }
    yield* onEnd(report)
  })

  return { adopt, advance }
})
