/**
 * The kernel's numbers of threads. Where the system has none that a program can look up, a thread
 * has no number and counts as alive.
 *
 * The calls need neither `/proc` nor a permission of `node --permission`, except before the C
 * library is loaded.
 */
import { readlinkSync } from "node:fs"
import type { Libc } from "../libc/koffi.ts"
import type { ThreadCalls } from "../libc/profiles/epollProfile.ts"

/** Windows has functions of its own, which need no numbers of calls. */
const withoutNumbers: ThreadCalls = { gettid: 0, tgkill: 0 }

const callsOf = ({ profile }: Libc): ThreadCalls | undefined => {
  if (profile.selector === "epoll") return profile.threadCalls[process.arch]
  return profile.selector === "afd" ? withoutNumbers : undefined
}

/** Returns the kernel's number of this thread, or 0. */
export const currentThread = (libc: Libc): number => {
  const calls = callsOf(libc)
  return calls === undefined ? 0 : Math.max(0, libc.functions.gettid(calls.gettid))
}

/**
 * Returns the kernel's number of this thread before the C library is loaded: `/proc` shows it, where
 * a process may read it. Returns 0 elsewhere.
 */
export const shownThread = (): number => {
  try {
    const [process_, , thread] = readlinkSync("/proc/thread-self").split("/")
    // A `/proc` of another namespace has other numbers.
    return Number(process_) === process.pid ? Number(thread) : 0
  } catch {
    return 0
  }
}

/** Whether a thread of this process is still running. Sends it no signal, but asks whether it could. */
export const isAlive = (libc: Libc, thread: number): boolean => {
  const calls = callsOf(libc)
  if (thread === 0 || calls === undefined) return true
  // A sandbox may refuse the call, which says nothing about the thread.
  return libc.functions.tgkill(calls.tgkill, process.pid, thread, 0) !== -1 || libc.errno() !== libc.profile.errno.ESRCH
}
