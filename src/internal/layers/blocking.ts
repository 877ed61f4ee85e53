/** layerBlocking: the calling thread waits in the kernel, and does nothing else meanwhile. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { isMainThread } from "node:worker_threads"
import type { LayerBlockingOptions } from "../../Poller.ts"
import { isPollerError, type PollerError } from "../../PollerError.ts"
import type { Attachment } from "../delivery/attachment.ts"
import type { Dispatcher } from "../delivery/dispatcher.ts"
import { isAnyPaused } from "../descriptor/direction.ts"
import { readArgument } from "../errors/arguments.ts"
import { invalidArgument } from "../errors/pollerErrors.ts"
import { setImmediate } from "../libc/realTime.ts"
import { safetyNet } from "../shared/router.ts"
import { localPolling } from "./localPolling.ts"
import { attachmentOf, open as openPoller } from "./openPoller.ts"

export const open = Effect.fnUntraced(function* (
  options: LayerBlockingOptions | undefined
): Effect.fn.Return<Attachment, PollerError, Scope.Scope> {
  const allowMainThread = readArgument("the option allowMainThread", () => options?.allowMainThread)
  if (isPollerError(allowMainThread)) return yield* Effect.fail(allowMainThread)
  if (isMainThread && allowMainThread !== true) {
    return yield* invalidArgument(
      "layerBlocking would block the main thread: build it in a worker thread, or pass allowMainThread: true"
    )
  }
  const opened = yield* openPoller(options)
  const { dispatcher } = opened
  const { poll, sync } = localPolling(opened, () => {})
  const block = (timeout: number): void => {
    // The thread may block in the midst of a batch. The other fibers of the batch, and its writes,
    // must not wait that long.
    dispatcher.flush()
    dispatcher.batch?.settle()
    // Nor may it block while a fiber has yet to be served of what is ready.
    poll(isAnyPaused() || dispatcher.queue.length > 0 ? 0 : Math.min(timeout, safetyNet))
    dispatcher.flush()
  }
  fillOnDemand(dispatcher, () => block(safetyNet))
  return { ...attachmentOf(opened), drain: () => block(0), sync, block }
})

/**
 * Waits in the kernel while a consumer takes from the empty queue, or a fiber waits for one source.
 * No other thread fills the queue; and to wait while no fiber does would block the thread for
 * nothing.
 */
const fillOnDemand = (dispatcher: Dispatcher, block: () => void): void => {
  const { queue } = dispatcher
  let scheduled = false
  const isAwaited = () => queue.hasTakers || (dispatcher.waiters > 0 && queue.isOpen)
  const schedule = () => {
    if (scheduled) return
    scheduled = true
    // By way of the event loop, so that the thread's other fibers, its timers and its messages have
    // their turn.
    setImmediate(() => {
      scheduled = false
      if (!isAwaited()) return
      block()
      if (isAwaited()) schedule()
    })
  }
  dispatcher.onWait = schedule
  queue.onTaker(schedule)
}
