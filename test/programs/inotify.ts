/** Watches a path, with what is below it if that is asked for. Prints the error if it cannot. */
import { Effect } from "effect"
import { Inotify, Poller } from "effect-amy"

const [, , path = "", recursive] = process.argv

const watched = Inotify.watchScoped(path, { recursive: recursive === "recursive" })

await Effect.runPromise(
  watched.pipe(
    Effect.scoped,
    Effect.provide(Poller.layerEventLoop()),
    Effect.match({
      onSuccess: () => console.log("watched"),
      onFailure: ({ message, reason }) => console.log(`${reason._tag}: ${message}`)
    })
  )
)
