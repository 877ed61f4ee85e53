/** The error of a failed system call. */

/**
 * Thrown by calls that open something, and by waits. The errors room makes a `PollerError` of it.
 */
export class SystemCallError extends Error {
  readonly syscall: string
  readonly errno: number
  constructor(syscall: string, errno: number) {
    super(`${syscall} failed with errno ${errno}`)
    this.syscall = syscall
    this.errno = errno
  }
}
