/**
 * Windows: polls of the device Afd, and an I/O completion port. The values are those of its headers;
 * of Afd, which has no public header, those that its own sockets pass to it.
 *
 * Windows has neither the flags nor the commands of `fcntl`. Those below are the library's own names
 * for them, which `winsock.ts` carries out.
 */
import type { AfdProfile } from "./afdProfile.ts"
import { commonErrno } from "./commonProfile.ts"
import { socketCommon } from "./kqueueCommon.ts"

export const win32: AfdProfile = {
  platform: "win32",
  pointerBytes: 8,
  selector: "afd",
  libraries: ["kernel32.dll", "ntdll.dll", "ws2_32.dll", "iphlpapi.dll"],
  fcntl: {
    F_DUPFD_CLOEXEC: 1030,
    F_GETFL: 3,
    F_SETFL: 4,
    F_SETFD: 2,
    FD_CLOEXEC: 1,
    O_NONBLOCK: 0x800,
    O_CLOEXEC: 0x80000
  },
  hasPipe2: false,
  afd: {
    RECEIVE: 0x001,
    RECEIVE_EXPEDITED: 0x002,
    SEND: 0x004,
    DISCONNECT: 0x008,
    ABORT: 0x010,
    LOCAL_CLOSE: 0x020,
    ACCEPT: 0x080,
    CONNECT_FAIL: 0x100,
    IOCTL_POLL: 0x0001_2024
  },
  poll: { RDNORM: 0x100, RDBAND: 0x200, WRNORM: 0x10, ERR: 0x1, HUP: 0x2, NVAL: 0x4 },
  socket: {
    ...socketCommon,
    AF_INET6: 23,
    SOCK_NONBLOCK: 0x800,
    SOCK_CLOEXEC: 0x80000,
    hasAccept4: true,
    hasLengthByte: false,
    pathCapacity: 108,
    // SO_EXCLUSIVEADDRUSE, without which any program could take over a port that is listened on.
    streamReuse: -5,
    SO_REUSEPORT: undefined,
    portSharing: undefined,
    TCP_KEEPIDLE: 3,
    TCP_KEEPINTVL: 17,
    TCP_KEEPCNT: 16,
    multicastValueBytes: 4,
    IP_ADD_SOURCE_MEMBERSHIP: 15,
    IP_DROP_SOURCE_MEMBERSHIP: 16,
    MCAST_JOIN_SOURCE_GROUP: 45,
    MCAST_LEAVE_SOURCE_GROUP: 46,
    groupSourceRequest: { size: 264, group: 8, source: 136 },
    // The socket is non-blocking, and there are no signals: neither has a flag.
    MSG_DONTWAIT: 0,
    MSG_NOSIGNAL: 0,
    MSG_CTRUNC: 0x200,
    MSG_CMSG_CLOEXEC: undefined,
    // Messages with descriptors are refused before this is used.
    message: {
      size: 56,
      vector: 16,
      vectorCount: 24,
      control: 32,
      controlLength: 40,
      flags: 48,
      vectorCountBytes: 4,
      controlLengthBytes: 4,
      header: { lengthBytes: 8, level: 8, type: 12, data: 16, alignment: 8 }
    }
  },
  errno: { ...commonErrno, EAGAIN: 11 }
}
