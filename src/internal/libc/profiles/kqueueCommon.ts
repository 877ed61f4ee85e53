/** What all systems with a kqueue have in common. */
import { commonErrno } from "./commonProfile.ts"
import type { MessageLayout, SocketProfile } from "./socketProfile.ts"

/** Filters and flags of kqueue(2). */
export const kqueueCommon = {
  EVFILT_READ: -1,
  EVFILT_WRITE: -2,
  EVFILT_TIMER: -7,
  /** For processes. */
  EVFILT_PROC: -5,
  NOTE_EXIT: 0x8000_0000,
  NOTE_TRIGGER: 0x0100_0000,
  EV_ADD: 0x0001,
  EV_DELETE: 0x0002,
  EV_ONESHOT: 0x0010,
  EV_CLEAR: 0x0020,
  EV_DISPATCH: 0x0080,
  EV_ERROR: 0x4000,
  EV_EOF: 0x8000
} as const

/** Error numbers. */
export const errnoCommon = { ...commonErrno, EAGAIN: 35 } as const

/** Commands and flags of fcntl(2). */
export const fcntlCommon = { F_GETFL: 3, F_SETFL: 4, F_SETFD: 2, FD_CLOEXEC: 1, O_NONBLOCK: 4 } as const

/** Constants of sockets. */
export const socketCommon = {
  AF_UNIX: 1,
  AF_INET: 2,
  SOCK_STREAM: 1,
  SOCK_DGRAM: 2,
  hasLengthByte: true,
  pathCapacity: 104,
  hasAbstractNames: false,
  SOL_SOCKET: 0xffff,
  SO_ACCEPTCONN: 0x2,
  SO_BROADCAST: 0x20,
  SO_ERROR: 0x1007,
  SO_KEEPALIVE: 8,
  SO_RCVBUF: 0x1002,
  SO_REUSEADDR: 4,
  streamReuse: 4,
  SO_REUSEPORT: 0x200,
  portSharing: 0x200,
  SO_SNDBUF: 0x1001,
  SO_TYPE: 0x1008,
  SO_PROTOCOL: undefined,
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
  MSG_CTRUNC: 0x20,
  MSG_PEEK: 0x2,
  SCM_RIGHTS: 1,
  manyDatagrams: undefined
} as const satisfies Partial<SocketProfile>

/** Returns the layout of `struct msghdr`. Only the alignment of control messages differs. */
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
