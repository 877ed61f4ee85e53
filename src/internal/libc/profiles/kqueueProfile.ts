/** What the library has to know of a system that polls with kqueue(2). */
import type { CommonProfile } from "./commonProfile.ts"

/**
 * How `struct kevent` lies in memory on a 64-bit machine, in 32-bit words: the same eight words everywhere, which FreeBSD
 * follows with eight more of its own since its version 12.
 */
export interface KeventLayout {
  /** Words from one entry to the next. */
  readonly stride: 8 | 16
}

export interface KqueueProfile extends CommonProfile {
  readonly selector: "kqueue"
  readonly kqueue: {
    readonly layout: KeventLayout
    readonly EVFILT_READ: number
    readonly EVFILT_WRITE: number
    readonly EVFILT_TIMER: number
    /** What a program triggers itself. Not all releases of every system have it, whatever its headers say. */
    readonly EVFILT_USER: number | undefined
    /** Out-of-band data, where there is a filter for it. */
    readonly EVFILT_EXCEPT: number | undefined
    readonly NOTE_OOB: number
    readonly NOTE_TRIGGER: number
    readonly EV_ADD: number
    readonly EV_DELETE: number
    readonly EV_ONESHOT: number
    readonly EV_CLEAR: number
    readonly EV_DISPATCH: number
    readonly EV_ERROR: number
    readonly EV_EOF: number
  }
}
