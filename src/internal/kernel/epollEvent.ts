/** `struct epoll_event`: what epoll(7) is asked for, and what it reports. */
import type { EpollProfile } from "../libc/profiles/epollProfile.ts"
import { Interest, Readiness } from "./selector.ts"
import { highWordOf, lowOf } from "./userData.ts"

/**
 * The layout of the structure, in 32-bit words. x86-64 packs it into three words. All other
 * architectures align the user data to eight bytes and take four.
 */
export interface EpollEventLayout {
  /** Words from one entry to the next. */
  readonly stride: number
  /** Words from the start of an entry to the low word of its user data. */
  readonly data: number
}

export const epollEventLayout = (profile: EpollProfile, arch: NodeJS.Architecture): EpollEventLayout =>
  profile.packedEpollEvent.includes(arch) ? { stride: 3, data: 1 } : { stride: 4, data: 2 }

/** Writes one entry: epoll's flags, and the mailbox and the id as its user data. */
export const encodeEvent = (
  layout: EpollEventLayout,
  target: Int32Array,
  events: number,
  mailbox: number,
  id: number
): void => {
  target[0] = events
  target[layout.data] = lowOf(id)
  target[layout.data + 1] = highWordOf(mailbox, id)
}

/**
 * Encodes interest as epoll's flags. epoll always reports errors and hang-ups. It reports a
 * half-close only with the interest in reading.
 */
export const encodeInterest = ({ epoll }: EpollProfile, interest: number): number => {
  let events = epoll.ET
  // The kernel refuses EPOLLEXCLUSIVE beside anything but reading and writing.
  const exclusive = (interest & Interest.Exclusive) !== 0
  if ((interest & Interest.Read) !== 0) events |= exclusive ? epoll.IN : epoll.IN | epoll.RDHUP
  if ((interest & Interest.Write) !== 0) events |= epoll.OUT
  if ((interest & Interest.Priority) !== 0) events |= epoll.PRI
  if ((interest & Interest.Oneshot) !== 0) events |= epoll.ONESHOT
  if (exclusive) events |= epoll.EXCLUSIVE
  return events
}

/**
 * Returns a function that decodes epoll's flags as readiness, with closed ends as mio defines them.
 */
export const decodeEvents = ({ epoll }: EpollProfile): ((events: number) => number) => {
  const { ERR, HUP, IN, OUT, PRI, RDHUP } = epoll
  return (events) => {
    if (events === IN) return Readiness.Readable
    if (events === OUT) return Readiness.Writable
    let readiness = 0
    if ((events & IN) !== 0) readiness |= Readiness.Readable
    if ((events & OUT) !== 0) readiness |= Readiness.Writable
    if ((events & PRI) !== 0) readiness |= Readiness.Priority
    if ((events & ERR) !== 0) readiness |= Readiness.Error
    if ((events & HUP) !== 0 || ((events & IN) !== 0 && (events & RDHUP) !== 0)) readiness |= Readiness.ReadClosed
    if ((events & HUP) !== 0 || ((events & OUT) !== 0 && (events & ERR) !== 0) || events === ERR) {
      readiness |= Readiness.WriteClosed
    }
    return readiness
  }
}
