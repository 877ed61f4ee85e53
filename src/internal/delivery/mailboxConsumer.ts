/**
 * Empties this thread's mailbox into its dispatcher, and sleeps in between. The polling thread
 * wakes it, once for any number of entries.
 */
import { resumeFiber } from "../objects/resumeFiber.ts"
import * as Effect from "effect/Effect"
import type { PollerError } from "../../PollerError.ts"
import type { PollerMemory } from "../shared/pollerMemory.ts"
import { State } from "../shared/pollerMemory.ts"
import type { Dispatcher } from "./dispatcher.ts"
import { TurnBudget } from "./turnBudget.ts"
import { notOpen } from "../errors/pollerErrors.ts"
import { queueMicrotask, setImmediate } from "../libc/realTime.ts"
import { MailboxReader } from "../shared/mailbox.ts"
import type { Selector } from "../kernel/selector.ts"

interface SyncWaiter {
  readonly request: number
  readonly resume: (result: Effect.Effect<void, PollerError>) => void
}

export class MailboxConsumer {
  readonly #memory: PollerMemory
  readonly #selector: Selector
  readonly #dispatcher: Dispatcher
  readonly #reader: MailboxReader
  readonly #onEnd: () => void
  readonly #syncing = new Set<SyncWaiter>()
  #stopped = false
  readonly #budget = new TurnBudget()

  /** `onEnd` is called once, when the poller has closed or died and its consumers have ended. */
  constructor(memory: PollerMemory, selector: Selector, dispatcher: Dispatcher, mailbox: number, onEnd: () => void) {
    this.#memory = memory
    this.#selector = selector
    this.#dispatcher = dispatcher
    this.#reader = new MailboxReader(memory, mailbox)
    this.#onEnd = onEnd
    this.#sleep()
  }

  readonly drain = (): void => {
    if (this.#stopped) return
    // Read before the ring, so that everything it acknowledges is among what is drained.
    const synced = this.#reader.synced
    if (this.#reader.drain(this.#dispatcher.accept)) this.#selector.wake()
    this.#dispatcher.flush()
    for (const waiter of this.#syncing) {
      if (((synced - waiter.request) | 0) >= 0) this.#settle(waiter, Effect.void)
    }
  }

  /** Returns when everything that is ready now has been delivered to the dispatcher. */
  readonly sync: Effect.Effect<void, PollerError> = Effect.callback((resume) => {
    if (this.#memory.state !== State.Open) return resume(Effect.fail(notOpen(this.#memory)))
    const waiter: SyncWaiter = { request: this.#reader.requestSync(), resume }
    this.#syncing.add(waiter)
    this.#selector.wake()
    return Effect.sync(() => void this.#syncing.delete(waiter))
  })

  /** Stops listening. Entries that have not been drained are not delivered. */
  stop(): void {
    if (this.#stopped) return
    this.#stopped = true
    this.#reader.wakeOwner()
    for (const waiter of this.#syncing) this.#settle(waiter, Effect.fail(notOpen(this.#memory)))
  }

  #settle(waiter: SyncWaiter, result: Effect.Effect<void, PollerError>): void {
    this.#syncing.delete(waiter)
    resumeFiber(waiter.resume, result)
  }

  readonly #turn = (): void => {
    if (this.#stopped) return
    // Read before the ring, so that what was reported before the end is among what is drained.
    const state = this.#memory.state
    this.drain()
    // Draining has run consumers, and one of them may have closed this layer.
    if (this.#stopped) return
    if (state >= State.Closed) {
      if (state === State.Failed) this.#dispatcher.fail(notOpen(this.#memory))
      else this.#dispatcher.end()
      this.stop()
      this.#onEnd()
    } else {
      this.#sleep()
    }
  }

  #sleep(): void {
    const reader = this.#reader
    reader.fallAsleep()
    // What was written before the writer could see that is found here; what is written after that
    // wakes this thread.
    const wake =
      reader.isEmpty && this.#memory.state < State.Closed && !this.#hasAnswer ? reader.awaitWake() : undefined
    if (wake !== undefined) {
      this.#budget.end()
      void wake.then(this.#turn)
    } else {
      reader.stayAwake()
      if (this.#budget.spend()) queueMicrotask(this.#turn)
      // By way of the event loop, so that a writer that is always faster does not starve it.
      else setImmediate(this.#turn)
    }
  }

  get #hasAnswer(): boolean {
    const synced = this.#reader.synced
    for (const { request } of this.#syncing) if (((synced - request) | 0) >= 0) return true
    return false
  }
}
