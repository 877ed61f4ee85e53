/** The two system calls that move the bytes of a descriptor. */

/** The calls, with their names for an error. Neither of them ever blocks. */
export interface ByteCalls {
  readonly reading: string
  readonly read: (fd: number, buffer: Uint8Array, count: number) => number
  readonly writing: string
  readonly write: (fd: number, buffer: Uint8Array, count: number) => number
  /**
   * Whether a call that moves less than it was asked to says that there is no more for now. The
   * call that would block can then be spared. True of a TCP stream; not of a terminal, a datagram,
   * or a Unix stream that passes descriptors.
   */
  readonly isStream: boolean
}
