/**
 * The chat server. Each connection has a fiber that reads its lines, and a fiber that writes to it.
 */
import { Context, Effect, Layer, Semaphore } from "effect"
import { type PollerError, type Registrar, Tcp } from "effect-amy"
import { Person } from "./person.ts"
import { ChatRoom } from "./room.ts"

export class ChatServer extends Context.Service<
  ChatServer,
  {
    readonly port: number
    /**
     * Serves until it is interrupted, then closes every connection. Fails if the poller or the
     * listener fails.
     */
    readonly run: Effect.Effect<never, PollerError.PollerError>
  }
>()("examples/ChatServer") {}

/** Closing the layer closes the listener. */
export const layer = (port: number): Layer.Layer<ChatServer, PollerError.PollerError, Registrar.Registrar> =>
  Layer.effect(
    ChatServer,
    Effect.gen(function* () {
      const listener = yield* Tcp.listen(`127.0.0.1:${port}`)
      const room = new ChatRoom()
      // One read is handled at a time, and every writer has its turn before the next. So no backlog
      // grows only because others speak in between.
      const turns = Semaphore.makeUnsafe(1)

      const converse = (connection: Tcp.TcpStream) =>
        Effect.suspend(() => {
          const person = new Person(connection)
          room.greet(person)
          const leave = Effect.sync(() => {
            room.leave(person)
            person.farewell()
          })
          const hearing = person.hearing((lines) =>
            Effect.sync(() => {
              for (const line of lines) room.hear(person, line)
            }).pipe(Effect.andThen(Effect.yieldNow), turns.withPermit)
          )
          // A person whose input has ended leaves when everything is written. A slow person, or one
          // whose connection broke, leaves at once.
          return Effect.raceFirst(
            person.writing,
            hearing.pipe(Effect.andThen(leave), Effect.andThen(Effect.never))
          ).pipe(Effect.ensuring(leave))
        })

      return {
        port: listener.address.port,
        // A broken connection ends this conversation only. The others go on.
        run: listener.run((connection) => Effect.ignore(converse(connection)))
      }
    })
  )
