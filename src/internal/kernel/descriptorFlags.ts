/**
 * Flags that a call could not set when it opened a descriptor: fcntl(2) sets them afterwards. That
 * fails only for a number that is not open, and the calling thread has opened these a moment ago.
 */
import type { Libc } from "../libc/koffi.ts"

/** Makes descriptors non-blocking and close-on-exec. */
export const setFlags = (libc: Libc, fds: Iterable<number>): void => {
  const { fcntl } = libc.profile
  setCloseOnExec(libc, fds)
  for (const fd of fds) {
    const flags = libc.functions.fcntl(fd, fcntl.F_GETFL, "int", 0)
    libc.functions.fcntl(fd, fcntl.F_SETFL, "int", flags | fcntl.O_NONBLOCK)
  }
}

export const setCloseOnExec = (libc: Libc, fds: Iterable<number>): void => {
  const { F_SETFD, FD_CLOEXEC } = libc.profile.fcntl
  for (const fd of fds) libc.functions.fcntl(fd, F_SETFD, "int", FD_CLOEXEC)
}
