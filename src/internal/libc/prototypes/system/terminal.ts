/** Prototypes of the calls on terminals. */
export interface TerminalFunctions {
  readonly flock: (fd: number, operation: number) => number
  readonly grantpt: (fd: number) => number
  /**
   * ioctl(2) is variadic, and some systems pass variadic arguments differently: pass their type,
   * too.
   */
  readonly ioctl: {
    (fd: number, request: number, type: "void *", argument: Uint8Array | Int32Array): number
    (fd: number, request: number, type: "int", argument: number): number
  }
  readonly posix_openpt: (flags: number) => number
  /** Writes the path of the other end, which ends with a zero byte. Returns the error number. */
  readonly ptsname_r: (fd: number, buffer: Uint8Array, length: number) => number
  readonly unlockpt: (fd: number) => number
}

export const terminalPrototypes: { readonly [Name in keyof TerminalFunctions]: string } = {
  flock: "int flock(int fd, int operation)",
  grantpt: "int grantpt(int fd)",
  ioctl: "int ioctl(int fd, unsigned long request, ...)",
  posix_openpt: "int posix_openpt(int flags)",
  ptsname_r: "int ptsname_r(int fd, void *buffer, size_t length)",
  unlockpt: "int unlockpt(int fd)"
}
