/** Counts the fibers that wait for a descriptor. */
import { Effect } from "effect"
import { Registrar } from "effect-amy"
import { WatchedFd } from "../../src/internal/descriptor/watchedFd.ts"
import { attachmentOf } from "../../src/internal/delivery/registrar.ts"
import * as Kernel from "./kernel.ts"

/**
 * Returns how many fibers of this thread wait for a descriptor, without those that were
 * interrupted.
 */
export const waiters = Effect.gen(function* () {
  const { dispatcher } = yield* attachmentOf(yield* Registrar.Registrar)
  for (const fd of Kernel.openDescriptors().keys()) {
    const source = dispatcher.registrations.byFd(fd)?.source
    if (!(source instanceof WatchedFd)) continue
    for (const direction of [source.reading, source.writing, source.priority]) direction.dropGone()
  }
  return dispatcher.waiters
})
