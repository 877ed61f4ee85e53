/** A client of the server: sends a line, and checks the reply. */
import { Data, Effect, Stream } from "effect"
import { Tcp } from "effect-amy"

/** The server has sent something else. */
export class WrongReply extends Data.TaggedError("WrongReply")<{ readonly sent: string; readonly reply: string }> {
  override get message(): string {
    return `the reply to "${this.sent}" was "${this.reply}"`
  }
}

export const run = (port: number) =>
  Effect.fnUntraced(function* (index: number) {
    const connection = yield* Tcp.connect(`127.0.0.1:${port}`)
    const sent = `client ${index}`
    yield* connection.writeAll(new TextEncoder().encode(sent))
    yield* connection.shutdown("write")
    const reply = yield* Stream.mkString(Stream.decodeText(connection.stream))
    if (reply !== sent) return yield* new WrongReply({ sent, reply })
  }, Effect.scoped)
