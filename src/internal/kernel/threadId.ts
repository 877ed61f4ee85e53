/** Threads as the kernel sees them, where `/proc` shows them; elsewhere a thread has no number and counts as alive. */
import { existsSync, readlinkSync } from "node:fs"

/** The kernel's number of this thread, or 0. */
export const currentThread = (): number => {
  try {
    // <process>/task/<thread>
    return Number(readlinkSync("/proc/thread-self").split("/").at(-1))
  } catch {
    return 0
  }
}

/** Whether a thread of this process still runs. */
export const isAlive = (thread: number): boolean => thread === 0 || existsSync(`/proc/self/task/${thread}`)
