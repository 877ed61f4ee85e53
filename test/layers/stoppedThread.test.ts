/** A thread that is terminated at any step of attaching, registering and leaving. */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { Poller } from "effect-amy"
import { contentsOf } from "../../src/internal/layers/pollerHandle.ts"
import { isAlive } from "../../src/internal/kernel/threadId.ts"
import { libc } from "../../src/internal/libc/koffi.ts"
import { PollerMemory } from "../../src/internal/shared/pollerMemory.ts"
import type { StoppedData } from "../programs/stoppedThread.ts"
import * as Kernel from "../support/kernel.ts"
import { type Opened, open } from "../support/opened.ts"
import { startThread } from "../support/programs.ts"

const openOwner = open(Poller.layerWorker({ maxThreads: 2 }))

/** Terminates a thread before a step. Returns what the step was, or "done" if there is no such. */
const terminateAt = ({ poller }: Opened, step: number) =>
  Effect.gen(function* () {
    const fd = Kernel.eventfd()
    const data: StoppedData = { handle: poller.handle, fd, step }
    const thread = yield* startThread<string>("stoppedThread", data)
    const at = yield* thread.next
    yield* Effect.promise(() => thread.worker.terminate())
    Kernel.close(fd)
    return at
  }).pipe(Effect.scoped)

describe("promise 9: a thread that is terminated while it attaches", () => {
  it.live("is not waited for at the exit of the process, if it loads koffi", () =>
    Effect.gen(function* () {
      const owner = yield* openOwner
      expect(yield* terminateAt(owner, 0)).toBe("koffi")
      // If the exit of the process waited, so would this, for an hour.
      const { loading } = new PollerMemory(contentsOf(owner.poller.handle).memory)
      loading.awaitAll(3_600_000, (thread) => isAlive(libc(), thread))
    })
  )
})
