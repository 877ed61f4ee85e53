/** No thread waits: the event loop of this one watches the selector's own descriptor. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { LayerOptions } from "../../Poller.ts"
import type { PollerError } from "../../PollerError.ts"
import { State } from "../shared/pollerMemory.ts"
import { fromThrown, notOpen } from "../errors/pollerErrors.ts"
import { SystemCallError } from "../kernel/systemCallError.ts"
import { currentThread } from "../kernel/threadId.ts"
import { LookAgain } from "./lookAgain.ts"
import type { Attachment } from "../delivery/attachment.ts"
import { failWith, open as openPoller } from "./openPoller.ts"
import { Router } from "../shared/router.ts"

export const open = Effect.fnUntraced(function* (
  options: LayerOptions | undefined
): Effect.fn.Return<Attachment, PollerError, Scope.Scope> {
  const { memory, dispatcher, libc, mailbox, selector } = yield* openPoller(options)
  const router = new Router(memory, selector, { mailbox, accept: dispatcher.accept })
  memory.threadId = currentThread()

  const poll = (): number => {
    if (memory.state !== State.Open) return 0
    try {
      return router.poll(0)
    } catch (thrown) {
      const errno = thrown instanceof SystemCallError ? thrown.errno : 0
      failWith(memory, dispatcher, errno, () => notOpen(memory))
      watch.close()
      return 0
    }
  }
  const look = (): number => {
    const found = poll()
    dispatcher.flush()
    return found
  }
  const again = new LookAgain()
  const watch = yield* Effect.acquireRelease(
    Effect.try({
      try: () =>
        // One full batch a turn of the loop: if there is more, the descriptor is still readable and the loop comes back to it
        // after it has looked at everything else.
        libc.watchReadable(selector.handle.fd, () => again.isWorthIt(look())),
      catch: fromThrown
    }),
    (watch) => Effect.sync(() => watch.close())
  )
  // The loop begins to watch with its next turn, and aborts the process should the kernel refuse: which it would if by
  // then one open file were registered under some five hundred numbers.
  yield* Effect.callback<void>((resume) => void setImmediate(() => resume(Effect.void)))
  const sync = Effect.suspend(() => {
    while (poll() === selector.capacity);
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
    drain: () => void look(),
    sync,
    openAlarm: () => selector.openAlarm(mailbox)
  }
})
