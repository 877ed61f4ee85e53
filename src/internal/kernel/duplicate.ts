/** Duplicates of descriptors. */
import type { Libc } from "../libc/koffi.ts"
import { SystemCallError } from "./systemCallError.ts"

/**
 * Duplicates descriptors as close-on-exec, all of them or none. A thread uses duplicates of what
 * another thread opened: once that thread closes its own, their numbers may be reused. Throws
 * `SystemCallError`.
 */
export const duplicate = ({ errno, functions, profile }: Libc, fds: ReadonlyArray<number>): ReadonlyArray<number> => {
  const copies: Array<number> = []
  for (const fd of fds) {
    const copy = functions.fcntl(fd, profile.fcntl.F_DUPFD_CLOEXEC, "int", 0)
    if (copy === -1) {
      const error = new SystemCallError("fcntl(F_DUPFD_CLOEXEC)", errno())
      for (const each of copies) functions.close(each)
      throw error
    }
    copies.push(copy)
  }
  return copies
}
