/** Opens and closes what a poller consists of, whichever thread waits in it. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { optionsOrFail } from "./options.ts"
import { SocketBatch } from "../bytes/socketBatch.ts"
import { OpenedDescriptors } from "../shared/openedDescriptors.ts"
import { PollerMemory, State } from "../shared/pollerMemory.ts"
import { Dispatcher } from "../delivery/dispatcher.ts"
import { onExit } from "./exitHook.ts"
import { closed, fromThrown, isRangeError, limitReached } from "../errors/pollerErrors.ts"
import type { Libc } from "../libc/koffi.ts"
import { setTimeout } from "../libc/realTime.ts"
import { loadLibc } from "../errors/loadLibc.ts"
import { releaseContext } from "../kernel/aioContext.ts"
import * as Selectors from "../kernel/openSelector.ts"
import type { Selector } from "../kernel/selector.ts"
import { currentThread, isAlive } from "../kernel/threadId.ts"
import { safetyNet } from "../shared/router.ts"
import type { LayerOptions } from "../../Poller.ts"
import type { PollerError } from "../../PollerError.ts"

/** What the owner of a poller has opened. */
export interface Opened {
  readonly libc: Libc
  readonly memory: PollerMemory
  readonly opened: OpenedDescriptors
  readonly thread: number
  readonly selector: Selector
  readonly dispatcher: Dispatcher
  readonly mailbox: number
}

/**
 * Opens a selector and its shared memory. Closing the scope ends every consumer and closes every
 * descriptor.
 */
export const open = (options: LayerOptions | undefined): Effect.Effect<Opened, PollerError, Scope.Scope> =>
  Effect.gen(function* () {
    const { batchSize, mailboxSize, maxThreads } = yield* optionsOrFail(options)
    const libc = yield* loadLibc
    const dispatcher = yield* Dispatcher.make
    const opened = yield* Effect.acquireRelease(
      Effect.try({
        try: (): Opened => {
          // First, so that nothing is open if there is no memory for it.
          const memory = PollerMemory.make(maxThreads, mailboxSize)
          const opened = OpenedDescriptors.make()
          const thread = currentThread(libc)
          const noting = opened.noting(libc, thread)
          const selector = Selectors.open(noting, batchSize)
          const mailbox = memory.mailboxes.claim(thread)
          dispatcher.batch = new SocketBatch(noting, memory.mailboxes.contextPlace(mailbox))
          return { libc, memory, opened, thread, selector, dispatcher, mailbox }
        },
        catch: (thrown) =>
          isRangeError(thrown)
            ? limitReached(
                `there is no memory for ${maxThreads} mailboxes of ${mailboxSize} entries each (lower maxThreads or mailboxSize)`
              )
            : fromThrown(thrown)
      }),
      ({ mailbox, memory, opened, selector, thread }) =>
        Effect.sync(() => {
          memory.advance(State.Closed)
          memory.mailboxes.wakeAll()
          dispatcher.end()
          dispatcher.batch?.close()
          selector.close()
          releaseContext(libc, memory.mailboxes.contextPlace(mailbox))
          closeLeft({ libc, memory, opened, owners: selector.handle.owners, thread }, 10)
        })
    )
    yield* wakeOnExit(opened)
    return opened
  })

/** The part of an attachment that does not depend on how its thread polls. */
export const attachmentOf = ({ dispatcher, libc, mailbox, memory, opened, selector }: Opened) => ({
  libc,
  memory,
  opened,
  selector,
  origin: selector.handle,
  mailbox,
  dispatcher,
  openAlarm: () => selector.openAlarm(mailbox)
})

/** What a thread shares with the others of its poller. */
export interface Shared {
  readonly libc: Libc
  readonly memory: PollerMemory
  readonly opened: OpenedDescriptors
  /** The owners of numbers, of the poller's selector. */
  readonly owners: SharedArrayBuffer
  /** The kernel's number of this thread, or 0. */
  readonly thread: number
}

/**
 * Closes what terminated threads left open, and looks again a second later while one of them may
 * still be ending.
 */
const closeLeft = (shared: Shared, times: number): void => {
  const { libc, memory, opened, owners, thread } = shared
  const isRunning = (thread: number) => isAlive(libc, thread)
  const isHeld = opened.closeLeft(libc, thread, isRunning, owners)
  memory.mailboxes.reclaim(isRunning)
  releaseContexts(shared)
  if (times > 0 && isHeld) setTimeout(closeLeft, safetyNet, shared, times - 1).unref()
}

/**
 * Releases the contexts of AIO that no thread uses any more. Called by each thread that leaves a
 * poller that is over, after it has released its mailbox.
 */
export const releaseContexts = ({ libc, memory }: Pick<Shared, "libc" | "memory">): void => {
  for (const place of memory.mailboxes.abandonedContexts()) releaseContext(libc, place)
}

/**
 * Ends this poller when the calling thread exits, for the threads that are blocked in it or
 * attached to it.
 */
export const wakeOnExit = ({
  libc,
  memory,
  selector
}: Pick<Opened, "libc" | "memory" | "selector">): Effect.Effect<void, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() =>
      onExit(() => {
        // Once it has ended, the descriptor that wakes it may be closed, and its number reused.
        if (memory.state < State.Closed) {
          memory.advance(State.Closed)
          memory.mailboxes.wakeAll()
          selector.wake()
        }
        // Node ends the threads next.
        memory.loading.awaitAll(safetyNet, (thread) => isAlive(libc, thread))
      })
    ),
    (cancel) => Effect.sync(cancel)
  ).pipe(Effect.asVoid)

/** Fails the consumers of this thread because the polling thread has died. */
export const failWith = (
  memory: PollerMemory,
  dispatcher: Dispatcher,
  errno: number,
  error: () => PollerError
): void => {
  memory.fail(errno)
  memory.mailboxes.wakeAll()
  dispatcher.fail(memory.state === State.Failed ? error() : closed())
}
