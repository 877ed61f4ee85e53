/** One thread's part in a poller: what every way of polling ends up with, and what the two services are made of. */
import type * as Effect from "effect/Effect"
import type { PollerError } from "../../PollerError.ts"
import type { Alarm, Selector, SelectorHandle } from "../kernel/selector.ts"
import type { Libc } from "../libc/koffi.ts"
import type { PollerMemory } from "../shared/pollerMemory.ts"
import type { Dispatcher } from "./dispatcher.ts"

export interface Attachment {
  readonly memory: PollerMemory
  readonly selector: Selector
  /** The selector as its owner opened it: what yet another thread attaches to. */
  readonly origin: SelectorHandle
  /** The mailbox that the kernel's user data names for this thread. */
  readonly mailbox: number
  readonly dispatcher: Dispatcher
  /** Delivers what has arrived already, without waiting. */
  readonly drain: () => void
  /** Returns when everything that is ready now has been delivered. */
  readonly sync: Effect.Effect<void, PollerError>
  /** Opens the alarm for this thread's timers. Throws `SystemCallError`. */
  readonly openAlarm: () => Alarm
  /**
   * Set where a wait is made by the calling thread itself: waits once, for so many milliseconds at most, and delivers.
   */
  readonly block?: (timeout: number) => void
  /** The calls that move data; there are none where there is no kernel. */
  readonly libc: Libc | undefined
  /** Set by the poller for tests: what is to go wrong with a registration, and what happens once it is noted. */
  readonly beforeRegistering?: () => PollerError | undefined
  readonly afterRegistering?: () => void
}
