/** Polling on the calling thread: what layerEventLoop and layerBlocking have in common. */
import * as Effect from "effect/Effect"
import type { PollerError } from "../../PollerError.ts"
import { notOpen } from "../errors/pollerErrors.ts"
import { SystemCallError } from "../kernel/systemCallError.ts"
import { currentThread } from "../kernel/threadId.ts"
import { State } from "../shared/pollerMemory.ts"
import { Router } from "../shared/router.ts"
import { failWith, type Opened } from "./openPoller.ts"

export interface LocalPolling {
  /**
   * Waits in the kernel once, for up to `timeout` milliseconds, and delivers. Returns how many
   * entries it found.
   */
  readonly poll: (timeout: number) => number
  /** Returns when everything that is ready now has been delivered. */
  readonly sync: Effect.Effect<void, PollerError>
}

/** `onFailure` is called when the kernel refuses to wait, and this poller has failed. */
export const localPolling = (opened: Opened, onFailure: () => void): LocalPolling => {
  const { dispatcher, libc, mailbox, memory, selector } = opened
  const router = new Router(memory, selector, { mailbox, accept: dispatcher.accept })
  memory.threadId = currentThread(libc)

  const poll = (timeout: number): number => {
    if (memory.state !== State.Open) return 0
    try {
      const count = router.poll(timeout)
      dispatcher.isFresh = true
      return count
    } catch (thrown) {
      const errno = thrown instanceof SystemCallError ? thrown.errno : 0
      failWith(memory, dispatcher, errno, () => notOpen(memory))
      onFailure()
      return 0
    }
  }
  return {
    poll,
    sync: Effect.suspend(() => {
      while (poll(0) === selector.capacity);
      dispatcher.flush()
      return memory.state === State.Open ? Effect.void : Effect.fail(notOpen(memory))
    })
  }
}
