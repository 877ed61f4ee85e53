/** One person of the scripted conversation: a plain `node:net` socket that notes down what it says and sees. */
import { Data, Effect, type Scope } from "effect"
import { connect as connectTo, type Socket } from "node:net"

/** The conversation went another way than it should have. */
export class ClientError extends Data.TaggedError("ClientError")<{ readonly message: string }> {}

export interface ChatClient {
  readonly name: string
  /** What was said (after ">") and seen. */
  readonly transcript: Array<string>
  /** Sends the text, in other pieces if some are given, and notes it down. */
  readonly says: (line: string, ...pieces: ReadonlyArray<string | Uint8Array>) => Effect.Effect<void>
  /** Returns when it has seen this line. */
  readonly sees: (line: string) => Effect.Effect<void, ClientError>
  /** Says nothing more, and returns when the server has closed the connection. */
  readonly leaves: Effect.Effect<void, ClientError>
  /** Is gone at once, as if somebody had pulled the plug. */
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

  /** Returns once that is so, however the connection is by then; fails if it cannot become so any more. */
  const until = (holds: () => boolean, what: string) =>
    Effect.callback<void, ClientError>((resume) => {
      const stop = () => void socket.off("lines", look).off("close", look)
      const look = () => {
        if (!holds() && !socket.closed) return
        stop()
        resume(
          holds()
            ? Effect.void
            : Effect.fail(new ClientError({ message: `${name} waits in vain for ${what}: ${problem}` }))
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
