/** One process, watched by a descriptor: a pidfd of Linux, or a kqueue. */
import { constants } from "node:os"
import type { PollerError } from "../../PollerError.ts"
import { fromErrno, fromThrown, unsupported } from "../errors/pollerErrors.ts"
import { openProcessKnote } from "../kernel/knoteProcess.ts"
import { retryInterrupted } from "../kernel/retry.ts"
import { Interest } from "../kernel/selector.ts"
import type { Libc } from "../libc/koffi.ts"
import type { KqueueProfile } from "../libc/profiles/kqueueProfile.ts"
import { type ProcessFunctions, processPrototypes } from "../libc/prototypes/system/process.ts"
import type { AttachedLibc } from "./attachedLibc.ts"
import { decodeStatus, type Ended, pidfdsOf } from "./pidfd.ts"

export interface WatchedProcess {
  /** Becomes readable once the process has ended. */
  readonly fd: number
  /**
   * Returns how the process ended, `"unknown"` if the system does not tell, or `undefined` if it
   * runs.
   */
  readonly look: () => Ended | "unknown" | undefined | PollerError
  /** Sends it a signal. */
  readonly signal: (signal: number) => PollerError | undefined
}

/** Opens the process that has this id now. */
export const openProcess = (attached: AttachedLibc, pid: number): WatchedProcess | PollerError => {
  const { libc } = attached
  return libc.profile.selector === "epoll"
    ? openByPidfd(attached, pid)
    : openByKnote(attached, libc as Libc<KqueueProfile>, pid)
}

const openByPidfd = ({ attachment, libc }: AttachedLibc, pid: number): WatchedProcess | PollerError => {
  const pidfds = pidfdsOf(libc)
  const fd = pidfds.open(pid)
  if (fd < 0) {
    return -fd === constants.errno.ENOSYS
      ? unsupported("this kernel has no pidfds (Linux has them since 5.3): start the process with node:child_process")
      : fromErrno("pidfd_open", -fd)
  }
  return {
    fd,
    look() {
      const readiness = attachment.selector.readinessNow(fd, Interest.Read)
      if (readiness === 0) return undefined
      return readiness < 0 ? fromErrno("poll", -readiness, { fd }) : (pidfds.endOf(fd, pid) ?? "unknown")
    },
    signal(signal) {
      const result = pidfds.sendSignal(fd, signal)
      return result >= 0 ? undefined : fromErrno("pidfd_send_signal", -result)
    }
  }
}

type Kill = ProcessFunctions["kill"]

const bound = new WeakMap<Libc, Kill>()

/** Returns kill(2), bound once for each thread. */
const killOf = (libc: Libc): Kill => {
  const known = bound.get(libc)
  if (known !== undefined) return known
  const { kill } = libc.bindMore<Pick<ProcessFunctions, "kill">>({ kill: processPrototypes.kill })
  bound.set(libc, kill)
  return kill
}

const openByKnote = (
  { attachment }: AttachedLibc,
  libc: Libc<KqueueProfile>,
  pid: number
): WatchedProcess | PollerError => {
  const { errno } = libc.profile
  const kill = killOf(libc)
  const signalNow = (signal: number): number => -retryInterrupted(libc, () => kill(pid, signal))
  try {
    const knote = openProcessKnote(libc, pid, () => signalNow(0) !== errno.ESRCH)
    let ended: Ended | "unknown" | undefined = knote.hadEnded ? "unknown" : undefined
    return {
      fd: knote.fd,
      look() {
        try {
          const end = ended === undefined ? knote.take() : undefined
          // The kqueue reports the end once.
          if (end !== undefined) ended = end.status === undefined ? "unknown" : decodeStatus(end.status)
          return ended
        } catch (thrown) {
          return fromThrown(thrown)
        }
      },
      signal(signal) {
        // The look leaves the end to the fibers that wait for it.
        const hasEnded = ended !== undefined || attachment.selector.readinessNow(knote.fd, Interest.Read) > 0
        const reason = hasEnded ? errno.ESRCH : signalNow(signal)
        return reason === 0 ? undefined : fromErrno("kill", reason)
      }
    }
  } catch (thrown) {
    return fromThrown(thrown)
  }
}
