/** What a process has open and runs, by `/proc` or without it. */
import { fstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs"

/** Returns the numbers in a directory, or `undefined` if there is no such directory. */
const numbersIn = (directory: string): ReadonlyArray<number> | undefined => {
  try {
    return readdirSync(directory).map(Number)
  } catch {
    return undefined
  }
}

/** Returns the name of the file of a descriptor, or what is known of it where there are no names. */
const nameOf = (fd: number): string => {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`)
  } catch {
    const stats = fstatSync(fd)
    const kind = stats.isSocket() ? "socket" : stats.isFIFO() ? "pipe" : stats.mode.toString(8)
    return `${kind}:[${stats.dev}:${stats.ino}]`
  }
}

/** Numbers of descriptors below this are looked at, where no directory lists them. */
const ceiling = 16_384

/** Returns the open descriptors of this process, each with the name of its file. */
export const listDescriptors = (isOpen: (fd: number) => boolean): ReadonlyMap<number, string> => {
  // The /dev/fd of FreeBSD may list the standard streams only.
  const listed = process.platform === "linux" ? numbersIn("/proc/self/fd") : undefined
  const found = new Map<number, string>()
  for (const fd of listed ?? Array.from({ length: ceiling }, (_, fd) => fd)) {
    // What is listed but not open is the descriptor by which the directory was read.
    if (isOpen(fd)) found.set(fd, nameOf(fd))
  }
  return found
}

/** PF_EXITING of the kernel: it ends the thread. pthread_join(3) returns before the thread leaves the list. */
const EXITING = 4

const runs = (thread: number): boolean => {
  try {
    const stat = readFileSync(`/proc/self/task/${thread}/stat`, "utf8")
    // The name in parentheses may contain spaces; six fields lie between it and the flags.
    const flags = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[6])
    return (flags & EXITING) === 0
  } catch {
    // It has ended since the list was read.
    return false
  }
}

/** Returns the number of this process's threads that the kernel does not end already, or 0 where there is no /proc. */
export const threadCount = (): number => numbersIn("/proc/self/task")?.filter(runs).length ?? 0
