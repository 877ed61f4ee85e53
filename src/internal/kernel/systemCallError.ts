/** The error that this room throws. */

/** A system call failed with an errno. */
export class SystemCallError extends Error {
  readonly syscall: string
  readonly errno: number
  constructor(syscall: string, errno: number) {
    super(`${syscall} failed with errno ${errno}`)
    this.syscall = syscall
    this.errno = errno
  }
}
