/** System calls that a signal has interrupted. */
import type { Libc } from "../libc/koffi.ts"

/** Makes a call again for as long as a signal interrupts it. Answers what it did, or the negative of the errno. */
export const call = (libc: Libc, make: () => number): number => {
  for (;;) {
    const result = make()
    if (result !== -1) return result
    const errno = libc.errno()
    if (errno !== libc.profile.errno.EINTR) return -errno
  }
}
