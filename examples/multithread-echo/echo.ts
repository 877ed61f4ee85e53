/** The connections of one worker thread: each is a fiber that sends back what it reads, and closes it at its end. */
import { Effect } from "effect"
import { Poller, type PollerError, type Registrar, Tcp } from "effect-amy"
import { emptyReport, type WorkerReport } from "./messages.ts"

/** Serves a connection that was given away, by its descriptor: whoever serves it closes it. */
export type Serve = (fd: number) => Effect.Effect<void, never, Registrar.Registrar>

/** What all connections have in common are their sums, which `onEnd` is told whenever one of them has ended. */
export const make = (
  onEnd: (report: WorkerReport) => Effect.Effect<void>
): Effect.Effect<Serve, never, Poller.Poller> =>
  Effect.map(Poller.Poller, (poller) => {
    const sums = { ...emptyReport }

    /**
     * Until the client has sent everything and was sent everything. What was read is written before more is read: a client
     * that sends and does not read fills its own send buffer in the end, and not this program's memory.
     */
    const echo = Effect.fnUntraced(function* (connection: Tcp.TcpStream) {
      const buffer = new Uint8Array(64 * 1024)
      for (;;) {
        const length = yield* connection.read(buffer)
        if (length === 0) return
        sums.received += length
        const written = yield* connection.write(buffer, 0, length)
        sums.sent += written
        if (written === length) continue
        // `writeAll` alone would do. This only finds out how often there was no room for all of it.
        sums.fullBuffers++
        yield* connection.writeAll(buffer, written, length - written)
        sums.sent += length - written
      }
    })

    return (fd) =>
      // A thread that is closing takes the connection over all the same: it is the only one that can close it.
      Effect.uninterruptibleMask((restore) =>
        Effect.scoped(Effect.flatMap(Tcp.fromFd(fd), (connection) => restore(echo(connection)))).pipe(
          // That a client breaks off is no failure of the server: this connection has ended, the others go on.
          Effect.catch((error: PollerError.PollerError) =>
            Effect.sync(() => {
              sums.failures++
              sums.lastFailure = error.message
            })
          ),
          Effect.andThen(poller.stats),
          Effect.flatMap(({ notifications }) => {
            sums.connections++
            return onEnd({ ...sums, notifications })
          })
        )
      )
  })
