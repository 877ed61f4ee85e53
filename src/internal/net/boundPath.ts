/** The path that a Unix listener is bound to. */
import { lstatSync, unlinkSync } from "node:fs"
import { resolve } from "node:path"

/**
 * Returns what removes the path that was just bound, unless another file has taken its place since.
 *
 * Remove it while the socket is still open: until then, no other file can have its inode number.
 */
export const removal = (given: string | Uint8Array): (() => void) => {
  const path = typeof given === "string" ? resolve(given) : Buffer.from(given)
  const bound = fileAt(path)
  return () => {
    const found = fileAt(path)
    if (bound === undefined || found?.ino !== bound.ino || found.dev !== bound.dev) return
    try {
      unlinkSync(path)
    } catch {
      // A process that may not remove the path leaves it: the next listener there fails with
      // `AddressInUse`.
    }
  }
}

/** Returns the file at a path, or undefined if there is none or this process may not see it. */
const fileAt = (path: string | Buffer) => {
  try {
    return lstatSync(path, { bigint: true })
  } catch {
    return undefined
  }
}
