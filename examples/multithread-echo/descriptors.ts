/** The open descriptors of this process, to check that everything opened was closed. */
import { Effect } from "effect"
import { existsSync, fstatSync, readdirSync, readlinkSync } from "node:fs"

/**
 * Maps each descriptor to what it refers to: "socket:[12345]", "anon_inode:[eventpoll]", a path.
 * Systems other than Linux tell the number of the file only.
 */
export type Descriptors = ReadonlyMap<number, string>

/**
 * Opens the standard streams. Node opens them at their first use, and libuv opens a spare
 * descriptor with the first of them. That is not a leak.
 */
const openStreams = () => [process.stdout, process.stderr]

const isLinux = existsSync("/proc/self/fd")

const nameOf = (fd: number): string => (isLinux ? readlinkSync(`/proc/self/fd/${fd}`) : `file ${fstatSync(fd).ino}`)

export const openDescriptors: Effect.Effect<Descriptors> = Effect.sync(() => {
  openStreams()
  const found = new Map<number, string>()
  // Windows does not show them, and there is nothing to compare.
  if (!isLinux && !existsSync("/dev/fd")) return found
  for (const fd of readdirSync(isLinux ? "/proc/self/fd" : "/dev/fd").map(Number)) {
    try {
      found.set(fd, nameOf(fd))
    } catch {
      // This was the descriptor that the directory itself was read through. It is closed by now.
    }
  }
  return found
})

/** Returns the descriptors that were not open before, or that referred to something else. */
export const opened = (before: Descriptors, after: Descriptors): ReadonlyArray<string> =>
  [...after].filter(([fd, what]) => before.get(fd) !== what).map(([fd, what]) => `${fd} (${what})`)
