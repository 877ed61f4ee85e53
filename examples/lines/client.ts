/**
 * One client of the scripted conversation: a `node:net` socket that records what it sends and
 * receives.
 */
import { Data, Effect, type Scope } from "effect"
import { connect as connectTo, type Socket } from "node:net"

/** The conversation did not go as scripted. */
export class ClientError extends Data.TaggedError("ClientError")<{ readonly message: string }> {}

export interface ChatClient {
  readonly name: string
  /** The lines that were sent (after ">") and received. */
  readonly transcript: Array<string>
  /** Sends a line and records it. Sends `pieces` instead, if there are any. */
  readonly says: (line: string, ...pieces: ReadonlyArray<string | Uint8Array>) => Effect.Effect<void>
  /** Returns when the client has received this line. */
  readonly sees: (line: string) => Effect.Effect<void, ClientError>
  /** Ends its side, and returns when the server has closed the connection. */
  readonly leaves: Effect.Effect<void, ClientError>
  /** Resets the connection, as if its machine had lost power. */
  readonly breaksOff: Effect.Effect<void>
}

export const connect = (name: string, port: number): Effect.Effect<ChatClient, ClientError, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => connectTo({ port, host: "127.0.0.1", noDelay: true })),
      (socket) => Effect.sync(() => void socket.destroy())
    ),
    (socket) => make(name, socket)
  )

const make = (name: string, socket: Socket): ChatClient => {
  const transcript: Array<string> = []
  let rest = ""
  let problem = "the server has closed the connection"
  socket.setEncoding("utf8").on("data", (text: unknown) => {
    const lines = (rest + String(text)).split("\n")
    rest = lines.pop()!
    transcript.push(...lines)
    socket.emit("lines")
  })
  socket.on("error", (error) => (problem = error.message))

  /** Returns once a condition holds. Fails if the connection closes before that. */
  const until = (holds: () => boolean, what: string) =>
    Effect.callback<void, ClientError>((resume) => {
      const stop = () => void socket.off("lines", look).off("close", look)
      const look = () => {
        if (!holds() && !socket.closed) return
        stop()
        resume(
          holds()
            ? Effect.void
            : Effect.fail(new ClientError({ message: `${name} waited in vain for ${what}: ${problem}` }))
        )
      }
      socket.on("lines", look).on("close", look)
      look()
      return Effect.sync(stop)
    })

  return {
    name,
    transcript,
    says: (line, ...pieces) =>
      Effect.promise(async () => {
        transcript.push(...line.split("\n").map((each) => `> ${each}`))
        for (const piece of pieces.length === 0 ? [`${line}\n`] : pieces) {
          await new Promise((resolve) => socket.write(piece, resolve))
        }
      }),
    sees: (line) => until(() => transcript.includes(line), `"${line}"`),
    leaves: Effect.suspend(() => {
      socket.end()
      return until(() => socket.closed, "the end")
    }),
    breaksOff: Effect.sync(() => void socket.resetAndDestroy())
  }
}
