/** Errors that the network reports to a datagram socket. */
import { Effect } from "effect"
import { Poller, type PollerError, Registrar, type Udp } from "effect-amy"

/** Returns once the network has reported an error, and leaves the error pending. */
export const reported = (
  socket: Udp.UdpSocket
): Effect.Effect<void, PollerError.PollerError, Poller.Poller | Registrar.Registrar> =>
  Effect.gen(function* () {
    const { wait } = yield* Poller.Poller
    yield* Registrar.register(socket, "Read")
    while (!(yield* wait("10 seconds")).some(({ error }) => error));
    yield* Registrar.deregister(socket)
  })
