/** The constants of each system. */
import { describe, expect, it } from "@effect/vitest"
import { darwin } from "../../src/internal/libc/profiles/darwin.ts"
import { freebsd, freebsdPortSharing } from "../../src/internal/libc/profiles/freebsd.ts"
import { profileOf } from "../../src/internal/libc/profiles/index.ts"
import type { KqueueProfile } from "../../src/internal/libc/profiles/kqueueProfile.ts"
import { linux, linux32 } from "../../src/internal/libc/profiles/linux.ts"
import { openbsd } from "../../src/internal/libc/profiles/openbsd.ts"
import { win32 } from "../../src/internal/libc/profiles/win32.ts"

it("a profile is chosen by the platform", () => {
  expect(profileOf("linux")).toBe(linux)
  expect(profileOf("darwin")).toBe(darwin)
  expect(profileOf("freebsd")).toBe(freebsd)
  expect(profileOf("openbsd")).toBe(openbsd)
  expect(profileOf("win32")).toBe(win32)
})

it("a profile is that of the machine's width", () => {
  for (const arch of ["x64", "arm64", "riscv64"] as const) expect(profileOf("linux", arch)).toBe(linux)
  for (const arch of ["ia32", "arm"] as const) {
    expect(profileOf("linux", arch)).toBe(linux32)
    expect(profileOf("freebsd", arch)).toBeUndefined()
    expect(profileOf("win32", arch)).toBeUndefined()
  }
})

it.each(["netbsd", "aix", "sunos"] as const)("%s has no profile", (platform) => {
  expect(profileOf(platform)).toBeUndefined()
})

/** The values that differ from system to system. */
const differing = ({ fcntl, hasPipe2, kqueue, socket }: KqueueProfile) => [
  [kqueue.EVFILT_USER, kqueue.EVFILT_EXCEPT, kqueue.EVFILT_EXCEPT === undefined ? undefined : kqueue.NOTE_OOB],
  [fcntl.F_DUPFD_CLOEXEC, fcntl.O_CLOEXEC, hasPipe2, socket.hasAccept4],
  [socket.AF_INET6, socket.SOCK_NONBLOCK, socket.SOCK_CLOEXEC, socket.MSG_NOSIGNAL, socket.MSG_CMSG_CLOEXEC],
  [socket.message.header.data, socket.message.header.alignment]
]

describe("the profile of a system with a kqueue", () => {
  it("has the values of the system's headers", () => {
    for (const { errno, fcntl, kqueue, socket } of [darwin, freebsd, openbsd]) {
      expect(kqueue).toMatchObject({ EVFILT_READ: -1, EVFILT_WRITE: -2, EVFILT_TIMER: -7 })
      expect(kqueue).toMatchObject({ EV_ADD: 1, EV_DELETE: 2, EV_ONESHOT: 0x10, EV_CLEAR: 0x20, EV_DISPATCH: 0x80 })
      expect(kqueue).toMatchObject({ EV_ERROR: 0x4000, EV_EOF: 0x8000, NOTE_TRIGGER: 0x100_0000 })
      expect(kqueue).toMatchObject({ EVFILT_PROC: -5, NOTE_EXIT: 0x8000_0000 })
      expect(fcntl).toMatchObject({ F_GETFL: 3, F_SETFL: 4, F_SETFD: 2, O_NONBLOCK: 4 })
      expect(errno).toMatchObject({ EPERM: 1, ENOENT: 2, EINTR: 4, EBADF: 9, EEXIST: 17, EINVAL: 22, EMFILE: 24 })
      expect(errno.EAGAIN).toBe(35)
      expect(socket).toMatchObject({ AF_INET: 2, SOL_SOCKET: 0xffff, SO_REUSEADDR: 4, SO_REUSEPORT: 0x200 })
      expect(socket).toMatchObject({ SO_ERROR: 0x1007, TCP_NODELAY: 1, hasLengthByte: true, pathCapacity: 104 })
    }
    expect([darwin, freebsd, openbsd].map(({ kqueue }) => kqueue.NOTE_EXITSTATUS)).toEqual([0x400_0000, 0, 0])
    expect([darwin, openbsd].map(({ socket }) => socket.portSharing)).toEqual([0x200, 0x200])
    // Before version 12, it had no option that deals connections out.
    expect(["11.4-RELEASE", "12.0-RELEASE", "14.2-RELEASE-p1"].map(freebsdPortSharing)).toEqual([
      0x200, 0x10000, 0x10000
    ])
    expect(differing(darwin)).toEqual([
      [-10, -15, 2],
      [67, 0x100_0000, false, false],
      [30, undefined, undefined, 0x80000, undefined],
      [12, 4]
    ])
    expect(differing(freebsd)).toEqual([
      [-11, undefined, undefined],
      [17, 0x10_0000, true, true],
      [28, 0x2000_0000, 0x1000_0000, 0x20000, 0x40000],
      [16, 8]
    ])
    expect(differing(openbsd)).toEqual([
      [-10, -9, 4],
      [10, 0x1_0000, true, true],
      [24, 0x4000, 0x8000, 0x400, 0x800],
      [16, 8]
    ])
  })
})

it("the profile of Windows has the values of its headers", () => {
  const { afd, errno, poll, socket } = win32
  expect(afd).toMatchObject({ RECEIVE: 0x1, RECEIVE_EXPEDITED: 0x2, SEND: 0x4, DISCONNECT: 0x8, ABORT: 0x10 })
  expect(afd).toMatchObject({ LOCAL_CLOSE: 0x20, ACCEPT: 0x80, CONNECT_FAIL: 0x100, IOCTL_POLL: 0x12024 })
  expect(poll).toEqual({ RDNORM: 0x100, RDBAND: 0x200, WRNORM: 0x10, ERR: 1, HUP: 2, NVAL: 4 })
  expect(errno).toMatchObject({ EPERM: 1, ENOENT: 2, EBADF: 9, EAGAIN: 11, EEXIST: 17, EINVAL: 22, EMFILE: 24 })
  expect(socket).toMatchObject({ AF_INET: 2, AF_INET6: 23, AF_UNIX: 1, SOL_SOCKET: 0xffff, SO_ERROR: 0x1007 })
  expect(socket).toMatchObject({ SO_REUSEADDR: 4, streamReuse: ~4, SO_REUSEPORT: undefined, TCP_NODELAY: 1 })
  expect(socket).toMatchObject({ TCP_KEEPIDLE: 3, TCP_KEEPINTVL: 17, TCP_KEEPCNT: 16, IPV6_V6ONLY: 27, IP_TTL: 4 })
  expect(socket).toMatchObject({ IP_ADD_SOURCE_MEMBERSHIP: 15, IP_DROP_SOURCE_MEMBERSHIP: 16, MSG_DONTWAIT: 0 })
})
