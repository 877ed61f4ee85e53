/** Starts a program on a terminal, and prints how it ended, or the error. */
import { Effect } from "effect"
import { Poller, Pty } from "effect-amy"

const program = Effect.flatMap(Pty.spawn("true"), ({ exit }) => exit)

await Effect.runPromise(
  Effect.match(program.pipe(Effect.scoped, Effect.provide(Poller.layerEventLoop())), {
    onSuccess: (exit) => console.log(exit._tag),
    onFailure: ({ message }) => console.log(message)
  })
)
