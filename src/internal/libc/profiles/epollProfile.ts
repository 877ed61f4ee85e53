/** What the library has to know about a system that polls with epoll(7). */
import type { AioProfile } from "./aioProfile.ts"
import type { CommonProfile } from "./commonProfile.ts"
import type { IoUringProfile } from "./ioUringProfile.ts"

/** The numbers of the calls about threads, for syscall(2). */
export interface ThreadCalls {
  readonly gettid: number
  readonly tgkill: number
}

/** Its timers and events are descriptors: timerfd_create(2) and eventfd(2). */
export interface EpollProfile extends CommonProfile {
  readonly selector: "epoll"
  /**
   * The architectures on which `struct epoll_event` takes three words. It takes four on all others.
   */
  readonly packedEpollEvent: ReadonlyArray<NodeJS.Architecture>
  readonly epoll: {
    readonly CLOEXEC: number
    readonly CTL_ADD: number
    readonly CTL_DEL: number
    readonly CTL_MOD: number
    readonly IN: number
    readonly PRI: number
    readonly OUT: number
    readonly ERR: number
    readonly HUP: number
    readonly RDHUP: number
    readonly EXCLUSIVE: number
    readonly ONESHOT: number
    readonly ET: number
  }
  readonly eventfd: {
    readonly CLOEXEC: number
    readonly NONBLOCK: number
  }
  readonly timerfd: {
    readonly CLOCK_MONOTONIC: number
    readonly CLOEXEC: number
    readonly NONBLOCK: number
  }
  readonly ioUring: IoUringProfile
  readonly aio: AioProfile
  /** Of each architecture: older calls have no common numbers, as those of io_uring have. */
  readonly threadCalls: { readonly [Arch in NodeJS.Architecture]?: ThreadCalls }
  /** Opens a descriptor that only names a file, of whatever kind. */
  readonly O_PATH: number
}
