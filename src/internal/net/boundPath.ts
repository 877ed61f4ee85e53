/**
 * The path that a Unix listener is bound to.
 *
 * What `node --permission` forbids is done by the C library, which has also made the path, in
 * bind(2). Otherwise the path would stay, or stay if the program drops a permission meanwhile.
 */
import { constants, fstatSync, lstatSync, unlinkSync } from "node:fs"
import { resolve } from "node:path"
import type { Libc } from "../libc/koffi.ts"

/**
 * Returns what removes the path that was just bound, unless another file has taken its place since.
 *
 * Remove it while the socket is still open: until then, no other file can have its inode number.
 */
export const removal = (libc: Libc, given: string | Uint8Array): (() => void) => {
  const path = typeof given === "string" ? resolve(given) : Buffer.from(given)
  const bound = fileAt(libc, path)
  return () => {
    const found = fileAt(libc, path)
    if (bound === undefined || found?.ino !== bound.ino || found.dev !== bound.dev) return
    try {
      unlinkSync(path)
    } catch (thrown) {
      // A process that may not remove the path leaves it: the next listener there fails with
      // `AddressInUse`.
      if (isDenied(thrown)) libc.functions.unlink(terminated(path))
    }
  }
}

/** Returns the file at a path, or undefined if there is none or this process may not see it. */
const fileAt = (libc: Libc, path: string | Buffer) => {
  try {
    return lstatSync(path, { bigint: true })
  } catch (thrown) {
    return isDenied(thrown) ? fileByDescriptor(libc, path) : undefined
  }
}

/** Looks at the file through a descriptor, which Node's permissions are not about. */
const fileByDescriptor = ({ functions, profile }: Libc, path: string | Buffer) => {
  // Other systems do not open a socket's path at all.
  if (profile.selector !== "epoll") return undefined
  const fd = functions.open(terminated(path), profile.O_PATH | constants.O_NOFOLLOW | profile.fcntl.O_CLOEXEC)
  if (fd === -1) return undefined
  try {
    return fstatSync(fd, { bigint: true })
  } catch {
    return undefined
  } finally {
    functions.close(fd)
  }
}

const isDenied = (thrown: unknown): boolean => (thrown as NodeJS.ErrnoException).code === "ERR_ACCESS_DENIED"

const terminated = (path: string | Buffer): Uint8Array => Buffer.concat([Buffer.from(path), Buffer.alloc(1)])
