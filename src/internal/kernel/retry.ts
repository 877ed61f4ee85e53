/** Repeats system calls that a signal interrupted. */
import type { Libc } from "../libc/koffi.ts"

/**
 * Makes a call, and makes it again for as long as a signal interrupts it. Returns the call's
 * result, or the negated errno.
 */
export const retryInterrupted = (libc: Libc, call: () => number): number => {
  for (;;) {
    const result = call()
    if (result !== -1) return result
    const errno = libc.errno()
    if (errno !== libc.profile.errno.EINTR) return -errno
  }
}
