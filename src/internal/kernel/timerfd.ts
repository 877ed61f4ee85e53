/** timerfd_create(2): alarms on Linux. */
import type { Libc } from "../libc/koffi.ts"
import type { EpollProfile } from "../libc/profiles/epollProfile.ts"
import { now } from "../libc/realTime.ts"
import type { Alarm } from "./selector.ts"
import { SystemCallError } from "./systemCallError.ts"

/** The most milliseconds whose seconds fit into 32 bits, as some systems have them. */
const longestTime = (2 ** 31 - 1) * 1000

/**
 * Opens an alarm. `watch` registers its descriptor with the selector, and throws if it cannot;
 * `unwatch` is called before the descriptor is closed. A descriptor that is watched edge-triggered
 * is reported at each expiry, so it need not be read. Throws `SystemCallError`.
 */
export const openAlarm = (
  libc: Libc<EpollProfile>,
  watch: (fd: number) => void,
  unwatch: (fd: number) => void
): Alarm => {
  const { functions, profile } = libc
  const { CLOCK_MONOTONIC, CLOEXEC, NONBLOCK } = profile.timerfd
  const fd = functions.timerfd_create(CLOCK_MONOTONIC, CLOEXEC | NONBLOCK)
  if (fd === -1) throw new SystemCallError("timerfd_create", libc.errno())
  try {
    watch(fd)
  } catch (thrown) {
    functions.close(fd)
    throw thrown
  }
  return {
    now,
    set(deadline) {
      // Zero would disarm it. Before a deadline that is too far away it expires early, which does
      // no harm.
      const left = Math.min(Math.max(deadline - now(), 1e-6), longestTime)
      let tv_sec = Math.floor(left / 1000)
      let tv_nsec = Math.ceil((left - tv_sec * 1000) * 1e6)
      if (tv_nsec >= 1e9) {
        tv_sec++
        tv_nsec = 0
      }
      const value = itimerspec(profile, tv_sec, tv_nsec)
      if (functions.timerfd_settime(fd, 0, value, null) === -1) {
        throw new SystemCallError("timerfd_settime", libc.errno())
      }
    },
    close() {
      unwatch(fd)
      functions.close(fd)
    }
  }
}

/** Encodes `struct itimerspec` for a timer that expires once: in words, the low ones first. */
export const itimerspec = ({ pointerBytes }: EpollProfile, seconds: number, nanos: number): Int32Array =>
  Int32Array.from(pointerBytes === 4 ? [0, 0, seconds, nanos] : [0, 0, 0, 0, seconds, seconds / 2 ** 32, nanos, 0])
