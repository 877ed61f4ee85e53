/** Counts the fibers that wait for a descriptor. */
import { Effect } from "effect"
import { Registrar } from "effect-amy"
import { attachmentOf } from "../../src/internal/delivery/registrar.ts"

/** Returns how many fibers of this thread wait for a descriptor. */
export const waiters = Effect.gen(function* () {
  const { dispatcher } = yield* attachmentOf(yield* Registrar.Registrar)
  return dispatcher.waiters
})
