/** epoll(7): the selector of Linux. */
import { readFileSync } from "node:fs"
import type { Libc } from "../libc/koffi.ts"
import type { EpollEventLayout, EpollProfile } from "../libc/profiles/profile.ts"
import { epollEventLayout, itimerspec } from "../libc/profiles/profile.ts"
import type { Alarm, Selector, SelectorHandle, Trigger } from "./selector.ts"
import { Interest, Readiness } from "./selector.ts"
import { SystemCallError } from "./systemCallError.ts"
import { highBits, highMask, highOf, joinId, lowOf } from "./userData.ts"

const one = new Uint8Array(new BigUint64Array([1n]).buffer)

/** Opens a selector of its own, and the eventfd that wakes it. */
export const open = (libc: Libc<EpollProfile>, batchSize: number): Selector => {
  const { functions, profile } = libc
  const fd = functions.epoll_create1(profile.epoll.CLOEXEC)
  if (fd === -1) throw new SystemCallError("epoll_create1", libc.errno())
  const wake = functions.eventfd(0, profile.eventfd.CLOEXEC | profile.eventfd.NONBLOCK)
  if (wake === -1) {
    const errno = libc.errno()
    functions.close(fd)
    throw new SystemCallError("eventfd", errno)
  }
  const selector = make(libc, { fd, wake }, batchSize)
  const errno = selector.add(wake, Interest.Read, 0, 0)
  if (errno !== 0) {
    selector.close()
    throw new SystemCallError(selector.syscalls.add, errno)
  }
  return selector
}

/**
 * Opens the selector of another thread through duplicates of its descriptors: once that thread has closed its own, their
 * numbers may be anyone's.
 */
export const attach = (libc: Libc<EpollProfile>, handle: SelectorHandle): Selector => {
  const { functions, profile } = libc
  const duplicate = (fd: number) => functions.fcntl(fd, profile.fcntl.F_DUPFD_CLOEXEC, "int", 0)
  const fd = duplicate(handle.fd)
  if (fd === -1) throw new SystemCallError("fcntl(F_DUPFD_CLOEXEC)", libc.errno())
  const wake = duplicate(handle.wake)
  if (wake === -1) {
    const errno = libc.errno()
    functions.close(fd)
    throw new SystemCallError("fcntl(F_DUPFD_CLOEXEC)", errno)
  }
  return make(libc, { fd, wake }, 0)
}

/** The selector that another thread opened, without owning its descriptors: the polling thread's view of it. */
export const borrow = (libc: Libc<EpollProfile>, handle: SelectorHandle, batchSize: number): Selector =>
  make(libc, handle, batchSize)

const make = (libc: Libc<EpollProfile>, handle: SelectorHandle, batchSize: number): Selector => {
  const { errno, functions, profile } = libc
  const { epoll_ctl, epoll_wait } = functions
  const { EINTR } = profile.errno
  const { CTL_ADD, CTL_DEL, CTL_MOD } = profile.epoll
  const epfd = handle.fd
  const layout = epollEventLayout(profile, process.arch)
  const toReadiness = decodeEvents(profile)
  const change = new Int32Array(layout.stride)
  const batch = new Int32Array(layout.stride * batchSize)

  const control = (op: number, fd: number, interest: number, mailbox: number, id: number): number => {
    encodeEvent(layout, change, encodeInterest(profile, interest), mailbox, id)
    return epoll_ctl(epfd, op, fd, change) === -1 ? errno() : 0
  }

  /** Watches a descriptor of our own, or closes it. */
  const watch = (fd: number, mailbox: number, id: number): void => {
    const reason = control(CTL_ADD, fd, Interest.Read, mailbox, id)
    if (reason === 0) return
    functions.close(fd)
    throw new SystemCallError("epoll_ctl(ADD)", reason)
  }

  return {
    handle,
    syscalls: { add: "epoll_ctl(ADD)", modify: "epoll_ctl(MOD)", remove: "epoll_ctl(DEL)" },
    lacks: 0,
    capacity: batchSize,
    add: (fd, interest, mailbox, id) => control(CTL_ADD, fd, interest, mailbox, id),
    modify: (fd, interest, mailbox, id) => control(CTL_MOD, fd, interest, mailbox, id),
    remove: (fd) => (epoll_ctl(epfd, CTL_DEL, fd, null) === -1 ? errno() : 0),
    isRegisteredAs: (fd, id) => isListed(epfd, fd, id),
    wait(timeout) {
      const count = epoll_wait(epfd, batch, batchSize, timeout)
      if (count >= 0) return count
      const reason = errno()
      if (reason === EINTR) return 0
      throw new SystemCallError("epoll_wait", reason)
    },
    mailbox: (index) => batch[index * layout.stride + layout.data + 1]! >>> highBits,
    low: (index) => batch[index * layout.stride + layout.data]!,
    high: (index) => batch[index * layout.stride + layout.data + 1]! & highMask,
    readiness: (index) => toReadiness(batch[index * layout.stride]!),
    openAlarm(mailbox) {
      const { CLOCK_MONOTONIC, CLOEXEC, NONBLOCK } = profile.timerfd
      const fd = functions.timerfd_create(CLOCK_MONOTONIC, CLOEXEC | NONBLOCK)
      if (fd === -1) throw new SystemCallError("timerfd_create", errno())
      watch(fd, mailbox, 0)
      return makeAlarm(libc, fd)
    },
    openTrigger(mailbox, id) {
      const fd = functions.eventfd(0, profile.eventfd.CLOEXEC | profile.eventfd.NONBLOCK)
      if (fd === -1) throw new SystemCallError("eventfd", errno())
      watch(fd, mailbox, id)
      return makeTrigger(libc, fd, () => {
        // Other threads may hold duplicates, and with them the registration would live on.
        epoll_ctl(epfd, CTL_DEL, fd, null)
      })
    },
    // Watched edge-triggered, so the count need not be read back; at its ceiling, EAGAIN, it is a wake-up already.
    wake: () => void functions.write(handle.wake, one, 8),
    close() {
      functions.close(handle.wake)
      functions.close(epfd)
    }
  }
}

/** timerfd_create(2). Watched edge-triggered it reports each expiry, though nobody reads it. */
const makeAlarm = ({ functions, profile }: Libc<EpollProfile>, fd: number): Alarm => ({
  // CLOCK_MONOTONIC, as the timer's own.
  now() {
    const [seconds, nanos] = process.hrtime()
    return seconds * 1000 + nanos / 1e6
  },
  set(deadline) {
    let tv_sec = Math.floor(deadline / 1000)
    let tv_nsec = Math.ceil((deadline - tv_sec * 1000) * 1e6)
    if (tv_nsec >= 1e9) {
      tv_sec++
      tv_nsec = 0
    }
    const value = itimerspec(profile, process.arch, tv_sec, tv_nsec)
    functions.timerfd_settime(fd, profile.timerfd.TIMER_ABSTIME, value, null)
  },
  close: () => void functions.close(fd)
})

/** eventfd(2). */
const makeTrigger = ({ functions }: Libc<EpollProfile>, fd: number, unwatch: () => void): Trigger => {
  const count = new Uint8Array(8)
  return {
    handle: fd,
    trigger: () => void functions.write(fd, one, 8),
    reset: () => functions.read(fd, count, 8) === 8,
    close() {
      unwatch()
      functions.close(fd)
    }
  }
}

/** Opens a trigger of another thread through a duplicate of its descriptor. */
export const attachTrigger = (libc: Libc<EpollProfile>, handle: number): Trigger => {
  const fd = libc.functions.fcntl(handle, libc.profile.fcntl.F_DUPFD_CLOEXEC, "int", 0)
  if (fd === -1) throw new SystemCallError("fcntl(F_DUPFD_CLOEXEC)", libc.errno())
  return makeTrigger(libc, fd, () => {})
}

/** Looks a registration up in proc_pid_fdinfo(5), which shows the user data of each. */
const isListed = (epfd: number, fd: number, id: number): boolean | undefined => {
  let lines: ReadonlyArray<string>
  try {
    lines = readFileSync(`/proc/self/fdinfo/${epfd}`, "utf8").split("\n")
  } catch {
    return undefined
  }
  return lines.some((line) => {
    const entry = /^tfd: *(\d+) events: *[0-9a-f]+ data: *([0-9a-f]+)/.exec(line)
    if (entry === null || Number(entry[1]) !== fd) return false
    const data = BigInt(`0x${entry[2]}`)
    return joinId(Number(data & 0xffff_ffffn), Number(data >> 32n)) === id
  })
}

/** Writes one `struct epoll_event`: the flags, and the mailbox and the id as its 64 bits of user data. */
export const encodeEvent = (
  layout: EpollEventLayout,
  target: Int32Array,
  events: number,
  mailbox: number,
  id: number
): void => {
  target[0] = events
  target[layout.data] = lowOf(id)
  target[layout.data + 1] = highOf(id) | (mailbox << highBits)
}

/** Interest as epoll's flags. Errors and hang-ups are always reported; a half-close only to whoever reads. */
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

/** epoll's flags as readiness, with the closed ends as mio defines them. */
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
