/** One thread's part in a poller: what each layer builds, and what the two services consist of. */
import type * as Effect from "effect/Effect"
import type { PollerError } from "../../PollerError.ts"
import type { Alarm, Selector, SelectorHandle } from "../kernel/selector.ts"
import type { Libc } from "../libc/koffi.ts"
import type { OpenedDescriptors } from "../shared/openedDescriptors.ts"
import type { PollerMemory } from "../shared/pollerMemory.ts"
import type { Dispatcher } from "./dispatcher.ts"

export interface Attachment {
  readonly memory: PollerMemory
  /** The notes of which thread opened which descriptor for this poller. */
  readonly opened: OpenedDescriptors
  readonly selector: Selector
  /** The selector as its owner opened it, for further threads to attach to. */
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
   * Set where the calling thread itself waits: waits once, for up to `timeout` milliseconds, and
   * delivers.
   */
  readonly block?: (timeout: number) => void
  /** The calls that move data. `TestPoller` has none. */
  readonly libc: Libc | undefined
  /** Set by `TestPoller`: makes a registration fail, and runs once a registration is noted. */
  readonly beforeRegistering?: () => PollerError | undefined
  readonly afterRegistering?: () => void
}
