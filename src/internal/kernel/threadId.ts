/**
 * The kernel's numbers of threads, as `/proc` shows them. On a system without `/proc` a thread has
 * no number and counts as alive.
 */
import { existsSync, readlinkSync } from "node:fs"

/** Returns the kernel's number of this thread, or 0. */
export const currentThread = (): number => {
  try {
    // <process>/task/<thread>
    return Number(readlinkSync("/proc/thread-self").split("/").at(-1))
  } catch {
    return 0
  }
}

/** Whether a thread of this process is still running. */
export const isAlive = (thread: number): boolean => thread === 0 || existsSync(`/proc/self/task/${thread}`)
