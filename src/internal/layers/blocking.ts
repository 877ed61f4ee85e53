/** The calling thread itself waits in the kernel, and does nothing else meanwhile. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { isMainThread } from "node:worker_threads"
import type { LayerBlockingOptions } from "../../Poller.ts"
import type { PollerError } from "../../PollerError.ts"
import { State } from "../shared/pollerMemory.ts"
import { isAnyPaused } from "../descriptor/direction.ts"
import type { Dispatcher } from "../delivery/dispatcher.ts"
import { invalidArgument, notOpen } from "../errors/pollerErrors.ts"
import { SystemCallError } from "../kernel/systemCallError.ts"
import { currentThread } from "../kernel/threadId.ts"
import type { Attachment } from "../delivery/attachment.ts"
import { failWith, open as openPoller } from "./openPoller.ts"
import { Router } from "../shared/router.ts"
import { safetyNet } from "../shared/router.ts"

export const open = Effect.fnUntraced(function* (
  options: LayerBlockingOptions | undefined
): Effect.fn.Return<Attachment, PollerError, Scope.Scope> {
  if (isMainThread && options?.allowMainThread !== true) {
    return yield* invalidArgument(
      "layerBlocking would block the main thread: build it in a worker thread, or pass allowMainThread: true"
    )
  }
  const { memory, dispatcher, libc, mailbox, selector } = yield* openPoller(options)
  const router = new Router(memory, selector, { mailbox, accept: dispatcher.accept })
  memory.threadId = currentThread()

  const poll = (timeout: number): number => {
    if (memory.state !== State.Open) return 0
    try {
      return router.poll(timeout)
    } catch (thrown) {
      const errno = thrown instanceof SystemCallError ? thrown.errno : 0
      failWith(memory, dispatcher, errno, () => notOpen(memory))
      return 0
    }
  }
  const block = (timeout: number): void => {
    // Whoever blocks may do so in the midst of a batch.
    dispatcher.batch?.settle()
    // Nor while somebody has yet to be served of what is ready.
    poll(isAnyPaused() ? 0 : Math.min(timeout, safetyNet))
    dispatcher.flush()
  }
  fillOnDemand(dispatcher, () => block(safetyNet))
  const sync = Effect.suspend(() => {
    while (poll(0) === selector.capacity);
    dispatcher.flush()
    return memory.state === State.Open ? Effect.void : Effect.fail(notOpen(memory))
  })
  return {
    libc,
    memory,
    selector,
    origin: selector.handle,
    mailbox,
    dispatcher,
    drain: () => block(0),
    sync,
    openAlarm: () => selector.openAlarm(mailbox),
    block
  }
})

/**
 * Waits in the kernel while a consumer takes from the empty queue, or a fiber waits for one source. No other thread fills
 * the queue; and to wait while no fiber does would block the thread for nothing.
 */
const fillOnDemand = (dispatcher: Dispatcher, block: () => void): void => {
  const { queue } = dispatcher
  let scheduled = false
  const isAwaited = () => queue.hasTakers || (dispatcher.waiters > 0 && queue.isOpen)
  const schedule = () => {
    if (scheduled) return
    scheduled = true
    // By way of the event loop, so that the thread's other fibers, its timers and its messages have their turn.
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
