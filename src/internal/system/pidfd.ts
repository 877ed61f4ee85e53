/** pidfds of Linux: a process, watched by a descriptor that no other process can get into. */
import { readFileSync, readlinkSync } from "node:fs"
import { retryInterrupted } from "../kernel/retry.ts"
import type { Libc } from "../libc/koffi.ts"
import {
  pidfd,
  type PidfdFunctions,
  pidfdInfoLayout,
  pidfdPrototypes,
  siginfoLayout
} from "../libc/prototypes/system/pidfd.ts"
import { readStruct, viewOf, writeStruct } from "./layout.ts"

/** How a process ended. `signal` is a number. */
export type Ended = { readonly code: number } | { readonly signal: number; readonly coreDumped: boolean }

export interface Pidfds {
  /** Opens a process. Returns the descriptor, which closes on exec, or the negated errno. */
  readonly open: (pid: number) => number
  /** Sends a signal to the process of a pidfd. Returns 0, or the negated errno. */
  readonly sendSignal: (fd: number, signal: number) => number
  /**
   * Returns how a child of this process ended, without reaping it: its owner still can. Returns
   * `undefined` if it runs, if it is no child of this process, or if it has been reaped.
   */
  readonly endOfChild: (fd: number) => Ended | undefined
  /** Reaps a child of this process. Returns 0, or the negated errno. */
  readonly reap: (fd: number) => number
  /**
   * Returns how a process ended, whose end its pidfd has reported. Returns `undefined` if this
   * system does not tell.
   */
  readonly endOf: (fd: number, pid: number) => Ended | undefined
}

/** Decodes the status that wait(2) returns. */
export const decodeStatus = (status: number): Ended => {
  const signal = status & 0x7f
  return signal === 0 ? { code: (status >> 8) & 0xff } : { signal, coreDumped: (status & 0x80) !== 0 }
}

/** Returns whether the details of a process, and so its status, are shown to this one. */
const isShown = (pid: number): boolean => {
  try {
    readlinkSync(`/proc/${pid}/cwd`)
    return true
  } catch (cause) {
    // A process that has ended has no working directory. What is hidden fails with EACCES.
    return (cause as NodeJS.ErrnoException).code === "ENOENT"
  }
}

/** Returns the status of a process that has ended and has not been reaped, from its page in /proc. */
const statusInProc = (pid: number): number | undefined => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1")
    // The name of the process, in brackets, may contain anything.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
    const [state, exitCode] = [fields[0], Number(fields[49])]
    return (state === "Z" || state === "X") && Number.isInteger(exitCode) && isShown(pid) ? exitCode : undefined
  } catch {
    // There is no /proc, it is hidden, or `node --permission` forbids it.
    return undefined
  }
}

const bind = (libc: Libc): Pidfds => {
  const functions = libc.bindMore<PidfdFunctions>(pidfdPrototypes)
  const info = siginfoLayout[libc.profile.pointerBytes]
  const siginfo = new Uint8Array(info.size)
  const pidfdInfo = new Uint8Array(pidfdInfoLayout.size)

  const wait = (fd: number, options: number): number =>
    retryInterrupted(libc, () => functions.waitid(pidfd.P_PIDFD, fd, siginfo.fill(0), pidfd.WEXITED | options))

  const sendSignal = (fd: number, signal: number): number =>
    retryInterrupted(libc, () => functions.pidfd_send_signal(pidfd.sendSignal, fd, signal, null, 0))

  const endOfChild = (fd: number): Ended | undefined => {
    if (wait(fd, pidfd.WNOHANG | pidfd.WNOWAIT) !== 0) return undefined
    const { si_code, si_pid, si_status } = readStruct(info.members, viewOf(siginfo), 0)
    if (si_pid === 0) return undefined
    return si_code === pidfd.CLD_EXITED
      ? { code: si_status & 0xff }
      : { signal: si_status, coreDumped: si_code === pidfd.CLD_DUMPED }
  }

  /** Returns how a process ended that has been reaped. Linux keeps it since 6.15. */
  const endOfReaped = (fd: number): Ended | undefined => {
    const view = viewOf(pidfdInfo.fill(0))
    writeStruct(pidfdInfoLayout.members, view, 0, { mask: pidfd.PIDFD_INFO_EXIT })
    if (retryInterrupted(libc, () => functions.pidfd_get_info(fd, pidfd.PIDFD_GET_INFO, pidfdInfo)) < 0) {
      return undefined
    }
    const { exit_code, mask } = readStruct(pidfdInfoLayout.members, view, 0)
    return (mask & pidfd.PIDFD_INFO_EXIT) === 0n ? undefined : decodeStatus(exit_code)
  }

  /** Returns how a process ended that its parent has not reaped yet. */
  const endOfUnreaped = (fd: number, pid: number): Ended | undefined => {
    const status = statusInProc(pid)
    // While the process has not been reaped, the number is its own.
    return status !== undefined && sendSignal(fd, 0) !== -libc.profile.errno.ESRCH ? decodeStatus(status) : undefined
  }

  return {
    open: (pid) => retryInterrupted(libc, () => functions.pidfd_open(pidfd.open, pid, 0)),
    sendSignal,
    endOfChild,
    reap: (fd) => wait(fd, pidfd.WNOHANG),
    // Its parent may reap it between two looks, so the second is made twice.
    endOf: (fd, pid) => endOfChild(fd) ?? endOfReaped(fd) ?? endOfUnreaped(fd, pid) ?? endOfReaped(fd)
  }
}

const bound = new WeakMap<Libc, Pidfds>()

/** Returns the calls on pidfds, bound once for each thread. */
export const pidfdsOf = (libc: Libc): Pidfds => {
  const known = bound.get(libc)
  if (known !== undefined) return known
  const made = bind(libc)
  bound.set(libc, made)
  return made
}
