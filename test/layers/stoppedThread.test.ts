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
import { times } from "../support/long.ts"
import { type Opened, open } from "../support/opened.ts"
import { startThread } from "../support/programs.ts"

const openOwner = open(Poller.layerWorker({ maxThreads: 2 }))

/**
 * Terminates a thread at a step, or some milliseconds after it has begun. Returns the name of the
 * step, or "done" if the thread has fewer steps.
 */
const terminateAt = ({ poller }: Opened, step: number, delay = 0) =>
  Effect.gen(function* () {
    const fd = Kernel.source()
    const data: StoppedData = { handle: poller.handle, fd, step }
    const thread = yield* startThread<string>("stoppedThread", data)
    const at = yield* thread.next
    if (delay > 0) yield* Effect.sleep(delay)
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

  it.live("leaves neither its place nor a descriptor, at whichever call it ends", () =>
    Effect.gen(function* () {
      const before = Kernel.openDescriptors()
      const steps: Array<string> = []
      // The short run takes the steps of attaching. Each takes more than half a second.
      for (let step = 1; steps.at(-1) !== "done" && step <= times(4, Infinity); step++) {
        const owner = yield* openOwner
        const withoutAttached = Kernel.openDescriptors()
        steps.push(yield* terminateAt(owner, step))
        // Needs the only place beside the owner's.
        const next = yield* open(Poller.layerAttach(owner.poller.handle))
        yield* next.close
        expect(Kernel.openDescriptors(), `after step ${step}: ${steps.at(-1)}`).toEqual(withoutAttached)
        yield* terminateAt(owner, step)
        yield* owner.close
        expect(Kernel.openDescriptors(), `closed after step ${step}: ${steps.at(-1)}`).toEqual(before)
      }
      expect(steps.length).toBeGreaterThan(3)
    })
  )
})
