/** The chat server: for each connection a fiber that hears the person, and one that writes to them. */
import { Context, Effect, Layer, Semaphore } from "effect"
import { type PollerError, type Registrar, Tcp } from "effect-amy"
import { Person } from "./person.ts"
import { ChatRoom } from "./room.ts"

export class ChatServer extends Context.Service<
  ChatServer,
  {
    readonly port: number
    /** Serves until interrupted, and closes every connection then. Fails if the poller or the listener does. */
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
      // One read is heard at a time, and all have their turn to be written to before the next one is: nobody's backlog
      // grows because others speak in between.
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
          // Who is done speaking is let go when everything was written; who is too slow, or has broken off, at once.
          return Effect.raceFirst(
            person.writing,
            hearing.pipe(Effect.andThen(leave), Effect.andThen(Effect.never))
          ).pipe(Effect.ensuring(leave))
        })

      return {
        port: listener.address.port,
        // That somebody breaks off is no failure of the server: this conversation ends, the others go on.
        run: listener.run((connection) => Effect.ignore(converse(connection)))
      }
    })
  )
