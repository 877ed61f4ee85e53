/** Distinguishes files from descriptors that can be polled. */
import { fstatSync } from "node:fs"

/**
 * Whether an open descriptor refers to a regular file, a directory or a block device. A kernel
 * can only report these as ready. Calls fstat(2) through Node, which decodes its structure.
 */
export const isFile = (fd: number): boolean => {
  try {
    const stats = fstatSync(fd)
    return stats.isFile() || stats.isDirectory() || stats.isBlockDevice()
  } catch {
    return false
  }
}
