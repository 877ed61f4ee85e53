/** What this process has open, by /proc: to see that everything opened was closed. */
import { Effect } from "effect"
import { readdirSync, readlinkSync } from "node:fs"

/** Each descriptor, with what it is: "socket:[12345]", "anon_inode:[eventpoll]", a path. */
export type Descriptors = ReadonlyMap<number, string>

/** Node opens these when they are first asked for, and libuv a spare descriptor with the first of them: that is no leak. */
const openStreams = () => [process.stdout, process.stderr]

export const openDescriptors: Effect.Effect<Descriptors> = Effect.sync(() => {
  openStreams()
  const found = new Map<number, string>()
  for (const name of readdirSync("/proc/self/fd")) {
    try {
      found.set(Number(name), readlinkSync(`/proc/self/fd/${name}`))
    } catch {
      // The one through which the directory itself was read is closed by now.
    }
  }
  return found
})

/** Those that were not open before, or were something else. */
export const opened = (before: Descriptors, after: Descriptors): ReadonlyArray<string> =>
  [...after].filter(([fd, what]) => before.get(fd) !== what).map(([fd, what]) => `${fd} (${what})`)
