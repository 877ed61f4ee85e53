/** No thread waits: the event loop of this one watches the selector's own descriptor. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { PollerError } from "../../PollerError.ts"
import { State } from "../shared/pollerMemory.ts"
import { fromThrown, notOpen } from "../errors/pollerErrors.ts"
import { SelectorFailure } from "../kernel/selector.ts"
import { currentThread } from "../kernel/threadId.ts"
import { Again } from "./lookAgain.ts"
import type { Attachment } from "./openPoller.ts"
import { failWith, open as openPoller } from "./openPoller.ts"
import type { Options } from "./options.ts"
import { Router } from "../shared/router.ts"

export const open = Effect.fnUntraced(function* (
  options: Options | undefined
): Effect.fn.Return<Attachment, PollerError, Scope.Scope> {
  const { control, dispatcher, libc, mailbox, selector } = yield* openPoller(options)
  const router = new Router(control, selector, { mailbox, accept: dispatcher.accept })
  control.threadId = currentThread()

  const poll = (): number => {
    if (control.state !== State.Open) return 0
    try {
      return router.poll(0)
    } catch (thrown) {
      const errno = thrown instanceof SelectorFailure ? thrown.errno : 0
      failWith(control, dispatcher, errno, () => notOpen(control))
      watch.close()
      return 0
    }
  }
  const look = (): number => {
    const found = poll()
    dispatcher.flush()
    return found
  }
  const again = new Again()
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
    return control.state === State.Open ? Effect.void : Effect.fail(notOpen(control))
  })
  return {
    libc,
    control,
    selector,
    origin: selector.handle,
    mailbox,
    dispatcher,
    drain: () => void look(),
    sync,
    openAlarm: () => selector.openAlarm(mailbox)
  }
})
