/** Tests what the scripted conversation does not show: clients that say much at once. */
import { expect, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { Tcp } from "effect-amy"
import { longestBacklog } from "../../../examples/lines/person.ts"
import { ChatServer, layer as chatServer } from "../../../examples/lines/server.ts"
import { describeLayers } from "../../support/layers.ts"

/** The longest name. It makes the lines under it grow the most. */
const name = "\u{1D49C}".repeat(20)
const said = 16_384

const lines = (connection: Tcp.TcpStream) => connection.stream.pipe(Stream.decodeText, Stream.splitLines)

const say = (connection: Tcp.TcpStream, text: string) => connection.writeAll(Buffer.from(text))

describeLayers("the server of examples/lines.ts", (layer) => {
  it.live("a person is not too slow only because another one says much at once", () =>
    Effect.gen(function* () {
      const { port, run } = yield* ChatServer
      yield* Effect.forkScoped(run)
      const [listener, speaker] = yield* Effect.all([
        Tcp.connect(`127.0.0.1:${port}`),
        Tcp.connect(`127.0.0.1:${port}`)
      ])
      yield* say(listener, "ann\n")
      let heard = 0
      yield* lines(listener).pipe(
        Stream.takeUntil((line) => {
          if (line === `${name}: a`) heard++
          return heard === said
        }),
        Stream.runForEach((line) =>
          line.startsWith("* welcome") ? say(speaker, `${name}\n${"a\n".repeat(said)}`) : Effect.void
        )
      )
      // It is more than the server keeps, as otherwise the test would show nothing.
      expect(said * Buffer.byteLength(`${name}: a\n`)).toBeGreaterThan(longestBacklog)
      expect(heard).toBe(said)
    }).pipe(Effect.scoped, Effect.provide(chatServer(0).pipe(Layer.provideMerge(layer()))))
  )
})
