/** macOS: kqueue(2). The values are those of its headers on 64-bit machines. */
import type { KqueueProfile } from "./kqueueProfile.ts"
import { errnoCommon, fcntlCommon, kqueueCommon, messageLayout, socketCommon } from "./kqueueCommon.ts"

export const darwin: KqueueProfile = {
  platform: "darwin",
  pointerBytes: 8,
  selector: "kqueue",
  fcntl: { ...fcntlCommon, F_DUPFD_CLOEXEC: 67, O_CLOEXEC: 0x0100_0000 },
  hasPipe2: false,
  kqueue: {
    ...kqueueCommon,
    layout: { stride: 8 },
    EVFILT_USER: -10,
    EVFILT_EXCEPT: -15,
    NOTE_OOB: 2,
    NOTE_EXITSTATUS: 0x0400_0000
  },
  socket: {
    ...socketCommon,
    AF_INET6: 30,
    SOCK_NONBLOCK: undefined,
    SOCK_CLOEXEC: undefined,
    hasAccept4: false,
    // macOS names it TCP_KEEPALIVE.
    TCP_KEEPIDLE: 0x10,
    TCP_KEEPINTVL: 0x101,
    TCP_KEEPCNT: 0x102,
    multicastValueBytes: 4,
    IP_ADD_SOURCE_MEMBERSHIP: 70,
    IP_DROP_SOURCE_MEMBERSHIP: 71,
    MCAST_JOIN_SOURCE_GROUP: 82,
    MCAST_LEAVE_SOURCE_GROUP: 83,
    // Packed to four bytes.
    groupSourceRequest: { size: 260, group: 4, source: 132 },
    MSG_NOSIGNAL: 0x80000,
    MSG_CMSG_CLOEXEC: undefined,
    message: messageLayout(4)
  },
  errno: errnoCommon
}
