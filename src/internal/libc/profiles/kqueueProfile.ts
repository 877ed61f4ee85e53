/** What the library has to know about a system that polls with kqueue(2). */
import type { CommonProfile } from "./commonProfile.ts"

/**
 * The layout of `struct kevent` on a 64-bit machine, in 32-bit words. Every system has the same
 * eight words. FreeBSD appends eight more of its own since version 12.
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
    /**
     * For events that a program triggers. Some releases refuse it although their headers define it.
     */
    readonly EVFILT_USER: number | undefined
    /** For out-of-band data, on systems that have such a filter. */
    readonly EVFILT_EXCEPT: number | undefined
    readonly NOTE_OOB: number
    /** For the end of a process. */
    readonly EVFILT_PROC: number
    readonly NOTE_EXIT: number
    /** Asks for the status, which only the parent may. 0 if every report has it. */
    readonly NOTE_EXITSTATUS: number
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
