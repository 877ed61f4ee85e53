/**
 * layerEventLoop: no thread waits, for the event loop of this one watches the selector's own
 * descriptor.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { LayerOptions } from "../../Poller.ts"
import type { PollerError } from "../../PollerError.ts"
import type { Attachment } from "../delivery/attachment.ts"
import { loadLibc } from "../errors/loadLibc.ts"
import { fromThrown } from "../errors/pollerErrors.ts"
import { setImmediate } from "../libc/realTime.ts"
import { localPolling } from "./localPolling.ts"
import { LookAgain } from "./lookAgain.ts"
import { attachmentOf, open as openPoller } from "./openPoller.ts"

export const open = Effect.fnUntraced(function* (
  options: LayerOptions | undefined
): Effect.fn.Return<Attachment, PollerError, Scope.Scope> {
  // First, so that nothing is opened where the event loop cannot watch it.
  const watchReadable = yield* Effect.flatMap(loadLibc, (libc) =>
    Effect.try({ try: libc.bindWatchReadable, catch: fromThrown })
  )
  const opened = yield* openPoller(options)
  const { dispatcher, selector } = opened
  const { poll, sync } = localPolling(opened, () => watch.close())
  const look = (): number => {
    const found = poll(0)
    dispatcher.flush()
    return found
  }
  const again = new LookAgain()
  const watch = yield* Effect.acquireRelease(
    Effect.try({
      try: () =>
        // One batch a look. If there is more, the descriptor is still readable, and the loop
        // returns to it after everything else.
        watchReadable(selector.handle.fd, () => again.isWorthIt(look())),
      catch: fromThrown
    }),
    (watch) => Effect.sync(() => watch.close())
  )
  // The loop begins to watch with its next turn, and aborts the process if the kernel refuses. The
  // kernel would refuse if one open file were registered under some five hundred numbers by then.
  yield* Effect.callback<void>((resume) => void setImmediate(() => resume(Effect.void)))
  return { ...attachmentOf(opened), drain: () => void look(), sync }
})
