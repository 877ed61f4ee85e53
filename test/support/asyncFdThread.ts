/**
 * A thread that echoes on a descriptor of the test until its end. It attaches to the test's poller,
 * or has one of its own.
 */
import { Effect, Stream } from "effect"
import { AsyncFd, Poller } from "effect-amy"
import { workerData } from "node:worker_threads"
import * as Kernel from "./kernel.ts"
import { runThread } from "./thread.ts"

const { fd, handle } = workerData as { readonly fd: number; readonly handle: Poller.PollerHandle | undefined }

await runThread(
  Effect.gen(function* () {
    const watched = yield* AsyncFd.make(fd)
    yield* Stream.run(watched.stream, watched.sink)
    Kernel.shutdownWrite(fd)
  }).pipe(Effect.scoped, Effect.provide(handle === undefined ? Poller.layerBlocking() : Poller.layerAttach(handle)))
)
