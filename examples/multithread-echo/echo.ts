/**
 * The connections of one worker thread. Each is a fiber that sends back what it reads, and closes
 * the connection.
 */
import { Effect } from "effect"
import { Poller, type PollerError, type Registrar, Tcp } from "effect-amy"
import { emptyReport, type WorkerReport } from "./messages.ts"

/** Serves a connection by its descriptor, which it takes over and closes. */
export type Serve = (fd: number) => Effect.Effect<void, never, Registrar.Registrar>

/**
 * Makes a server of connections. It adds up their figures, and calls `onEnd` with the sums when a
 * connection ends.
 */
export const make = (
  onEnd: (report: WorkerReport) => Effect.Effect<void>
): Effect.Effect<Serve, never, Poller.Poller> =>
  Effect.map(Poller.Poller, (poller) => {
    const sums = { ...emptyReport }

    /**
     * Echoes until the client has sent and received everything. It writes what it has read before
     * it reads more. So a client that does not read fills its own send buffer, not this program's
     * memory.
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
        // `writeAll` alone would do. `write` only counts how often the send buffer had no room for
        // all of it.
        sums.fullBuffers++
        yield* connection.writeAll(buffer, written, length - written)
        sums.sent += length - written
      }
    })

    return (fd) =>
      // A thread that is closing still takes the connection over, because no other thread can close
      // it.
      Effect.uninterruptibleMask((restore) =>
        Effect.scoped(Effect.flatMap(Tcp.fromFd(fd), (connection) => restore(echo(connection)))).pipe(
          // A broken connection ends this fiber only. The others go on.
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
