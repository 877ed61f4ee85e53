/**
 * layerAttach: another thread polls. This one joins it with a mailbox of its own, and registers by
 * its own system calls.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { isMainThread } from "node:worker_threads"
import type { PollerHandle } from "../../Poller.ts"
import type { PollerError } from "../../PollerError.ts"
import { SocketBatch } from "../bytes/socketBatch.ts"
import { OpenedDescriptors } from "../shared/openedDescriptors.ts"
import { PollerMemory, State } from "../shared/pollerMemory.ts"
import { Dispatcher } from "../delivery/dispatcher.ts"
import { onExit } from "./exitHook.ts"
import { closed, fromThrown, isRangeError, limitReached, notOpen } from "../errors/pollerErrors.ts"
import { isLoaded, type Libc, libc as loadLibc } from "../libc/koffi.ts"
import { clearInterval, setInterval } from "../libc/realTime.ts"
import * as Selectors from "../kernel/openSelector.ts"
import type { Selector, SelectorHandle } from "../kernel/selector.ts"
import { currentThread, isAlive, shownThread } from "../kernel/threadId.ts"
import type { Attachment } from "../delivery/attachment.ts"
import { releaseContexts, type Shared, wakeOnExit } from "./openPoller.ts"
import * as Handle from "./pollerHandle.ts"
import { MailboxConsumer } from "../delivery/mailboxConsumer.ts"
import { safetyNet } from "../shared/router.ts"

export const open = Effect.fnUntraced(function* (
  pollerHandle: PollerHandle
): Effect.fn.Return<Attachment, PollerError, Scope.Scope> {
  const contents = yield* Handle.open(pollerHandle)
  const memory = new PollerMemory(contents.memory)
  const opened = new OpenedDescriptors(contents.opened)
  const libc = yield* Effect.try({ try: () => load(memory), catch: fromThrown })
  const thread = currentThread(libc)
  const shared: Shared = { libc, memory, opened, owners: contents.selector.owners, thread }
  const dispatcher = yield* Dispatcher.make
  const { mailbox, release, selector } = yield* Effect.acquireRelease(
    join(shared, contents.selector, dispatcher),
    ({ release }) =>
      Effect.sync(() => {
        // First, since ending runs consumers, and nothing would close what they open now.
        memory.leave()
        dispatcher.end()
        release()
      })
  )
  const consumer = yield* Effect.acquireRelease(
    Effect.sync(() => new MailboxConsumer(memory, selector, dispatcher, mailbox, release)),
    (consumer) => Effect.sync(() => consumer.stop())
  )
  // The process exits with the main thread, and waits for every other thread.
  if (isMainThread) yield* wakeOnExit({ libc, memory, selector })
  yield* Effect.acquireRelease(
    Effect.sync(() => setInterval(() => checkThreads(shared), safetyNet)),
    // It also keeps this thread alive while it is attached, as a listening socket would.
    (timer) => Effect.sync(() => clearInterval(timer))
  )
  return {
    libc,
    memory,
    opened,
    selector,
    origin: contents.selector,
    mailbox,
    dispatcher,
    drain: consumer.drain,
    sync: consumer.sync,
    openAlarm: () => selector.openAlarm(mailbox)
  }
})

/** Loads the C library. Until then, the exit of the process waits for this thread. */
const load = (memory: PollerMemory): Libc => {
  if (isLoaded()) return loadLibc()
  const place = memory.loading.begin(shownThread())
  try {
    return loadLibc()
  } finally {
    memory.loading.end(place)
  }
}

interface Joined {
  readonly selector: Selector
  readonly mailbox: number
  readonly release: () => void
}

const join = (shared: Shared, handle: SelectorHandle, dispatcher: Dispatcher): Effect.Effect<Joined, PollerError> =>
  Effect.suspend(() => {
    const { libc, memory, opened, thread } = shared
    const noting = opened.noting(libc, thread)
    checkThreads(shared)
    if (memory.state !== State.Open) return Effect.fail(notOpen(memory))
    let selector: Selector
    try {
      selector = Selectors.attach(noting, handle)
    } catch (thrown) {
      return Effect.fail(memory.state === State.Open ? fromThrown(thrown) : closed())
    }
    // If the poller closed in between, these are duplicates of other descriptors that have reused
    // its numbers.
    const mailbox = memory.state === State.Open ? claim(shared) : notOpen(memory)
    if (typeof mailbox !== "number") {
      selector.close()
      return Effect.fail(mailbox)
    }
    const batch = new SocketBatch(noting, memory.mailboxes.contextPlace(mailbox))
    dispatcher.batch = batch
    let released = false
    const release = () => {
      if (released) return
      released = true
      cancel()
      // From now on the mailbox may have another owner, and the descriptors' numbers be reused.
      memory.leave()
      batch.close()
      memory.mailboxes.release(mailbox)
      selector.close()
      // After the mailbox, or the owner might close the poller in between, and neither see this.
      checkThreads(shared)
      if (memory.isOver) releaseContexts(shared)
    }
    const cancel = onExit(release)
    return Effect.succeed({ selector, mailbox, release })
  })

/** Claims a mailbox for this thread. Returns its number, or why there is none. */
const claim = (shared: Shared): number | PollerError => {
  const { mailboxes } = shared.memory
  try {
    const mailbox = mailboxes.claim(shared.thread)
    if (mailbox !== 0) return mailbox
  } catch (thrown) {
    if (!isRangeError(thrown)) throw thrown
    return limitReached(
      `there is no memory for another mailbox of ${mailboxes.ringSize} entries (build the poller with a smaller mailboxSize)`
    )
  }
  return limitReached(
    `all ${mailboxes.capacity} mailboxes of this poller are taken (build it with a larger maxThreads)`
  )
}

/**
 * Looks for terminated threads, which cannot report their end. Fails the poller if its polling
 * thread is gone. Gives back the mailboxes of all others, and closes what they left open.
 */
const checkThreads = ({ libc, memory, opened, owners, thread }: Shared): void => {
  const isRunning = (thread: number) => isAlive(libc, thread)
  // First, so that no thread attaches to descriptors that are about to be closed.
  if (!memory.isOver && !isRunning(memory.threadId)) {
    if (!memory.fail(0)) memory.advance(State.Closed)
    memory.mailboxes.wakeAll()
  }
  memory.mailboxes.reclaim(isRunning)
  opened.closeLeft(libc, thread, isRunning, owners)
}
