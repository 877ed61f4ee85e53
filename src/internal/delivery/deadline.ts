/** Calls back when a time is over, by the timers of this thread. */
import type { PollerError } from "../../PollerError.ts"
import { fromThrown, notOpen } from "../errors/pollerErrors.ts"
import { State } from "../shared/pollerMemory.ts"
import type { Attachment } from "./attachment.ts"

/** One call to come. */
export interface Deadline {
  /** Whether the time is over, although the call may not have been made yet. */
  readonly isOver: () => boolean
  /** Does nothing if the call has been made. Otherwise it will not be made. */
  readonly cancel: () => void
}

/**
 * Calls `expire` once, `millis` milliseconds from now or as soon afterwards as possible, or `end` if
 * the poller ends before. Neither is called before this returns.
 */
export const startDeadline = (
  { dispatcher, memory, openAlarm }: Attachment,
  millis: number,
  expire: () => void,
  end: (error: PollerError) => void
): Deadline | PollerError => {
  // A poller that has ended has closed its alarm, and would never close another one.
  if (memory.state !== State.Open) return notOpen(memory)
  try {
    const timers = dispatcher.timers(openAlarm)
    const consume = (): true => {
      expire()
      return true
    }
    const registration = dispatcher.addSource(memory.takeId(), { consume, end })
    const { id } = registration
    try {
      timers.add(id, millis, false)
    } catch (thrown) {
      dispatcher.remove(registration)
      throw thrown
    }
    return {
      isOver: () => !timers.has(id) || timers.isDue(id),
      cancel: () => {
        timers.cancel(id)
        // If it has expired in the batch that is being consumed, this withdraws its report.
        dispatcher.remove(registration)
      }
    }
  } catch (thrown) {
    return fromThrown(thrown)
  }
}
