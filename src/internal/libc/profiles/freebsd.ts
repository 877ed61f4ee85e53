/** FreeBSD: kqueue(2). The values are those of its headers on 64-bit machines. */
import { release } from "node:os"
import type { KeventLayout, KqueueProfile } from "./kqueueProfile.ts"
import { errnoCommon, fcntlCommon, kqueueCommon, messageLayout, socketCommon } from "./kqueueCommon.ts"

/**
 * Returns the layout for a release such as `14.2-RELEASE-p1`: `struct kevent` grew with version 12.
 */
export const freebsdKevent = (release: string): KeventLayout => ({ stride: Number.parseInt(release, 10) < 12 ? 8 : 16 })

/**
 * Returns the option of sockets that share a port: `SO_REUSEPORT_LB`. Version 11 has only
 * `SO_REUSEPORT`.
 */
export const freebsdPortSharing = (release: string): number => (Number.parseInt(release, 10) < 12 ? 0x200 : 0x1_0000)

export const freebsd: KqueueProfile = {
  platform: "freebsd",
  pointerBytes: 8,
  selector: "kqueue",
  fcntl: { ...fcntlCommon, F_DUPFD_CLOEXEC: 17, O_CLOEXEC: 0x0010_0000 },
  hasPipe2: true,
  kqueue: {
    ...kqueueCommon,
    layout: freebsdKevent(release()),
    EVFILT_USER: -11,
    EVFILT_EXCEPT: undefined,
    NOTE_OOB: 0,
    NOTE_EXITSTATUS: 0
  },
  socket: {
    ...socketCommon,
    portSharing: freebsdPortSharing(release()),
    AF_INET6: 28,
    SOCK_NONBLOCK: 0x2000_0000,
    SOCK_CLOEXEC: 0x1000_0000,
    hasAccept4: true,
    TCP_KEEPIDLE: 0x100,
    TCP_KEEPINTVL: 0x200,
    TCP_KEEPCNT: 0x400,
    multicastValueBytes: 4,
    IP_ADD_SOURCE_MEMBERSHIP: 70,
    IP_DROP_SOURCE_MEMBERSHIP: 71,
    MCAST_JOIN_SOURCE_GROUP: 82,
    MCAST_LEAVE_SOURCE_GROUP: 83,
    groupSourceRequest: { size: 264, group: 8, source: 136 },
    MSG_NOSIGNAL: 0x20000,
    MSG_CMSG_CLOEXEC: 0x40000,
    message: messageLayout(8)
  },
  errno: errnoCommon
}
