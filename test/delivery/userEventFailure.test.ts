/** A kernel that refuses to report a user event. */
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { Poller, UserEvent } from "effect-amy"
import { constants } from "node:os"
import { failingCalls } from "../support/failingCalls.ts"
import { describeLayers } from "../support/layers.ts"
import { outcome } from "../support/opened.ts"

const { EAGAIN, EBADF } = constants.errno

describeLayers("a user event that cannot be reported", (layer) => {
  it.live("fails when it is triggered, and can be triggered again", () =>
    Effect.gen(function* () {
      const writes = yield* failingCalls("write")
      yield* Effect.gen(function* () {
        const { wait } = yield* Poller.Poller
        const event = yield* UserEvent.make
        writes.errnos.push(EBADF)
        expect(yield* Effect.flip(event.trigger)).toMatchObject({
          reason: { _tag: "BadDescriptor", syscall: "write" }
        })
        // At the ceiling of its count it is being reported already.
        writes.errnos.push(EAGAIN)
        expect(yield* outcome(event.trigger)).toBe("success")
        yield* event.trigger
        expect((yield* wait("10 seconds")).map(({ id }) => id)).toEqual([event.id])
      }).pipe(Effect.scoped, Effect.provide(layer()))
    }).pipe(Effect.scoped)
  )
})
