/**
 * kqueue(2): the selector of macOS, FreeBSD and OpenBSD.
 *
 * A registration is a knote for each filter that it needs: one for reading, one for writing, one
 * for out-of-band data. All have the same user data, so that their reports are merged by id.
 */
import type { Libc } from "../libc/koffi.ts"
import type { KqueueProfile } from "../libc/profiles/kqueueProfile.ts"
import { setCloseOnExec } from "./descriptorFlags.ts"
import { duplicate } from "./duplicate.ts"
import { decodeEvents, encodeKevent, filterOf, Kevent } from "./kevent.ts"
import { bindChangeKnote } from "./knoteChange.ts"
import { Knotes } from "./knotes.ts"
import { openAlarm } from "./knoteTimer.ts"
import { Owner, Owners, ownerOf, Refused, refusalOf } from "./owners.ts"
import type { Pipe } from "./pipe.ts"
import { closePipe, drainPipe, fillPipe, openPipe } from "./pipe.ts"
import { openTrigger } from "./pipeTrigger.ts"
import type { Selector, SelectorHandle } from "./selector.ts"
import { Interest } from "./selector.ts"
import { openLevelSet } from "./kqueueSet.ts"
import { bindReadinessNow } from "./pollNow.ts"
import { SystemCallError } from "./systemCallError.ts"
import { highBits, highMask, highWordOf, lowOf } from "./userData.ts"

export { attachTrigger } from "./pipeTrigger.ts"

type Kqueue = Libc<KqueueProfile>

/** Opens a selector, and what wakes it. Throws `SystemCallError`. */
export const open = (libc: Kqueue, batchSize: number): Selector => {
  const { functions } = libc
  const fd = functions.kqueue()
  if (fd === -1) throw new SystemCallError("kqueue", libc.errno())
  // fork(2) does not pass on a kqueue, so no other process can inherit it before this call.
  setCloseOnExec(libc, [fd])
  try {
    const { reader, writer } = openWake(libc, fd)
    const handle = { fd, wake: writer, owners: Owners.make().buffer, knotes: Knotes.make().buffer }
    return make(libc, handle, batchSize, reader)
  } catch (thrown) {
    functions.close(fd)
    throw thrown
  }
}

/**
 * Registers the wake-up. It needs no descriptor if the kernel has EVFILT_USER, and a pipe
 * otherwise. Throws `SystemCallError`.
 */
const openWake = (libc: Kqueue, kq: number): Pipe => {
  const { errno, kqueue } = libc.profile
  const change = bindChangeKnote(libc, kq)
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
 * Opens the selector of another thread, through duplicates of its descriptors. Throws
 * `SystemCallError`.
 */
export const attach = (libc: Kqueue, handle: SelectorHandle): Selector => {
  const [fd, wake = -1] = duplicate(libc, handle.wake === -1 ? [handle.fd] : [handle.fd, handle.wake])
  return make(libc, { ...handle, fd: fd!, wake }, 0, -1)
}

/**
 * Uses the selector of another thread without owning its descriptors, as the polling thread does.
 */
export const borrow = (libc: Kqueue, handle: SelectorHandle, batchSize: number): Selector =>
  make(libc, handle, batchSize, -1)

/** `wakeReader` is the reading end of the wake-up's pipe if the selector owns it, or -1. */
const make = (libc: Kqueue, handle: SelectorHandle, batchSize: number, wakeReader: number): Selector => {
  const { errno, functions, isFile, profile } = libc
  const { kevent } = functions
  const { EBADF, EEXIST, EINTR, EINVAL, EMFILE, ENOENT, EPERM } = profile.errno
  const { EVFILT_EXCEPT, EVFILT_READ, EVFILT_USER, EVFILT_WRITE, EV_ADD, EV_CLEAR, EV_DELETE } = profile.kqueue
  const { EV_DISPATCH, NOTE_OOB, NOTE_TRIGGER, layout } = profile.kqueue
  const kq = handle.fd
  const { stride } = layout
  const owners = new Owners(handle.owners)
  const knotes = new Knotes(handle.knotes!)
  const toReadiness = decodeEvents(profile)
  const changes = new Int32Array(stride * 3)
  const batch = new Int32Array(stride * batchSize)
  const time = new Int32Array(4)
  const change = bindChangeKnote(libc, kq)
  const lacks = Interest.Exclusive | (EVFILT_EXCEPT === undefined ? Interest.Priority : 0)

  const filters: ReadonlyArray<readonly [interest: number, filter: number, fflags: number]> = [
    [Interest.Read, EVFILT_READ, 0],
    [Interest.Write, EVFILT_WRITE, 0],
    ...(EVFILT_EXCEPT === undefined ? [] : [[Interest.Priority, EVFILT_EXCEPT, NOTE_OOB] as const])
  ]

  /** Adds the knotes of an interest, all or none of them. Returns 0, or the errno. */
  const watch = (fd: number, interest: number, mailbox: number, id: number): number => {
    // One call makes all changes, in order. It stops at the first that fails, and keeps those
    // before.
    const flags = EV_ADD | EV_CLEAR | ((interest & Interest.Oneshot) === 0 ? 0 : EV_DISPATCH)
    const low = lowOf(id)
    const high = highWordOf(mailbox, id)
    let count = 0
    for (const [bit, filter, fflags] of filters) {
      if ((interest & bit) === 0) continue
      encodeKevent(layout, changes, count++, fd, filter, flags, fflags, 0, low, high)
    }
    if (kevent(kq, changes, count, null, 0, null) !== -1) return 0
    const reason = errno()
    unwatch(fd, interest)
    knotes.forget(fd)
    return reason
  }

  /** Deletes the knotes of an interest. Returns 0 if there was one, or the errno. */
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

  /** Returns the interest that is noted for a descriptor, or any that it may have. */
  const interestOf = (fd: number): number => knotes.interest(fd) || Interest.Read | Interest.Write

  /**
   * Whether the kernel still has the knote that is noted. A change that neither adds nor deletes
   * fails only if there is no knote. If there is one, the change overwrites its user data, so it
   * passes the knote's own.
   */
  const isWatched = (fd: number, userData: bigint): boolean => {
    const [low, high] = [Number(BigInt.asIntN(32, userData)), Number(BigInt.asIntN(32, userData >> 32n))]
    const filter = (interestOf(fd) & Interest.Read) === 0 ? EVFILT_WRITE : EVFILT_READ
    encodeKevent(layout, changes, 0, fd, filter, EV_CLEAR, 0, 0, low, high)
    return kevent(kq, changes, 1, null, 0, null) !== -1
  }

  /** Returns the interest that a filter serves, or 0. */
  const bitOf = (filter: number): number =>
    filter === EVFILT_READ
      ? Interest.Read
      : filter === EVFILT_WRITE
        ? Interest.Write
        : filter === EVFILT_EXCEPT
          ? Interest.Priority
          : 0

  /**
   * Empties the wake-up's pipe if it is in the batch, and turns entries that must not be delivered
   * into wake-ups, which do no harm.
   */
  const settle = (count: number): void => {
    const reportedNow: Array<number> = []
    for (let at = 0; at < count * stride; at += stride) {
      const fd = batch[at + Kevent.Ident]!
      const low = batch[at + Kevent.Low]!
      const high = batch[at + Kevent.High]!
      const bit = bitOf(filterOf(batch[at + Kevent.FilterAndFlags]!))
      if (bit === 0) continue
      if (low === 0 && high === 0) drainPipe(libc, fd)
      else if (!knotes.admits(fd, bit, low, high, reportedNow)) batch.fill(0, at + Kevent.Low, at + Kevent.High + 1)
    }
  }

  /** Registers a descriptor that the library opened. Throws `SystemCallError`. */
  const watchOwn = (fd: number, mailbox: number, id: number): void => {
    const owner = owners.lock(fd)
    const reason = change(fd, EVFILT_READ, EV_ADD | EV_CLEAR, 0, 0, mailbox, id)
    owners.unlock(fd, reason === 0 ? Owner.Library : owner)
    if (reason !== 0) throw new SystemCallError("kevent(ADD)", reason)
  }

  const unwatchOwn = (fd: number): void => {
    owners.lock(fd)
    // The only failure is that it is not watched, which is what this is for.
    change(fd, EVFILT_READ, EV_DELETE)
    owners.unlock(fd, Owner.None)
  }

  const add = (fd: number, interest: number, mailbox: number, id: number): number => {
    if (fd < 0) return EBADF
    if ((interest & lacks) !== 0) return EINVAL
    // A kqueue accepts files, only to report them for ever.
    if (isFile(fd)) return EPERM
    if (!knotes.reserve(fd)) return EMFILE
    const known = knotes.userData(fd)
    if (known !== 0n && isWatched(fd, known)) return EEXIST
    return knotes.claim(fd, known, mailbox, id, interest) ? watch(fd, interest, mailbox, id) : EEXIST
  }

  const modify = (fd: number, interest: number, mailbox: number, id: number): number => {
    if (fd < 0) return EBADF
    if ((interest & lacks) !== 0) return EINVAL
    if (!knotes.reserve(fd)) return EBADF
    // The note comes first, so that a late report of a filter that is no longer asked for is
    // dropped. The knotes are deleted and added anew, because a new knote reports present
    // readiness. One that is changed need not.
    const before = interestOf(fd)
    knotes.note(fd, mailbox, id, interest)
    const reason = unwatch(fd, before)
    if (reason !== 0) {
      knotes.forget(fd)
      return isFile(fd) ? EPERM : reason
    }
    return watch(fd, interest, mailbox, id)
  }

  const remove = (fd: number): number => {
    if (fd < 0) return EBADF
    const reason = unwatch(fd, interestOf(fd))
    if (reason !== 0) return isFile(fd) ? EPERM : reason
    knotes.forget(fd)
    return 0
  }

  return {
    handle,
    syscalls: { add: "kevent(ADD)", modify: "kevent(DELETE, ADD)", remove: "kevent(DELETE)" },
    lacks,
    capacity: batchSize,
    add(fd, interest, mailbox, id) {
      const owner = owners.lock(fd)
      const reason = owner === Owner.Library ? Refused.Library : add(fd, interest, mailbox, id)
      owners.unlock(fd, reason === 0 ? ownerOf(id) : owner)
      return reason
    },
    modify(fd, interest, mailbox, id) {
      const owner = owners.lock(fd)
      const reason = refusalOf(owner, id) || modify(fd, interest, mailbox, id)
      owners.unlock(fd, owner)
      return reason
    },
    remove(fd, id) {
      const owner = owners.lock(fd)
      const reason = refusalOf(owner, id) || remove(fd)
      owners.unlock(fd, reason === 0 ? Owner.None : owner)
      return reason
    },
    isOwn: (fd) => owners.isLibrary(fd),
    readinessNow: bindReadinessNow(libc),
    openLevelSet: () => openLevelSet(libc),
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
    mailbox: (index) => batch[index * stride + Kevent.High]! >>> highBits,
    low: (index) => batch[index * stride + Kevent.Low]!,
    high: (index) => batch[index * stride + Kevent.High]! & highMask,
    readiness: (index) =>
      toReadiness(batch[index * stride + Kevent.FilterAndFlags]!, batch[index * stride + Kevent.Fflags]!),
    openAlarm: (mailbox) => openAlarm(profile, change, mailbox),
    openTrigger: (mailbox, id) => openTrigger(libc, (fd) => watchOwn(fd, mailbox, id), unwatchOwn),
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
