/** `struct kevent`: what kqueue(2) is asked for, and what it reports. */
import type { KeventLayout, KqueueProfile } from "../libc/profiles/kqueueProfile.ts"
import { Readiness } from "./selector.ts"

/** Words from the start of an entry to its members. */
export const Kevent = {
  Ident: 0,
  /** The filter in the low half, the flags in the high half. */
  FilterAndFlags: 2,
  Fflags: 3,
  Data: 4,
  /** The user data's two words. */
  Low: 6,
  High: 7
} as const

/** Writes one entry. */
export const encodeKevent = (
  { stride }: KeventLayout,
  target: Int32Array,
  index: number,
  ident: number,
  filter: number,
  flags: number,
  fflags: number,
  data: number,
  low: number,
  high: number
): void => {
  const at = index * stride
  // Clears the words that are not written below, too: the high halves of wider members, and the
  // rest.
  target.fill(0, at, at + stride)
  target[at + Kevent.Ident] = ident
  target[at + Kevent.FilterAndFlags] = (filter & 0xffff) | (flags << 16)
  target[at + Kevent.Fflags] = fflags
  target[at + Kevent.Data] = data
  target[at + Kevent.Low] = low
  target[at + Kevent.High] = high
}

export const filterOf = (filterAndFlags: number): number => (filterAndFlags << 16) >> 16
export const flagsOf = (filterAndFlags: number): number => filterAndFlags >>> 16

/**
 * Returns a function that decodes what a filter reports as readiness, with closed ends as mio
 * defines them. Each filter reports the end of its own direction only. At that end, `fflags` is a
 * socket's error.
 */
export const decodeEvents = ({ kqueue }: KqueueProfile): ((filterAndFlags: number, fflags: number) => number) => {
  const { EVFILT_EXCEPT, EVFILT_WRITE, EVFILT_READ, EV_EOF, EV_ERROR } = kqueue
  return (filterAndFlags, fflags) => {
    const filter = filterOf(filterAndFlags)
    const flags = flagsOf(filterAndFlags)
    if ((flags & EV_ERROR) !== 0) return Readiness.Error
    if (filter === EVFILT_EXCEPT) return Readiness.Priority
    const atEnd = (flags & EV_EOF) !== 0
    let readiness = filter === EVFILT_WRITE ? Readiness.Writable : Readiness.Readable
    if (!atEnd) return readiness
    if (filter === EVFILT_READ) readiness |= Readiness.ReadClosed
    if (filter === EVFILT_WRITE) readiness |= Readiness.WriteClosed
    return fflags === 0 ? readiness : readiness | Readiness.Error
  }
}
