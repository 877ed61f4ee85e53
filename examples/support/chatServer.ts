/**
 * The chat server: one fiber takes the notifications of the listening socket and of all connections, in turn.
 *
 * A connection is registered once, for reading and writing. Being edge-triggered, that costs nothing while it is idle:
 * room to write is reported when a send buffer that was full has some again.
 */
import { Context, Effect, Layer, Stream } from "effect"
import { Event, type Notification, Poller, type PollerError, Registrar } from "effect-amy"
import { ChatConnection } from "./chatConnection.ts"
import { ChatRoom } from "./chatRoom.ts"
import * as Sockets from "./sockets.ts"

export class ChatServer extends Context.Service<
  ChatServer,
  {
    readonly port: number
    /** Serves until interrupted. Fails if the poller or the listening socket does. */
    readonly run: Effect.Effect<never, PollerError.PollerError | Sockets.SocketError>
  }
>()("examples/ChatServer") {}

/** Closing the layer closes every connection, and the listening socket. */
export const layer = (
  port: number
): Layer.Layer<ChatServer, PollerError.PollerError | Sockets.SocketError, Poller.Poller | Registrar.Registrar> =>
  Layer.effect(
    ChatServer,
    Effect.gen(function* () {
      const poller = yield* Poller.Poller
      const registrar = yield* Registrar.Registrar
      const scope = yield* Effect.scope
      const listener = yield* Sockets.listen(port)
      const listenerId = yield* registrar.registerScoped(listener.fd, "Read")
      const room = new ChatRoom()
      const open = new Map<Registrar.RegistrationId, ChatConnection>()

      const close = Effect.fnUntraced(function* (id: Registrar.RegistrationId, connection: ChatConnection) {
        open.delete(id)
        room.leave(connection)
        // First the poller forgets the descriptor, and only then is its number free for another.
        yield* Effect.ensuring(
          registrar.deregister(connection.fd),
          Effect.sync(() => Sockets.close(connection.fd))
        )
      }, Effect.uninterruptible)

      yield* Effect.addFinalizer(() =>
        Effect.forEach(open, ([id, connection]) => Effect.ignore(close(id, connection)), { discard: true })
      )

      // In one piece: a connection that was accepted and belongs to nobody yet would stay open for ever.
      const acceptOne = Effect.gen(function* () {
        const fd = yield* Sockets.attempt(() => Sockets.accept(listener.fd))
        if (fd === Sockets.wouldBlock) return false
        const id = yield* Effect.onError(registrar.register(fd, "Both"), () => Effect.sync(() => Sockets.close(fd)))
        const connection = new ChatConnection(fd)
        open.set(id, connection)
        room.greet(connection)
        return true
      }).pipe(Effect.uninterruptible)

      // To register again reports present readiness, so whoever is left behind is not forgotten. Meanwhile the others are
      // served, and may leave.
      const tryAgain = registrar.reregister(listenerId, listener.fd, "Read").pipe(
        Effect.delay("50 millis"),
        // Closed meanwhile.
        Effect.ignore,
        Effect.forkIn(scope)
      )

      // One notification may stand for many connections, and there is no second one for those left behind.
      const acceptAll = Effect.repeat(acceptOne, { while: (more) => more }).pipe(
        Effect.catchIf(isPassing, () => tryAgain),
        Effect.asVoid
      )

      const listen = Effect.fnUntraced(function* (id: Registrar.RegistrationId, connection: ChatConnection) {
        const { lines, next } = yield* Sockets.attempt(() => connection.read())
        for (const line of lines) room.hear(connection, line)
        if (next === "End") room.leave(connection)
        // To register again reports what is ready now: so it comes back, behind whoever is waiting already.
        if (next === "Again") yield* registrar.reregister(id, connection.fd, "Both")
      })

      const speak = Effect.fnUntraced(function* (id: Registrar.RegistrationId, connection: ChatConnection) {
        if (connection.wantsFlush) yield* Sockets.attempt(() => connection.flush())
        if (connection.isTooSlow || (connection.hasEnded && connection.unsentBytes === 0)) yield* close(id, connection)
      })

      /** That somebody breaks off is no failure of the server: this connection ends, the others go on. */
      const orClose =
        (work: typeof speak): typeof close =>
        (id, connection) =>
          Effect.catchTag(work(id, connection), "SocketError", () => close(id, connection))

      // A line for everybody goes out to all; and when one of them turns out to be gone, there is a line more.
      const speakToAll = Effect.gen(function* () {
        do {
          for (const [id, connection] of open) yield* orClose(speak)(id, connection)
        } while ([...open.values()].some(({ wantsFlush }) => wantsFlush))
      })

      const onNotification = Effect.fnUntraced(function* ({ event, id }: Notification.Notification) {
        const connection = open.get(id)
        if (id === listenerId) yield* acceptAll
        else if (connection !== undefined) {
          if (Event.isWritable(event)) connection.hasRoom()
          if (Event.isReadable(event)) yield* orClose(listen)(id, connection)
        }
        yield* speakToAll
      })

      return {
        port: listener.port,
        run: Effect.andThen(Stream.runForEach(poller.notifications, onNotification), Effect.never)
      }
    })
  )

/** A client that gave up before it was accepted, or no descriptor free for the moment: try again. */
const isPassing = (error: Sockets.SocketError | PollerError.PollerError): boolean =>
  error._tag === "SocketError" && ["ECONNABORTED", "EMFILE", "ENFILE"].includes(error.code)
