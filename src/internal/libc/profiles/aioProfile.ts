/** What the library has to know about Linux AIO: io_setup(2), io_submit(2). */

/** The numbers of its calls, for syscall(2). */
export interface AioCalls {
  readonly setup: number
  readonly destroy: number
  readonly getevents: number
  readonly submit: number
}

export interface AioProfile {
  /** Of each architecture. */
  readonly calls: { readonly [Arch in NodeJS.Architecture]?: AioCalls }
  readonly CMD_PREAD: number
  readonly CMD_PWRITE: number
  /** Flags of one call. A kernel that does not know one refuses the call with EOPNOTSUPP. */
  readonly RWF_NOWAIT: number
  readonly RWF_NOSIGNAL: number
  /** By which a ring is recognized that a program may read. */
  readonly RING_MAGIC: number
  readonly SIGPIPE: number
  readonly SIG_IGN: number
}
