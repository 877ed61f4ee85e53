/** Prototypes and constants of the calls on pidfds, pidfd_open(2), of Linux. */
export interface PidfdFunctions {
  /** musl has no function for the calls on pidfds. They are made by syscall(2). */
  readonly pidfd_open: (number: number, pid: number, flags: number) => number
  readonly pidfd_send_signal: (number: number, pidfd: number, signal: number, info: null, flags: number) => number
  /** Takes a `siginfo_t`. */
  readonly waitid: (idtype: number, id: number, info: Uint8Array, options: number) => number
  /** ioctl(2), as it is called here. Takes a `struct pidfd_info`. */
  readonly pidfd_get_info: (pidfd: number, request: number, info: Uint8Array) => number
}

export const pidfdPrototypes: { readonly [Name in keyof PidfdFunctions]: string } = {
  pidfd_open: "intptr_t syscall(intptr_t number, int pid, unsigned int flags)",
  pidfd_send_signal: "intptr_t syscall(intptr_t number, int pidfd, int signal, void *info, unsigned int flags)",
  waitid: "int waitid(int idtype, unsigned int id, void *info, int options)",
  pidfd_get_info: "int ioctl(int fd, unsigned long request, void *info)"
}

/** The numbers of the calls are the same on every architecture that Node runs on. */
export const pidfd = {
  open: 434,
  sendSignal: 424,
  P_PIDFD: 3,
  WNOHANG: 1,
  WEXITED: 4,
  WNOWAIT: 0x100_0000,
  CLD_EXITED: 1,
  CLD_KILLED: 2,
  CLD_DUMPED: 3,
  /** With `struct pidfd_info` as it was first: the kernel fills what a caller knows of. */
  PIDFD_GET_INFO: 0xc040_ff0b,
  PIDFD_INFO_EXIT: 8n
} as const

/** `siginfo_t` after SIGCHLD. Its union begins where a pointer would, of 8 bytes or of 4. */
export const siginfoLayout = {
  8: {
    size: 128,
    members: { si_signo: [0, "i32"], si_code: [8, "i32"], si_pid: [16, "i32"], si_status: [24, "i32"] }
  },
  4: {
    size: 128,
    members: { si_signo: [0, "i32"], si_code: [8, "i32"], si_pid: [12, "i32"], si_status: [20, "i32"] }
  }
} as const

/** `struct pidfd_info`, since Linux 6.13; `exit_code` since 6.15. */
export const pidfdInfoLayout = {
  size: 64,
  members: { mask: [0, "u64"], exit_code: [60, "i32"] }
} as const
