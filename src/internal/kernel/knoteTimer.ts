/** EVFILT_TIMER: alarms on a kqueue. */
import type { KqueueProfile } from "../libc/profiles/kqueueProfile.ts"
import { now } from "../libc/realTime.ts"
import type { ChangeKnote } from "./knoteChange.ts"
import type { Alarm } from "./selector.ts"
import { SystemCallError } from "./systemCallError.ts"

/** The most milliseconds that every kernel accepts. */
const longestTime = 2 ** 31 - 1

/**
 * Opens an alarm: a timer that expires once, numbered after its mailbox. The numbers of timers are
 * apart from those of descriptors. Its time is relative, because not every system has another kind.
 * So it is deleted and added anew instead of changed. Throws `SystemCallError`.
 */
export const openAlarm = ({ kqueue }: KqueueProfile, change: ChangeKnote, mailbox: number): Alarm => {
  const { EVFILT_TIMER, EV_ADD, EV_DELETE, EV_ONESHOT } = kqueue
  const add = (millis: number) => change(mailbox, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, millis, mailbox, 0)
  const remove = () => change(mailbox, EVFILT_TIMER, EV_DELETE)
  // A limit on timers shows here, where it can still be reported.
  const reason = add(longestTime)
  if (reason !== 0) throw new SystemCallError("kevent(ADD)", reason)
  return {
    now,
    set(deadline) {
      remove()
      // Not every system takes less than a millisecond. Before a deadline that is too far away the
      // timer expires early, which does no harm.
      const reason = add(Math.min(Math.max(Math.ceil(deadline - now()), 1), longestTime))
      if (reason !== 0) throw new SystemCallError("kevent(ADD)", reason)
    },
    close: () => void remove()
  }
}
