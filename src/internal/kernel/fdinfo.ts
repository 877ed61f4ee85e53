/** The registrations of an epoll instance as `/proc` lists them: proc_pid_fdinfo(5). */
import { readFileSync } from "node:fs"
import { joinId } from "./userData.ts"

/**
 * Whether a descriptor is registered with an epoll instance under an id. Returns `undefined` if the
 * list cannot be read.
 */
export const isListed = (epfd: number, fd: number, id: number): boolean | undefined => {
  let lines: ReadonlyArray<string>
  try {
    lines = readFileSync(`/proc/self/fdinfo/${epfd}`, "utf8").split("\n")
  } catch {
    return undefined
  }
  return lines.some((line) => {
    const entry = /^tfd: *(\d+) events: *[0-9a-f]+ data: *([0-9a-f]+)/.exec(line)
    if (entry === null || Number(entry[1]) !== fd) return false
    const data = BigInt(`0x${entry[2]}`)
    return joinId(Number(data & 0xffff_ffffn), Number(data >> 32n)) === id
  })
}
