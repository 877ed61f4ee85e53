/**
 * What the library has to know of an operating system that is not in a function's prototype: constants and layouts,
 * as data. One file a system, all of this shape.
 */
import type { KqueueProfile } from "./kqueueProfile.ts"
import type { CommonProfile } from "./commonProfile.ts"

/**
 * How `struct epoll_event` lies in memory, in 32-bit words: x86-64 packs it into three, everyone else aligns the
 * user data to eight bytes and takes four.
 */
export interface EpollEventLayout {
  /** Words from one entry to the next. */
  readonly stride: number
  /** Words from the start of an entry to the low half of its user data. */
  readonly data: number
}

/** io_uring(7): the numbers of its system calls, flags, and where members lie in `struct io_uring_params`, in words. */
export interface IoUringProfile {
  readonly setup: number
  readonly enter: number
  readonly SETUP_SINGLE_ISSUER: number
  readonly SETUP_COOP_TASKRUN: number
  readonly FEAT_FAST_POLL: number
  readonly ENTER_GETEVENTS: number
  readonly OP_SEND: number
  readonly OP_RECV: number
  readonly OFF_SQ_RING: number
  readonly OFF_SQES: number
  readonly mmap: { readonly PROT_READ: number; readonly PROT_WRITE: number; readonly MAP_SHARED: number }
  readonly paramsWords: number
  readonly params: {
    readonly entries: number
    readonly completionEntries: number
    readonly flags: number
    readonly features: number
    /** Of the queue of entries. */
    readonly tail: number
    readonly mask: number
    readonly array: number
    readonly completionHead: number
    readonly completionTail: number
    readonly completionMask: number
    readonly completions: number
  }
}

/** A system that polls with epoll(7), and has timers and events that are descriptors. */
export interface EpollProfile extends CommonProfile {
  readonly selector: "epoll"
  /** The architectures whose `epoll_event` is packed; all others have it aligned. */
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
    readonly TIMER_ABSTIME: number
  }
  readonly ioUring: IoUringProfile
  /** The architectures whose C library has times of 32 bits. */
  readonly shortTimes: ReadonlyArray<NodeJS.Architecture>
}

export type Profile = EpollProfile | KqueueProfile

/** `epoll_event`'s layout on an architecture. */
export const epollEventLayout = (profile: EpollProfile, arch: NodeJS.Architecture): EpollEventLayout =>
  profile.packedEpollEvent.includes(arch) ? { stride: 3, data: 1 } : { stride: 4, data: 2 }

/** `struct itimerspec` of timerfd_settime(2), of a timer that goes off once: in words, the low ones first. */
export const itimerspec = (
  { shortTimes }: EpollProfile,
  arch: NodeJS.Architecture,
  seconds: number,
  nanos: number
): Int32Array =>
  Int32Array.from(
    shortTimes.includes(arch) ? [0, 0, seconds, nanos] : [0, 0, 0, 0, seconds, seconds / 2 ** 32, nanos, 0]
  )
