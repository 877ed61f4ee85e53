/**
 * Structures of Linux as C compilers lay them out: sizes, and offsets of members, in bytes. A C
 * program printed them with `sizeof` and `offsetof`, built by gcc 12 with the headers of glibc 2.36
 * and Linux 6.1: for x86-64, AArch64, 32-bit x86 (`-m32`) and 32-bit ARM.
 */
export interface Figures {
  readonly [struct: string]: { readonly size: number; readonly [member: string]: number }
}

/** On machines of 64 bits. */
export const of64Bits = {
  msghdr: {
    size: 56,
    msg_namelen: 8,
    msg_iov: 16,
    msg_iovlen: 24,
    msg_control: 32,
    msg_controllen: 40,
    msg_flags: 48
  },
  mmsghdr: { size: 64, msg_len: 56 },
  /** Its size is that of `CMSG_LEN(0)`, where the data begins. */
  cmsghdr: { size: 16, cmsg_level: 8, cmsg_type: 12 },
  iovec: { size: 16, iov_len: 8 },
  group_source_req: { size: 264, gsr_group: 8, gsr_source: 136 },
  itimerspec: { size: 32, it_value: 16, it_value_tv_nsec: 24 },
  siginfo_t: { size: 128, si_code: 8, si_pid: 16, si_status: 24 },
  Dl_info: { size: 32 },
  pointer: { size: 8 }
} as const satisfies Figures

/** On machines of 32 bits. */
export const of32Bits = {
  msghdr: {
    size: 28,
    msg_namelen: 4,
    msg_iov: 8,
    msg_iovlen: 12,
    msg_control: 16,
    msg_controllen: 20,
    msg_flags: 24
  },
  mmsghdr: { size: 32, msg_len: 28 },
  cmsghdr: { size: 12, cmsg_level: 4, cmsg_type: 8 },
  iovec: { size: 8, iov_len: 4 },
  group_source_req: { size: 260, gsr_group: 4, gsr_source: 132 },
  itimerspec: { size: 16, it_value: 8, it_value_tv_nsec: 12 },
  siginfo_t: { size: 128, si_code: 8, si_pid: 12, si_status: 20 },
  Dl_info: { size: 16 },
  pointer: { size: 4 }
} as const satisfies Figures

/** Where 64 bits in a structure begin at a multiple of eight bytes, or of four: it is no question of width. */
export const epollEvent = {
  x64: { size: 12, data: 4 },
  ia32: { size: 12, data: 4 },
  arm: { size: 16, data: 8 },
  arm64: { size: 16, data: 8 }
} as const

/** The same on all four. */
export const everywhere = {
  pollfd: { size: 8, events: 4, revents: 6 },
  sockaddr_in: { size: 16, sin_port: 2, sin_addr: 4 },
  sockaddr_in6: { size: 28, sin6_port: 2, sin6_flowinfo: 4, sin6_addr: 8, sin6_scope_id: 24 },
  sockaddr_un: { size: 110, sun_path: 2 },
  sockaddr_storage: { size: 128 },
  sockaddr_nl: { size: 12, nl_family: 0, nl_pid: 4, nl_groups: 8 },
  ip_mreq_source: { size: 12, imr_multiaddr: 0, imr_interface: 4, imr_sourceaddr: 8 },
  ipv6_mreq: { size: 20, ipv6mr_interface: 16 },
  nlmsghdr: { size: 16, nlmsg_len: 0, nlmsg_type: 4, nlmsg_flags: 6, nlmsg_seq: 8, nlmsg_pid: 12 },
  nlattr: { size: 4, nla_len: 0, nla_type: 2 },
  ifinfomsg: { size: 16, ifi_family: 0, ifi_type: 2, ifi_index: 4, ifi_flags: 8, ifi_change: 12 },
  ifaddrmsg: { size: 8, ifa_family: 0, ifa_prefixlen: 1, ifa_flags: 2, ifa_scope: 3, ifa_index: 4 },
  winsize: { size: 8, ws_row: 0, ws_col: 2, ws_xpixel: 4, ws_ypixel: 6 },
  termios2: {
    size: 44,
    c_iflag: 0,
    c_oflag: 4,
    c_cflag: 8,
    c_lflag: 12,
    c_line: 16,
    vtime: 17 + 5,
    vmin: 17 + 6,
    c_ispeed: 36,
    c_ospeed: 40
  },
  inotify_event: { size: 16, wd: 0, mask: 4, cookie: 8, len: 12 },
  pidfd_info: { size: 64, mask: 0, exit_code: 60 },
  io_uring_sqe: { size: 64, fd: 4, addr: 16, len: 24, msg_flags: 28, user_data: 32 },
  io_uring_cqe: { size: 16, user_data: 0, res: 8 },
  io_uring_params: { size: 120, flags: 8, features: 20, sq_off: 40, cq_off: 80 }
} as const satisfies Figures
