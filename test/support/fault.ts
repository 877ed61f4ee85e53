/** Makes the kernel refuse a poller's waits from inside, as no user of the library could. */
import { Effect } from "effect"
import type { Poller } from "effect-amy"
import * as Kernel from "./kernel.ts"
import { contentsOf } from "../../src/internal/layers/pollerHandle.ts"

/**
 * Lets the number of the poller's epoll descriptor mean a pipe, so that the next wait in the kernel fails with EINVAL,
 * and wakes whoever is in one. The epoll instance itself lives on until the scope closes: an event loop that watches it
 * would hear nothing of it otherwise.
 */
export const breakSelector = (handle: Poller.PollerHandle) =>
  Effect.gen(function* () {
    const { fd, wake } = contentsOf(handle).selector
    yield* Effect.acquireRelease(
      Effect.sync(() => Kernel.dup(fd)),
      (kept) => Effect.sync(() => Kernel.close(kept))
    )
    const [read, write] = Kernel.pipe()
    Kernel.dup2(read, fd)
    Kernel.close(read)
    Kernel.close(write)
    Kernel.signal(wake)
  })
