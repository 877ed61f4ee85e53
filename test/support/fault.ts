/** Makes a poller's waits in the kernel fail, which no user of the library could do. */
import { Effect } from "effect"
import type { Poller } from "effect-amy"
import * as Kernel from "./kernel.ts"
import { contentsOf } from "../../src/internal/layers/pollerHandle.ts"

/**
 * Puts a pipe under the number of the poller's epoll descriptor, so that the next wait in the
 * kernel fails with EINVAL, and wakes the thread that waits. The epoll instance itself stays open
 * until the scope closes: otherwise an event loop that watches it would never be woken.
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
