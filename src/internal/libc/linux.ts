/** Linux: epoll(7), eventfd(2), timerfd_create(2). The values are those of the kernel's generic headers. */
import type { Profile } from "./profile.ts"

export const linux: Profile = {
  platform: "linux",
  // On 32-bit x86 nothing is packed, but a 64-bit integer is aligned to four bytes: the same three words.
  packedEpollEvent: ["x64", "ia32"],
  fcntl: {
    F_DUPFD_CLOEXEC: 1030
  },
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
    NONBLOCK: 0x800,
    TIMER_ABSTIME: 1
  },
  errno: {
    EINTR: 4,
    EAGAIN: 11,
    EBADF: 9,
    EINVAL: 22,
    ENOENT: 2
  }
}
