/** OpenBSD: kqueue(2). The values are those of its headers on 64-bit machines. */
import type { KqueueProfile } from "./kqueueProfile.ts"
import { errnoCommon, fcntlCommon, kqueueCommon, messageLayout, socketCommon } from "./kqueueCommon.ts"

export const openbsd: KqueueProfile = {
  platform: "openbsd",
  pointerBytes: 8,
  selector: "kqueue",
  fcntl: { ...fcntlCommon, F_DUPFD_CLOEXEC: 10, O_CLOEXEC: 0x0001_0000 },
  hasPipe2: true,
  kqueue: {
    ...kqueueCommon,
    layout: { stride: 8 },
    // Older releases refuse it.
    EVFILT_USER: -10,
    EVFILT_EXCEPT: -9,
    NOTE_OOB: 4,
    NOTE_EXITSTATUS: 0
  },
  socket: {
    ...socketCommon,
    AF_INET6: 24,
    SOCK_NONBLOCK: 0x4000,
    SOCK_CLOEXEC: 0x8000,
    hasAccept4: true,
    // Keep-alive times are settings of the whole system.
    TCP_KEEPIDLE: undefined,
    TCP_KEEPINTVL: undefined,
    TCP_KEEPCNT: undefined,
    multicastValueBytes: 1,
    // OpenBSD has no source-specific multicast.
    IP_ADD_SOURCE_MEMBERSHIP: undefined,
    IP_DROP_SOURCE_MEMBERSHIP: undefined,
    MCAST_JOIN_SOURCE_GROUP: undefined,
    MCAST_LEAVE_SOURCE_GROUP: undefined,
    groupSourceRequest: { size: 520, group: 8, source: 264 },
    MSG_NOSIGNAL: 0x400,
    MSG_CMSG_CLOEXEC: 0x800,
    message: messageLayout(8)
  },
  errno: errnoCommon
}
