/** EVFILT_PROC: the end of a process, on a kqueue of its own. */
import type { Libc } from "../libc/koffi.ts"
import type { KqueueProfile } from "../libc/profiles/kqueueProfile.ts"
import { setCloseOnExec } from "./descriptorFlags.ts"
import { Kevent } from "./kevent.ts"
import { bindChangeKnote } from "./knoteChange.ts"
import { retryInterrupted } from "./retry.ts"
import { SystemCallError } from "./systemCallError.ts"

/** How a process ended: the status that wait(2) returns, if the system tells it. */
export interface ReportedEnd {
  readonly status: number | undefined
}

export interface ProcessKnote {
  /** A kqueue, which is readable once the process has ended, until `take` returns its end. */
  readonly fd: number
  /** Whether the process had ended before, and the system watches none that has: nothing is reported. */
  readonly hadEnded: boolean
  /** Returns how the process ended, or `undefined` if it runs. Throws `SystemCallError`. */
  readonly take: () => ReportedEnd | undefined
}

/**
 * Watches the process that has this id now. Throws `SystemCallError`, with ESRCH if there is none.
 * `exists` returns whether there is such a process, whether it has ended or not.
 *
 * The knote belongs to the process: if its id is given to another one, the knote does not follow. A
 * kqueue of its own lets any number of knotes watch one process, and gives the poller a descriptor.
 */
export const openProcessKnote = (libc: Libc<KqueueProfile>, pid: number, exists: () => boolean): ProcessKnote => {
  const { errno, functions, profile } = libc
  const { close, kevent, kqueue } = functions
  const { EVFILT_PROC, EV_ADD, EV_ONESHOT, NOTE_EXIT, NOTE_EXITSTATUS, layout } = profile.kqueue
  const { EACCES, ESRCH } = profile.errno
  const fd = kqueue()
  if (fd === -1) throw new SystemCallError("kqueue", errno())
  setCloseOnExec(libc, [fd])
  const change = bindChangeKnote(libc, fd)

  const add = (): number => {
    const reason = change(pid, EVFILT_PROC, EV_ADD | EV_ONESHOT, NOTE_EXIT | NOTE_EXITSTATUS)
    // macOS tells the status to the parent alone.
    return reason === EACCES && NOTE_EXITSTATUS !== 0
      ? change(pid, EVFILT_PROC, EV_ADD | EV_ONESHOT, NOTE_EXIT)
      : reason
  }

  let reason = add()
  let hadEnded = false
  if (reason === ESRCH && exists()) {
    // Some systems watch no process that has ended. Another one may have begun in between.
    reason = add()
    hadEnded = reason === ESRCH && exists()
  }
  if (reason !== 0 && !hadEnded) {
    close(fd)
    throw new SystemCallError("kevent(ADD, EVFILT_PROC)", reason)
  }
  const batch = new Int32Array(layout.stride)
  const noTime = new Int32Array(4)
  return {
    fd,
    hadEnded,
    take() {
      const count = retryInterrupted(libc, () => kevent(fd, null, 0, batch, 1, noTime))
      if (count < 0) throw new SystemCallError("kevent", -count)
      if (count === 0) return undefined
      const isTold = NOTE_EXITSTATUS === 0 || (batch[Kevent.Fflags]! & NOTE_EXITSTATUS) !== 0
      return { status: isTold ? batch[Kevent.Data]! : undefined }
    }
  }
}
