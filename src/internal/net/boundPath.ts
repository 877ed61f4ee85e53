/** The path that a Unix listener is bound to. */
import { lstatSync, unlinkSync } from "node:fs"
import { resolve } from "node:path"

/**
 * Removes the path that was just bound, unless somebody else has put something else there since. To be called while the socket
 * is open: until then nobody else's file has its number.
 */
export const removal = (given: string): (() => void) => {
  const path = resolve(given)
  const bound = fileAt(path)
  return () => {
    const found = fileAt(path)
    if (bound === undefined || found?.ino !== bound.ino || found.dev !== bound.dev) return
    try {
      unlinkSync(path)
    } catch {
      // Whoever may not remove it leaves it: the next to listen there is told that it is in use.
    }
  }
}

/** What is there, as far as this process may know. */
const fileAt = (path: string) => {
  try {
    return lstatSync(path, { bigint: true })
  } catch {
    return undefined
  }
}
