/** The flags of descriptors that their call could not open with: fcntl(2). */
import type { Libc } from "../libc/koffi.ts"

/** Makes descriptors that were just opened non-blocking and close-on-exec, where their call could not. */
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
