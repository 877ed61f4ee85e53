/**
 * kqueue(2): the selector of macOS, FreeBSD and OpenBSD.
 *
 * A registration is a knote for each filter that it needs: one for reading, one for writing, one for out-of-band data.
 * They have the same user data, so what they report is merged by id, never by descriptor.
 */
import type { Libc } from "../libc/koffi.ts"
import type { KeventLayout, KqueueProfile } from "../libc/profiles/kqueueProfile.ts"
import type { Pipe } from "./pipe.ts"
import { closePipe, drainPipe, fillPipe, openPipe } from "./pipe.ts"
import type { Alarm, Selector, SelectorHandle, Trigger } from "./selector.ts"
import { Interest, Readiness } from "./selector.ts"
import { SystemCallError } from "./systemCallError.ts"
import { highBits, highMask, highOf, lowOf } from "./userData.ts"
import { Knotes } from "./knotes.ts"

type Kqueue = Libc<KqueueProfile>

/** Opens a selector of its own, and what wakes it. */
export const open = (libc: Kqueue, batchSize: number): Selector => {
  const { functions, profile } = libc
  const fd = functions.kqueue()
  if (fd === -1) throw new SystemCallError("kqueue", libc.errno())
  // No fork inherits a kqueue, so there is no moment at which another process could.
  functions.fcntl(fd, profile.fcntl.F_SETFD, "int", profile.fcntl.FD_CLOEXEC)
  try {
    const { reader, writer } = openWake(libc, fd)
    return make(libc, { fd, wake: writer, watched: Knotes.make().buffer }, batchSize, reader)
  } catch (thrown) {
    functions.close(fd)
    throw thrown
  }
}

/** Registers a wake-up, which needs no descriptor where there is a filter for it. */
const openWake = (libc: Kqueue, kq: number): Pipe => {
  const { errno, kqueue } = libc.profile
  const change = changer(libc, kq)
  if (kqueue.EVFILT_USER !== undefined) {
    const reason = change(0, kqueue.EVFILT_USER, kqueue.EV_ADD | kqueue.EV_CLEAR)
    if (reason === 0) return { reader: -1, writer: -1 }
    if (reason !== errno.EINVAL) throw new SystemCallError("kevent(ADD)", reason)
  }
  const pipe = openPipe(libc)
  const reason = change(pipe.reader, kqueue.EVFILT_READ, kqueue.EV_ADD | kqueue.EV_CLEAR)
  if (reason === 0) return pipe
  closePipe(libc, pipe)
  throw new SystemCallError("kevent(ADD)", reason)
}

/**
 * Opens the selector of another thread through duplicates of its descriptors: once that thread has closed its own, their
 * numbers may be anyone's.
 */
export const attach = (libc: Kqueue, handle: SelectorHandle): Selector => {
  const fd = duplicate(libc, handle.fd)
  try {
    const wake = handle.wake === -1 ? -1 : duplicate(libc, handle.wake)
    return make(libc, { ...handle, fd, wake }, 0, -1)
  } catch (thrown) {
    libc.functions.close(fd)
    throw thrown
  }
}

/** The selector that another thread opened, without owning its descriptors: the polling thread's view of it. */
export const borrow = (libc: Kqueue, handle: SelectorHandle, batchSize: number): Selector =>
  make(libc, handle, batchSize, -1)

/** `wakeReader` is the end of the wake-up's pipe that is to be closed with the selector, or -1. */
const make = (libc: Kqueue, handle: SelectorHandle, batchSize: number, wakeReader: number): Selector => {
  const { errno, functions, isFile, profile } = libc
  const { kevent } = functions
  const { EBADF, EEXIST, EINTR, EINVAL, EMFILE, ENOENT, EPERM } = profile.errno
  const { EVFILT_EXCEPT, EVFILT_READ, EVFILT_USER, EVFILT_WRITE, EV_ADD, EV_CLEAR, EV_DELETE } = profile.kqueue
  const { EV_DISPATCH, NOTE_OOB, NOTE_TRIGGER, layout } = profile.kqueue
  const kq = handle.fd
  const { stride } = layout
  const watched = new Knotes(handle.watched!)
  const toReadiness = decodeEvents(profile)
  const changes = new Int32Array(stride * 3)
  const batch = new Int32Array(stride * batchSize)
  const time = new Int32Array(4)
  const change = changer(libc, kq)
  const lacks = Interest.Exclusive | (EVFILT_EXCEPT === undefined ? Interest.Priority : 0)

  const filters: ReadonlyArray<readonly [interest: number, filter: number, fflags: number]> = [
    [Interest.Read, EVFILT_READ, 0],
    [Interest.Write, EVFILT_WRITE, 0],
    ...(EVFILT_EXCEPT === undefined ? [] : [[Interest.Priority, EVFILT_EXCEPT, NOTE_OOB] as const])
  ]

  /** Adds the knotes of an interest, all or none of them. Answers 0, or the errno. */
  const watch = (fd: number, interest: number, mailbox: number, id: number): number => {
    // One call for all of them. One that fails is the last that is made, and those before it stay.
    const flags = EV_ADD | EV_CLEAR | ((interest & Interest.Oneshot) === 0 ? 0 : EV_DISPATCH)
    let count = 0
    for (const [bit, filter, fflags] of filters) {
      if ((interest & bit) === 0) continue
      encodeChange(layout, changes, count++, fd, filter, flags, fflags, 0, mailbox, id)
    }
    if (kevent(kq, changes, count, null, 0, null) !== -1) return 0
    const reason = errno()
    unwatch(fd, interest)
    watched.forget(fd)
    return reason
  }

  /** Deletes the knotes of an interest. Answers 0 if there was one. */
  const unwatch = (fd: number, interest: number): number => {
    let result = ENOENT
    for (const [bit, filter] of filters) {
      if ((interest & bit) === 0) continue
      const reason = change(fd, filter, EV_DELETE)
      if (reason === 0) result = 0
      else if (reason !== ENOENT) return reason
    }
    return result
  }

  /** What may be watched of a descriptor: what was noted, or else anything. */
  const noted = (fd: number): number => watched.interest(fd) || Interest.Read | Interest.Write

  /**
   * Whether the kernel still has what was noted. Nothing but an absent knote answers ENOENT to a change that is neither
   * an addition nor a deletion, and a knote that is there is only told its user data, which therefore has to be its own.
   */
  const isWatched = (fd: number, userData: bigint): boolean => {
    const [low, high] = [Number(BigInt.asIntN(32, userData)), Number(BigInt.asIntN(32, userData >> 32n))]
    const filter = (noted(fd) & Interest.Read) === 0 ? EVFILT_WRITE : EVFILT_READ
    encodeWords(layout, changes, 0, fd, filter, EV_CLEAR, 0, 0, low, high)
    return kevent(kq, changes, 1, null, 0, null) !== -1
  }

  /** The interest that a filter is for. */
  const bitOf = (filter: number): number =>
    filter === EVFILT_READ
      ? Interest.Read
      : filter === EVFILT_WRITE
        ? Interest.Write
        : filter === EVFILT_EXCEPT
          ? Interest.Priority
          : 0

  /** Takes out of a batch what is not to be delivered: it becomes a wake-up, which does no harm. */
  const settle = (count: number): void => {
    const reportedNow: Array<number> = []
    for (let at = 0; at < count * stride; at += stride) {
      const filter = (batch[at + 2]! << 16) >> 16
      const bit = bitOf(filter)
      if (bit === 0) continue
      if (batch[at + 6] === 0 && batch[at + 7] === 0) drainPipe(libc, batch[at]!)
      else if (!watched.admits(batch[at]!, bit, batch[at + 6]!, batch[at + 7]!, reportedNow)) {
        batch.fill(0, at + 6, at + 8)
      }
    }
  }

  return {
    handle,
    syscalls: { add: "kevent(ADD)", modify: "kevent(DELETE, ADD)", remove: "kevent(DELETE)" },
    lacks,
    capacity: batchSize,
    add(fd, interest, mailbox, id) {
      if (fd < 0) return EBADF
      if ((interest & lacks) !== 0) return EINVAL
      // A kqueue takes them, only to report them for ever.
      if (isFile(fd)) return EPERM
      if (!watched.reach(fd)) return EMFILE
      const known = watched.userData(fd)
      if (known !== 0n && isWatched(fd, known)) return EEXIST
      return watched.claim(fd, known, mailbox, id, interest) ? watch(fd, interest, mailbox, id) : EEXIST
    },
    modify(fd, interest, mailbox, id) {
      if (fd < 0) return EBADF
      if ((interest & lacks) !== 0) return EINVAL
      if (!watched.reach(fd)) return EBADF
      // Noted first, so that what a filter still has to say is dropped if it is not asked for any more. Then deleted and
      // added, for a knote that is added anew reports what is ready, and one that is changed need not.
      const before = noted(fd)
      watched.note(fd, mailbox, id, interest)
      const reason = unwatch(fd, before)
      if (reason !== 0) {
        watched.forget(fd)
        return isFile(fd) ? EPERM : reason
      }
      return watch(fd, interest, mailbox, id)
    },
    remove(fd) {
      if (fd < 0) return EBADF
      const reason = unwatch(fd, noted(fd))
      if (reason !== 0) return isFile(fd) ? EPERM : reason
      watched.forget(fd)
      return 0
    },
    isRegisteredAs: (fd, id) => watched.isNoted(fd, id),
    wait(timeout) {
      time[0] = Math.floor(timeout / 1000)
      time[2] = (timeout % 1000) * 1e6
      const count = kevent(kq, null, 0, batch, batchSize, timeout < 0 ? null : time)
      if (count >= 0) {
        settle(count)
        return count
      }
      const reason = errno()
      if (reason === EINTR) return 0
      throw new SystemCallError("kevent", reason)
    },
    mailbox: (index) => batch[index * stride + 7]! >>> highBits,
    low: (index) => batch[index * stride + 6]!,
    high: (index) => batch[index * stride + 7]! & highMask,
    readiness: (index) => toReadiness(batch[index * stride + 2]!, batch[index * stride + 3]!),
    openAlarm: (mailbox) => openAlarm(libc, kq, mailbox),
    openTrigger(mailbox, id) {
      const pipe = openPipe(libc)
      const reason = change(pipe.reader, EVFILT_READ, EV_ADD | EV_CLEAR, 0, 0, mailbox, id)
      if (reason !== 0) {
        closePipe(libc, pipe)
        throw new SystemCallError("kevent(ADD)", reason)
      }
      return makeTrigger(libc, pipe, () => void change(pipe.reader, EVFILT_READ, EV_DELETE))
    },
    wake() {
      if (handle.wake === -1) change(0, EVFILT_USER!, 0, NOTE_TRIGGER)
      else fillPipe(libc, handle.wake)
    },
    close() {
      if (handle.wake !== -1) functions.close(handle.wake)
      if (wakeReader !== -1) functions.close(wakeReader)
      functions.close(kq)
    }
  }
}

/**
 * A timer of the kernel's that goes off once, in the mailbox's name: numbers of timers are their own, and no descriptor
 * is one. It is relative, for not every system has another kind, so it is set anew and not changed.
 */
const openAlarm = (libc: Kqueue, kq: number, mailbox: number): Alarm => {
  const { EVFILT_TIMER, EV_ADD, EV_DELETE, EV_ONESHOT } = libc.profile.kqueue
  const change = changer(libc, kq)
  const set = (millis: number) => change(mailbox, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, millis, mailbox, 0)
  const clear = () => change(mailbox, EVFILT_TIMER, EV_DELETE)
  // Now, where it can be told that there are too many.
  const reason = set(longestTimer)
  if (reason !== 0) throw new SystemCallError("kevent(ADD)", reason)
  return {
    now,
    set(deadline) {
      clear()
      // Nothing less than a millisecond is a time everywhere. Going off before a time that is too far away does no harm.
      set(Math.min(Math.max(Math.ceil(deadline - now()), 1), longestTimer))
    },
    close: () => void clear()
  }
}

/** Milliseconds on the clock that never goes back. */
const now = () => {
  const [seconds, nanos] = process.hrtime()
  return seconds * 1000 + nanos / 1e6
}

/** Milliseconds that every kernel takes. */
const longestTimer = 2 ** 31 - 1

/** A pipe: its reading end is watched, and tells whether it was triggered since it was last emptied. */
const makeTrigger = (libc: Libc, pipe: Pipe, unwatch: () => void): Trigger => ({
  handle: joinEnds(pipe),
  trigger: () => fillPipe(libc, pipe.writer),
  reset: () => drainPipe(libc, pipe.reader),
  close() {
    unwatch()
    closePipe(libc, pipe)
  }
})

/** Opens a trigger of another thread through duplicates of its descriptors. */
export const attachTrigger = (libc: Kqueue, handle: number): Trigger => {
  const { reader: from, writer: to } = splitEnds(handle)
  const reader = duplicate(libc, from)
  try {
    return makeTrigger(libc, { reader, writer: duplicate(libc, to) }, () => {})
  } catch (thrown) {
    libc.functions.close(reader)
    throw thrown
  }
}

/** Both ends as one number: neither is so large that they would not fit into it. */
const joinEnds = ({ reader, writer }: Pipe): number => writer * 2 ** 26 + reader
const splitEnds = (handle: number): Pipe => ({ reader: handle % 2 ** 26, writer: Math.floor(handle / 2 ** 26) })

const duplicate = ({ errno, functions, profile }: Libc, fd: number): number => {
  const copy = functions.fcntl(fd, profile.fcntl.F_DUPFD_CLOEXEC, "int", 0)
  if (copy === -1) throw new SystemCallError("fcntl(F_DUPFD_CLOEXEC)", errno())
  return copy
}

type Change = (
  ident: number,
  filter: number,
  flags: number,
  fflags?: number,
  data?: number,
  mailbox?: number,
  id?: number
) => number

/** Makes one change a call, and no wait with it: then an error is the call's. Answers 0, or the errno. */
const changer = ({ errno, functions: { kevent }, profile: { kqueue } }: Kqueue, kq: number): Change => {
  const { layout } = kqueue
  const words = new Int32Array(layout.stride)
  return (ident, filter, flags, fflags = 0, data = 0, mailbox = 0, id = 0) => {
    encodeChange(layout, words, 0, ident, filter, flags, fflags, data, mailbox, id)
    return kevent(kq, words, 1, null, 0, null) === -1 ? errno() : 0
  }
}

/** Writes one `struct kevent`: a change, with the mailbox and the id as its 64 bits of user data. */
export const encodeChange = (
  layout: KeventLayout,
  target: Int32Array,
  index: number,
  ident: number,
  filter: number,
  flags: number,
  fflags: number,
  data: number,
  mailbox: number,
  id: number
): void =>
  encodeWords(layout, target, index, ident, filter, flags, fflags, data, lowOf(id), highOf(id) | (mailbox << highBits))

const encodeWords = (
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
  // Among them the words in between and behind that nobody asks for.
  target.fill(0, at, at + stride)
  target[at] = ident
  target[at + 2] = (filter & 0xffff) | (flags << 16)
  target[at + 3] = fflags
  target[at + 4] = data
  target[at + 6] = low
  target[at + 7] = high
}

/**
 * A filter's report as readiness, with the closed ends as mio defines them: of the two, each filter knows its own. Asked
 * with the word that holds filter and flags, and the one that holds the filter's flags: at the end, a socket's error.
 */
export const decodeEvents = ({ kqueue }: KqueueProfile): ((filterAndFlags: number, fflags: number) => number) => {
  const { EVFILT_EXCEPT, EVFILT_WRITE, EVFILT_READ, EV_EOF, EV_ERROR } = kqueue
  return (filterAndFlags, fflags) => {
    const filter = (filterAndFlags << 16) >> 16
    const flags = filterAndFlags >>> 16
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
