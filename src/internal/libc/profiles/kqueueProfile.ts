/** What the library has to know of a system that polls with kqueue(2). */
import type { CommonProfile } from "./profile.ts"
import type { MessageLayout, SocketProfile } from "./socketProfile.ts"

/**
 * How `struct kevent` lies in memory on a 64-bit machine, in 32-bit words: the same eight words everywhere, which FreeBSD
 * follows with eight more of its own since its version 12.
 */
export interface KeventLayout {
  /** Words from one entry to the next. */
  readonly stride: 8 | 16
}

export interface KqueueProfile extends CommonProfile {
  readonly selector: "kqueue"
  readonly kqueue: {
    readonly layout: KeventLayout
    readonly EVFILT_READ: number
    readonly EVFILT_WRITE: number
    readonly EVFILT_TIMER: number
    /** What a program triggers itself. Not all releases of every system have it, whatever its headers say. */
    readonly EVFILT_USER: number | undefined
    /** Out-of-band data, where there is a filter for it. */
    readonly EVFILT_EXCEPT: number | undefined
    readonly NOTE_OOB: number
    readonly NOTE_TRIGGER: number
    readonly EV_ADD: number
    readonly EV_DELETE: number
    readonly EV_ONESHOT: number
    readonly EV_CLEAR: number
    readonly EV_DISPATCH: number
    readonly EV_ERROR: number
    readonly EV_EOF: number
  }
}

/** What all systems with a kqueue agree about. */
export const kqueueCommon = {
  EVFILT_READ: -1,
  EVFILT_WRITE: -2,
  EVFILT_TIMER: -7,
  NOTE_TRIGGER: 0x0100_0000,
  EV_ADD: 0x0001,
  EV_DELETE: 0x0002,
  EV_ONESHOT: 0x0010,
  EV_CLEAR: 0x0020,
  EV_DISPATCH: 0x0080,
  EV_ERROR: 0x4000,
  EV_EOF: 0x8000
} as const

/** The error numbers that all of them share. */
export const errnoCommon = {
  EINTR: 4,
  EAGAIN: 35,
  EBADF: 9,
  EINVAL: 22,
  ENOENT: 2,
  EEXIST: 17,
  EPERM: 1,
  EMFILE: 24
} as const

/** The commands and flags of fcntl(2) that all of them share. */
export const fcntlCommon = { F_GETFL: 3, F_SETFL: 4, F_SETFD: 2, FD_CLOEXEC: 1, O_NONBLOCK: 4 } as const

/** What all of them agree about in their sockets. */
export const socketCommon = {
  AF_UNIX: 1,
  AF_INET: 2,
  SOCK_STREAM: 1,
  SOCK_DGRAM: 2,
  hasLengthByte: true,
  pathCapacity: 104,
  hasAbstractNames: false,
  SOL_SOCKET: 0xffff,
  SO_BROADCAST: 0x20,
  SO_ERROR: 0x1007,
  SO_KEEPALIVE: 8,
  SO_RCVBUF: 0x1002,
  SO_REUSEADDR: 4,
  SO_REUSEPORT: 0x200,
  SO_SNDBUF: 0x1001,
  SO_TYPE: 0x1008,
  IPPROTO_TCP: 6,
  TCP_NODELAY: 1,
  IPPROTO_IP: 0,
  IP_TTL: 4,
  IP_MULTICAST_IF: 9,
  IP_MULTICAST_TTL: 10,
  IP_MULTICAST_LOOP: 11,
  IP_ADD_MEMBERSHIP: 12,
  IP_DROP_MEMBERSHIP: 13,
  sourceMembership: ["group", "source", "interface"],
  IPPROTO_IPV6: 41,
  IPV6_V6ONLY: 27,
  IPV6_UNICAST_HOPS: 4,
  IPV6_MULTICAST_IF: 9,
  IPV6_MULTICAST_HOPS: 10,
  IPV6_MULTICAST_LOOP: 11,
  IPV6_JOIN_GROUP: 12,
  IPV6_LEAVE_GROUP: 13,
  MSG_DONTWAIT: 0x80,
  MSG_TRUNC: 0x10,
  MSG_CTRUNC: 0x20,
  SCM_RIGHTS: 1
} as const satisfies Partial<SocketProfile>

/** `struct msghdr` of all of them; their control messages differ in how they are aligned. */
export const messageLayout = (alignment: 4 | 8): MessageLayout => ({
  size: 48,
  vector: 16,
  vectorCount: 24,
  control: 32,
  controlLength: 40,
  flags: 44,
  vectorCountBytes: 4,
  controlLengthBytes: 4,
  header: { lengthBytes: 4, level: 4, type: 8, data: alignment === 4 ? 12 : 16, alignment }
})
