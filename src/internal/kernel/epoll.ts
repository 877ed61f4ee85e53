/** epoll(7): the selector of Linux. */
import type { Libc } from "../libc/koffi.ts"
import type { EpollProfile } from "../libc/profiles/epollProfile.ts"
import { duplicate } from "./duplicate.ts"
import { decodeEvents, encodeEvent, encodeInterest, epollEventLayout } from "./epollEvent.ts"
import { openEventfd, openTrigger, signalEventfd } from "./eventfd.ts"
import { Owner, Owners, ownerOf, Refused, refusalOf } from "./owners.ts"
import type { Selector, SelectorHandle } from "./selector.ts"
import { Interest } from "./selector.ts"
import { bindReadinessNow } from "./pollNow.ts"
import { openLevelSet } from "./epollSet.ts"
import { SystemCallError } from "./systemCallError.ts"
import { openAlarm } from "./timerfd.ts"
import { highBits, highMask } from "./userData.ts"

export { attachTrigger } from "./eventfd.ts"

type Epoll = Libc<EpollProfile>

/** Opens a selector, and the eventfd that wakes it. Throws `SystemCallError`. */
export const open = (libc: Epoll, batchSize: number): Selector => {
  const { functions, profile } = libc
  const fd = functions.epoll_create1(profile.epoll.CLOEXEC)
  if (fd === -1) throw new SystemCallError("epoll_create1", libc.errno())
  try {
    return make(libc, { fd, wake: openWake(libc, fd), owners: Owners.make().buffer }, batchSize)
  } catch (thrown) {
    functions.close(fd)
    throw thrown
  }
}

/** Opens an eventfd and registers it as the wake-up. Throws `SystemCallError`. */
const openWake = (libc: Epoll, epfd: number): number => {
  const wake = openEventfd(libc)
  const reason = bindControl(libc, epfd)(libc.profile.epoll.CTL_ADD, wake, Interest.Read, 0, 0)
  if (reason === 0) return wake
  libc.functions.close(wake)
  throw new SystemCallError("epoll_ctl(ADD)", reason)
}

/**
 * Opens the selector of another thread, through duplicates of its descriptors. Throws
 * `SystemCallError`.
 */
export const attach = (libc: Epoll, handle: SelectorHandle): Selector => {
  const [fd, wake] = duplicate(libc, [handle.fd, handle.wake])
  return make(libc, { ...handle, fd: fd!, wake: wake! }, 0)
}

/**
 * Uses the selector of another thread without owning its descriptors, as the polling thread does.
 */
export const borrow = (libc: Epoll, handle: SelectorHandle, batchSize: number): Selector =>
  make(libc, handle, batchSize)

const make = (libc: Epoll, handle: SelectorHandle, batchSize: number): Selector => {
  const { errno, functions, profile } = libc
  const { epoll_ctl, epoll_wait } = functions
  const { EEXIST, EINTR } = profile.errno
  const { CTL_ADD, CTL_DEL, CTL_MOD } = profile.epoll
  const epfd = handle.fd
  const layout = epollEventLayout(profile, process.arch)
  const toReadiness = decodeEvents(profile)
  const batch = new Int32Array(layout.stride * batchSize)
  const control = bindControl(libc, epfd)
  const owners = new Owners(handle.owners)

  /** Registers a descriptor that the library opened. Throws `SystemCallError`. */
  const watchOwn = (fd: number, mailbox: number, id: number): void => {
    const owner = owners.lock(fd)
    const reason = control(CTL_ADD, fd, Interest.Read, mailbox, id)
    owners.unlock(fd, reason === 0 ? Owner.Library : owner)
    if (reason !== 0) throw new SystemCallError("epoll_ctl(ADD)", reason)
  }

  const unwatchOwn = (fd: number): void => {
    owners.lock(fd)
    // The only failure is that it is not watched, which is what this is for.
    epoll_ctl(epfd, CTL_DEL, fd, null)
    owners.unlock(fd, Owner.None)
  }

  return {
    handle,
    syscalls: { add: "epoll_ctl(ADD)", modify: "epoll_ctl(MOD)", remove: "epoll_ctl(DEL)" },
    lacks: 0,
    capacity: batchSize,
    add(fd, interest, mailbox, id) {
      const owner = owners.lock(fd)
      const reason = control(CTL_ADD, fd, interest, mailbox, id)
      owners.unlock(fd, reason === 0 ? ownerOf(id) : owner)
      return reason === EEXIST && owner === Owner.Library ? Refused.Library : reason
    },
    modify(fd, interest, mailbox, id) {
      const owner = owners.lock(fd)
      const reason = refusalOf(owner, id) || control(CTL_MOD, fd, interest, mailbox, id)
      owners.unlock(fd, owner)
      return reason
    },
    remove(fd, id) {
      const owner = owners.lock(fd)
      const reason = refusalOf(owner, id) || (epoll_ctl(epfd, CTL_DEL, fd, null) === -1 ? errno() : 0)
      owners.unlock(fd, reason === 0 ? Owner.None : owner)
      return reason
    },
    isOwn: (fd) => owners.isLibrary(fd),
    readinessNow: bindReadinessNow(libc),
    openLevelSet: () => openLevelSet(libc),
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
    // Unwatched before they are closed: a duplicate that another thread holds keeps the registration.
    openAlarm: (mailbox) => openAlarm(libc, (fd) => watchOwn(fd, mailbox, 0), unwatchOwn),
    openTrigger: (mailbox, id) => openTrigger(libc, (fd) => watchOwn(fd, mailbox, id), unwatchOwn),
    // Nothing could be done: the poller whose eventfd cannot be written to is over.
    wake: () => void signalEventfd(libc, handle.wake),
    close() {
      functions.close(handle.wake)
      functions.close(epfd)
    }
  }
}

type Control = (op: number, fd: number, interest: number, mailbox: number, id: number) => number

/** Returns a function that makes one call of epoll_ctl(2). It returns 0, or the errno. */
const bindControl = ({ errno, functions: { epoll_ctl }, profile }: Epoll, epfd: number): Control => {
  const layout = epollEventLayout(profile, process.arch)
  const event = new Int32Array(layout.stride)
  return (op, fd, interest, mailbox, id) => {
    encodeEvent(layout, event, encodeInterest(profile, interest), mailbox, id)
    return epoll_ctl(epfd, op, fd, event) === -1 ? errno() : 0
  }
}
