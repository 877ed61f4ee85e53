/**
 * Linux: epoll(7), eventfd(2), timerfd_create(2). The values are those of the kernel's generic
 * headers.
 */
import { commonErrno } from "./commonProfile.ts"
import type { EpollProfile } from "./epollProfile.ts"

/** Linux on a machine of 64 bits. */
export const linux: EpollProfile = {
  platform: "linux",
  pointerBytes: 8,
  selector: "epoll",
  // 32-bit x86 does not pack it, but aligns a 64-bit integer to four bytes: the same three words.
  packedEpollEvent: ["x64", "ia32"],
  fcntl: {
    F_DUPFD_CLOEXEC: 1030,
    F_GETFL: 3,
    F_SETFL: 4,
    F_SETFD: 2,
    FD_CLOEXEC: 1,
    O_NONBLOCK: 0x800,
    O_CLOEXEC: 0x80000
  },
  hasPipe2: true,
  epoll: {
    CLOEXEC: 0x80000,
    CTL_ADD: 1,
    CTL_DEL: 2,
    CTL_MOD: 3,
    IN: 0x001,
    PRI: 0x002,
    OUT: 0x004,
    ERR: 0x008,
    HUP: 0x010,
    RDHUP: 0x2000,
    EXCLUSIVE: 1 << 28,
    ONESHOT: 1 << 30,
    ET: 1 << 31
  },
  eventfd: {
    CLOEXEC: 0x80000,
    NONBLOCK: 0x800
  },
  timerfd: {
    CLOCK_MONOTONIC: 1,
    CLOEXEC: 0x80000,
    NONBLOCK: 0x800
  },
  ioUring: {
    setup: 425,
    enter: 426,
    SETUP_COOP_TASKRUN: 0x100,
    SETUP_SINGLE_ISSUER: 0x1000,
    FEAT_FAST_POLL: 0x20,
    ENTER_GETEVENTS: 1,
    OP_SEND: 26,
    OP_RECV: 27,
    OFF_SQ_RING: 0,
    OFF_SQES: 0x1000_0000,
    mmap: { PROT_READ: 1, PROT_WRITE: 2, MAP_SHARED: 1 },
    paramsWords: 30,
    params: {
      entries: 0,
      completionEntries: 1,
      flags: 2,
      features: 5,
      tail: 11,
      mask: 12,
      array: 16,
      completionHead: 20,
      completionTail: 21,
      completionMask: 22,
      completions: 25
    }
  },
  aio: {
    calls: {
      x64: { setup: 206, destroy: 207, getevents: 208, submit: 209 },
      ia32: { setup: 245, destroy: 246, getevents: 247, submit: 248 },
      arm: { setup: 243, destroy: 244, getevents: 245, submit: 246 },
      arm64: { setup: 0, destroy: 1, getevents: 4, submit: 2 },
      riscv64: { setup: 0, destroy: 1, getevents: 4, submit: 2 },
      loong64: { setup: 0, destroy: 1, getevents: 4, submit: 2 },
      ppc64: { setup: 227, destroy: 228, getevents: 229, submit: 230 },
      s390x: { setup: 243, destroy: 244, getevents: 245, submit: 246 }
    },
    CMD_PREAD: 0,
    CMD_PWRITE: 1,
    RWF_NOWAIT: 0x8,
    RWF_NOSIGNAL: 0x100,
    RING_MAGIC: 0xa10a_10a1,
    SIGPIPE: 13,
    SIG_IGN: 1
  },
  threadCalls: {
    x64: { gettid: 186, tgkill: 234 },
    ia32: { gettid: 224, tgkill: 270 },
    arm: { gettid: 224, tgkill: 268 },
    arm64: { gettid: 178, tgkill: 131 },
    riscv64: { gettid: 178, tgkill: 131 },
    loong64: { gettid: 178, tgkill: 131 },
    ppc64: { gettid: 207, tgkill: 250 },
    s390x: { gettid: 236, tgkill: 241 }
  },
  O_PATH: 0x20_0000,
  socket: {
    AF_UNIX: 1,
    AF_INET: 2,
    AF_INET6: 10,
    SOCK_STREAM: 1,
    SOCK_DGRAM: 2,
    SOCK_NONBLOCK: 0x800,
    SOCK_CLOEXEC: 0x80000,
    hasAccept4: true,
    hasLengthByte: false,
    pathCapacity: 108,
    hasAbstractNames: true,
    SOL_SOCKET: 1,
    SO_ACCEPTCONN: 30,
    SO_BROADCAST: 6,
    SO_ERROR: 4,
    SO_KEEPALIVE: 9,
    SO_RCVBUF: 8,
    SO_REUSEADDR: 2,
    streamReuse: 2,
    SO_REUSEPORT: 15,
    portSharing: 15,
    SO_SNDBUF: 7,
    SO_TYPE: 3,
    SO_PROTOCOL: 38,
    IPPROTO_TCP: 6,
    TCP_NODELAY: 1,
    TCP_KEEPIDLE: 4,
    TCP_KEEPINTVL: 5,
    TCP_KEEPCNT: 6,
    IPPROTO_IP: 0,
    IP_TTL: 2,
    IP_MULTICAST_IF: 32,
    IP_MULTICAST_TTL: 33,
    IP_MULTICAST_LOOP: 34,
    multicastValueBytes: 4,
    IP_ADD_MEMBERSHIP: 35,
    IP_DROP_MEMBERSHIP: 36,
    IP_ADD_SOURCE_MEMBERSHIP: 39,
    IP_DROP_SOURCE_MEMBERSHIP: 40,
    sourceMembership: ["group", "interface", "source"],
    IPPROTO_IPV6: 41,
    IPV6_V6ONLY: 26,
    IPV6_UNICAST_HOPS: 16,
    IPV6_MULTICAST_IF: 17,
    IPV6_MULTICAST_HOPS: 18,
    IPV6_MULTICAST_LOOP: 19,
    IPV6_JOIN_GROUP: 20,
    IPV6_LEAVE_GROUP: 21,
    MCAST_JOIN_SOURCE_GROUP: 46,
    MCAST_LEAVE_SOURCE_GROUP: 47,
    groupSourceRequest: { size: 264, group: 8, source: 136 },
    MSG_DONTWAIT: 0x40,
    MSG_NOSIGNAL: 0x4000,
    MSG_PEEK: 2,
    MSG_CTRUNC: 8,
    MSG_CMSG_CLOEXEC: 0x4000_0000,
    SCM_RIGHTS: 1,
    message: {
      size: 56,
      vector: 16,
      vectorCount: 24,
      control: 32,
      controlLength: 40,
      flags: 48,
      vectorCountBytes: 8,
      controlLengthBytes: 8,
      header: { lengthBytes: 8, level: 8, type: 12, data: 16, alignment: 8 }
    },
    manyDatagrams: { IPPROTO_UDP: 17, UDP_SEGMENT: 103, UDP_GRO: 104 }
  },
  errno: { ...commonErrno, EAGAIN: 11 }
}

/**
 * Linux on a machine of 32 bits, whose structures are narrower. The C library's functions under
 * their plain names count time in 32 bits there, too.
 */
export const linux32: EpollProfile = {
  ...linux,
  pointerBytes: 4,
  socket: {
    ...linux.socket,
    groupSourceRequest: { size: 260, group: 4, source: 132 },
    message: {
      size: 28,
      vector: 8,
      vectorCount: 12,
      control: 16,
      controlLength: 20,
      flags: 24,
      vectorCountBytes: 4,
      controlLengthBytes: 4,
      header: { lengthBytes: 4, level: 4, type: 8, data: 12, alignment: 4 }
    }
  }
}
