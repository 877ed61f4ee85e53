/**
 * The selector of Windows: polls of the device Afd, which an I/O completion port reports.
 *
 * A poll is a request for one socket. It is complete once, when the socket is ready for any of what
 * it asks for, or at once if the socket is ready already. That makes it level-triggered. To report
 * edges, an event that was reported is asked for again only after an attempt has found that it is
 * over: `rearm`. Until then a poll asks for the others.
 *
 * A socket has one poll at a time. To ask for something else, the poll is cancelled, and the thread
 * that waits makes another when it takes the completion of the cancelled one. What that one would
 * have reported, the next one reports again.
 *
 * Slots of sockets (`afdMemory.ts`) are changed with the lock of the socket's number held
 * (`owners.ts`), which a terminated thread cannot keep.
 */
import type { Libc } from "../libc/koffi.ts"
import type { AfdProfile } from "../libc/profiles/afdProfile.ts"
import { setTimeout } from "../libc/realTime.ts"
import { openAlarm, openAlarmClock } from "./afdAlarm.ts"
import { associate, bindAfdCalls, bindBaseOf, isOpen, openDevice, openPort } from "./afdCalls.ts"
import type { SlotView } from "./afdMemory.ts"
import { AfdMemory, never } from "./afdMemory.ts"
import { bindReadinessNow } from "./afdNow.ts"
import { closingOf, decodeEvents, encodeInterest, encodePoll, Entry, pollInfoBytes, Slot } from "./afdPoll.ts"
import { SlotKind, State, STATUS_PENDING } from "./afdPoll.ts"
import { type AfdSet, closedSet, openLevelSet } from "./afdSet.ts"
import { attachTrigger as attachTo, Key, openTrigger } from "./afdTrigger.ts"
import { Owner, Owners, ownerOf, refusalOf } from "./owners.ts"
import type { Selector, SelectorHandle, Trigger } from "./selector.ts"
import { Interest, Readiness } from "./selector.ts"
import { SystemCallError } from "./systemCallError.ts"
import { currentThread, isAlive } from "./threadId.ts"
import { highBits, highMask, highWordOf, lowOf } from "./userData.ts"

type Afd = Libc<AfdProfile>

const STATUS_NOT_FOUND = 0xc000_0225 | 0
const STATUS_CANCELLED = 0xc000_0120 | 0
const WAIT_TIMEOUT = 258
const INFINITE = 0xffff_ffff

/** How often a thread looks whether the kernel has written that a poll is complete. */
const mostLooks = 1000

/** How many times, of 10 ms, the last thread waits for polls to end before it gives their memory up. */
const mostDrains = 100

/** How many milliseconds pass before a thread that has left looks for others that were terminated. */
const firstPause = 1000
/** The most of them: each pause is twice as long as the one before. */
const longestPause = 64_000

/** Calls a function later. A test passes one of its own. */
type Later = (call: () => void, millis: number) => { readonly unref: () => unknown }

/** The lock of the selector itself is that of a number that no handle has. */
const lockOfSelector = 0

/** Opens a selector. Throws `SystemCallError`. */
export const open = (libc: Afd, batchSize: number, later: Later = setTimeout): Selector => {
  const calls = bindAfdCalls(libc)
  const port = openPort(calls)
  let device: number | undefined
  try {
    device = openDevice(libc, calls)
    associate(calls, device, port, Key.Poll)
    const { buffer } = new AfdMemory(libc, calls)
    const handle = { fd: port, wake: -1, owners: Owners.make().buffer, afd: { device, memory: buffer } }
    return make(libc, handle, batchSize, true, later)
  } catch (thrown) {
    if (device !== undefined) calls.CloseHandle(device)
    calls.CloseHandle(port)
    throw thrown
  }
}

/**
 * Opens the selector of another thread. Its handles are closed by the last thread that uses it.
 * Throws `SystemCallError`.
 */
export const attach = (libc: Afd, handle: SelectorHandle, later: Later = setTimeout): Selector =>
  make(libc, handle, 0, true, later)

/** Uses the selector of another thread without being counted, as the polling thread does. */
export const borrow = (libc: Afd, handle: SelectorHandle, batchSize: number): Selector =>
  make(libc, handle, batchSize, false, setTimeout)

/** Opens the trigger of another thread. Throws `SystemCallError`. */
export const attachTrigger = (libc: Afd, handle: number, memory?: SharedArrayBuffer): Trigger =>
  attachTo(libc, handle, memory!)

const isRegistered = ({ at, words }: SlotView): boolean => {
  const state = words[at + Slot.State]
  return (
    words[at + Slot.Kind] === SlotKind.Socket &&
    (state === State.Polled || state === State.Changed || state === State.Replaced)
  )
}

const make = (libc: Afd, handle: SelectorHandle, batchSize: number, isCounted: boolean, later: Later): Selector => {
  const { profile } = libc
  const calls = bindAfdCalls(libc)
  const { GetQueuedCompletionStatusEx, NtCancelIoFileEx, NtDeviceIoControlFile, PostQueuedCompletionStatus } = calls
  const { EBADF, EEXIST, EINVAL, EMFILE, ENOENT } = profile.errno
  const { IOCTL_POLL, LOCAL_CLOSE } = profile.afd
  const port = handle.fd
  const { device, memory: shared } = handle.afd!
  const memory = new AfdMemory(libc, calls, shared)
  const owners = new Owners(handle.owners)
  const clock = openAlarmClock(calls)
  const baseOf = bindBaseOf(libc, calls)
  const toReadiness = decodeEvents(profile)
  const closing = closingOf(profile)
  const block = new BigUint64Array(2)
  /** The sets of this thread, by their numbers. */
  const sets = new Map<number, AfdSet>()
  const entries = new Int32Array(Math.max(batchSize, 1) * Entry.stride)
  const removed = new Uint32Array(1)
  /** The batch: the user data of each entry, and its readiness. */
  const low = new Int32Array(batchSize)
  const high = new Int32Array(batchSize)
  const readiness = new Int32Array(batchSize)
  let count = 0
  /** Whether a poll was made anew whose socket may be ready already. */
  let isRepeated = false
  let isOpenHere = true
  const isRunning = (thread: number) => isAlive(libc, thread)

  /** Does what only one thread may do at a time. */
  const alone = <A>(use: () => A): A => {
    const owner = owners.lock(lockOfSelector)
    const result = use()
    owners.unlock(lockOfSelector, owner)
    return result
  }

  /** Notes that this thread uses the selector. Throws `SystemCallError`. */
  const enter = (): void => {
    const thread = currentThread(libc)
    const tryToEnter = () => (memory.isClosed ? EBADF : memory.enter(thread) ? 0 : EMFILE)
    let errno = alone(tryToEnter)
    if (errno === EMFILE) {
      memory.forget(isRunning)
      errno = alone(tryToEnter)
    }
    if (errno !== 0) throw new SystemCallError("attach", errno)
  }

  if (isCounted) enter()

  const report = (lowWord: number, highWord: number, bits: number): void => {
    low[count] = lowWord
    high[count] = highWord
    readiness[count++] = bits
  }

  /** Makes the poll that a slot wants. Returns 0, or the errno. */
  const submit = ({ address, at, words }: SlotView): number => {
    const want = words[at + Slot.Want]!
    encodePoll(words, at, words[at + Slot.Base]!, want)
    words[at + Slot.Asked] = want
    // Before the call, because its completion may be taken before it returns.
    words[at + Slot.State] = State.Polled
    const info = address + Slot.PollInfo * 4
    const status = NtDeviceIoControlFile(
      device,
      0,
      0,
      address,
      address,
      IOCTL_POLL,
      info,
      pollInfoBytes,
      info,
      pollInfoBytes
    )
    // Also a poll that is complete at once is reported.
    if (status === 0 || status === STATUS_PENDING) return 0
    words[at + Slot.State] = State.Empty
    return calls.errnoOfStatus(status)
  }

  /** Cancels the poll under way. Returns whether the kernel still had it. */
  const cancel = ({ address }: SlotView): boolean => NtCancelIoFileEx(device, address, block) !== STATUS_NOT_FOUND

  /** Whether the poll under way says, once it is complete, that its socket was closed. */
  const saysClosed = ({ at, words }: SlotView): boolean => {
    const status = Atomics.load(words, at + Slot.Status)
    return status === 0 && (words[at + Slot.Events]! & LOCAL_CLOSE) !== 0
  }

  /** Whether the socket of a registration was closed, although no thread has taken that report yet. */
  const isGone = (slot: SlotView): boolean => {
    const { at, words } = slot
    const state = words[at + Slot.State]
    // That poll says nothing of this socket.
    if (state === State.Replaced) return false
    if (saysClosed(slot)) return true
    if (state !== State.Polled || cancel(slot)) return false
    // It is complete, and the kernel may be about to write how.
    for (let looks = 0; looks < mostLooks; looks++) {
      if (Atomics.load(words, at + Slot.Status) !== STATUS_PENDING) break
    }
    return saysClosed(slot)
  }

  /** Has the kernel poll for what is wanted now. */
  const update = (slot: SlotView): void => {
    const { at, words } = slot
    if (words[at + Slot.State] !== State.Polled) return
    // It asks for that already, and for more at most: what is not wanted is left out when it comes.
    if ((words[at + Slot.Want]! & ~words[at + Slot.Asked]!) === 0) return
    cancel(slot)
    words[at + Slot.State] = State.Changed
  }

  const fill = (slot: SlotView, fd: number, interest: number, mailbox: number, id: number): void => {
    const { at, words } = slot
    words[at + Slot.Socket] = fd
    words[at + Slot.Interest] = interest
    words[at + Slot.Want] = encodeInterest(profile, interest)
    words[at + Slot.Low] = lowOf(id)
    words[at + Slot.High] = highWordOf(mailbox, id)
  }

  /** Returns why there is no registration to change. */
  const missing = (fd: number): number => (fd >= 0 && fd % 4 === 0 && isOpen(calls, fd) ? ENOENT : EBADF)

  /** Returns the slot of a registration whose socket is open, or `undefined`. */
  const registered = (fd: number): SlotView | undefined => {
    const slot = fd % 4 === 0 ? memory.find(fd) : undefined
    if (slot === undefined || !isRegistered(slot)) return undefined
    if (slot.words[slot.at + Slot.State] !== State.Replaced && saysClosed(slot)) {
      slot.words[slot.at + Slot.State] = State.Removed
      return undefined
    }
    return slot
  }

  const add = (fd: number, interest: number, mailbox: number, id: number): number => {
    // The kernel would ignore the two lowest bits of a handle.
    if (fd < 0 || fd % 4 !== 0) return EBADF
    if ((interest & Interest.Exclusive) !== 0) return EINVAL
    const base = baseOf(fd)
    if (base < 0) return -base
    const slot = memory.reserve(fd)
    if (slot === undefined) return EMFILE
    const { at, words } = slot
    const before = words[at + Slot.State]
    if (isRegistered(slot) && !isGone(slot)) {
      // To find that out may have cancelled its poll.
      if (before === State.Polled) words[at + Slot.State] = State.Changed
      return EEXIST
    }
    fill(slot, fd, interest, mailbox, id)
    words[at + Slot.Kind] = SlotKind.Socket
    words[at + Slot.Base] = base
    // Of a set whose thread was terminated.
    if (before === State.Empty) memory.dropList(slot)
    if (before === State.Empty) return submit(slot)
    words[at + Slot.State] = State.Replaced
    return 0
  }

  const modify = (fd: number, interest: number, mailbox: number, id: number): number => {
    if ((interest & Interest.Exclusive) !== 0) return EINVAL
    const slot = registered(fd)
    if (slot === undefined) return missing(fd)
    fill(slot, fd, interest, mailbox, id)
    update(slot)
    return 0
  }

  const remove = (fd: number): number => {
    const slot = registered(fd)
    if (slot === undefined) return missing(fd)
    if (slot.words[slot.at + Slot.State] === State.Polled) cancel(slot)
    // The slot is empty once its poll is complete: until then the kernel may write into it.
    slot.words[slot.at + Slot.State] = State.Removed
    return 0
  }

  /** Makes the next poll of a socket. Returns its owner, or `Owner.None` if that fails. */
  const repeat = (slot: SlotView, owner: number): number => {
    if (submit(slot) === 0) return owner
    return Owner.None
  }

  /** Takes the completion of the poll of a slot, with its lock held. Returns the owner. */
  const complete = (slot: SlotView, owner: number): number => {
    const { at, words } = slot
    const state = words[at + Slot.State]
    if (words[at + Slot.Kind] === SlotKind.Set) {
      words[at + Slot.State] = State.Empty
      if (words[at + Slot.Want] !== 0) report(words[at + Slot.Low]!, words[at + Slot.High]!, Readiness.Readable)
      words[at + Slot.Want] = 0
      const status = words[at + Slot.Status]!
      if (status === 0 || status === STATUS_CANCELLED) return owner
      // Its handle was closed for a thread that was terminated.
      words[at + Slot.Kind] = SlotKind.Socket
      memory.dropList(slot)
      return Owner.None
    }
    // Of a set that was closed.
    memory.dropList(slot)
    if (state === State.Removed || state === State.Empty) {
      words[at + Slot.State] = State.Empty
      return owner
    }
    if (state === State.Replaced) {
      isRepeated = true
      return repeat(slot, owner)
    }
    const status = words[at + Slot.Status]!
    const events = status === 0 && words[at + Slot.HandleCount]! > 0 ? words[at + Slot.Events]! : 0
    if ((events & LOCAL_CLOSE) !== 0) {
      words[at + Slot.State] = State.Empty
      return Owner.None
    }
    if (state === State.Changed) {
      isRepeated = true
      return repeat(slot, owner)
    }
    const reported = events & words[at + Slot.Want]!
    const lowWord = words[at + Slot.Low]!
    const highWord = words[at + Slot.High]!
    if (reported !== 0) {
      report(lowWord, highWord, toReadiness(reported, words[at + Slot.Interest]!))
      // The close of the socket alone, of which a program is not told.
      words[at + Slot.Want] =
        (words[at + Slot.Interest]! & Interest.Oneshot) === 0 ? words[at + Slot.Want]! & ~reported : LOCAL_CLOSE
    } else if (status !== 0 && status !== STATUS_CANCELLED) {
      // The device does not poll this socket any more. An attempt finds out why.
      report(lowWord, highWord, Readiness.Readable | Readiness.Writable | Readiness.Error)
      words[at + Slot.State] = State.Empty
      return Owner.None
    }
    return repeat(slot, owner)
  }

  const wake = (): void => {
    if (!isOpenHere) return
    memory.postWake(() => (PostQueuedCompletionStatus(port, 0, Key.Wake, 0) === 0 ? calls.lastErrno() : 0))
  }

  /** Takes what the port has, for up to `timeout` milliseconds. Returns the number of its entries. */
  const dequeue = (room: number, timeout: number): number => {
    if (GetQueuedCompletionStatusEx(port, entries, room, removed, timeout, 0) !== 0) return removed[0]!
    const error = calls.GetLastError()
    if (error === WAIT_TIMEOUT) return 0
    throw new SystemCallError("GetQueuedCompletionStatusEx", calls.lastErrno())
  }

  /** Takes what the port has reported into the batch. */
  const take = (found: number): void => {
    for (let at = 0; at < found * Entry.stride; at += Entry.stride) {
      switch (entries[at + Entry.Key]) {
        case Key.Poll: {
          const address = entries[at + Entry.Overlapped + 1]! * 2 ** 32 + (entries[at + Entry.Overlapped]! >>> 0)
          const slot = memory.at(address)
          const fd = slot.words[slot.at + Slot.Socket]!
          owners.unlock(fd, complete(slot, owners.lock(fd)))
          break
        }
        case Key.Trigger:
          report(entries[at + Entry.Bytes]!, entries[at + Entry.Overlapped]!, Readiness.Readable)
          break
        default:
          // First, so that a wake-up that comes from now on is posted.
          memory.takeWake()
          report(0, 0, Readiness.Readable)
      }
    }
  }

  /** Returns how many milliseconds to wait: until the timeout is over, or an alarm expires. */
  const untilAlarm = (timeout: number): number => {
    const now = clock.now()
    const end = timeout < 0 ? never : now + BigInt(Math.ceil(timeout * 1e6))
    const first = memory.waitUntil(end)
    if (first === never) return INFINITE
    return first <= now ? 0 : Math.min(Number((first - now + 999_999n) / 1_000_000n), INFINITE - 1)
  }

  const expire = (): void => {
    if (!memory.hasAlarms) return
    memory.expire(clock.now(), (mailbox) => {
      if (count === batchSize) return false
      report(0, highWordOf(mailbox, 0), Readiness.Readable)
      return true
    })
  }

  /** Closes everything. No other thread uses the selector any more. */
  const dispose = (): void => {
    // Completes all polls, wherever they were made.
    calls.CloseHandle(device)
    let underWay = 0
    memory.forEach(({ at, words }) => {
      if (words[at + Slot.State] !== State.Empty) underWay++
    })
    for (let drains = 0; underWay > 0 && drains < mostDrains; drains++) {
      for (let found = drain(); found > 0; found = drain()) underWay -= found
    }
    // The kernel may still write into it otherwise: better that it is never given back.
    if (underWay <= 0) memory.free()
    calls.CloseHandle(port)
  }

  /**
   * Closes everything once no thread uses the selector any more. A terminated one does not leave it,
   * and may still be ending, or be terminated later.
   */
  const closeWhenUnused = (pause: number): void => {
    memory.forget(isRunning)
    if (alone(() => memory.closeIfUnused())) dispose()
    else if (!memory.isClosed) later(() => closeWhenUnused(Math.min(pause * 2, longestPause)), pause).unref()
  }

  const drainBatch = new Int32Array(1024 * Entry.stride)

  /** Returns how many polls the port has reported as complete. */
  const drain = (): number => {
    if (GetQueuedCompletionStatusEx(port, drainBatch, 1024, removed, 10, 0) === 0) return 0
    let polls = 0
    for (let at = 0; at < removed[0]! * Entry.stride; at += Entry.stride) {
      if (drainBatch[at + Entry.Key] === Key.Poll) polls++
    }
    return polls
  }

  return {
    handle,
    syscalls: {
      add: "NtDeviceIoControlFile(AFD_POLL)",
      modify: "NtDeviceIoControlFile(AFD_POLL)",
      remove: "NtCancelIoFileEx"
    },
    lacks: Interest.Exclusive,
    capacity: batchSize,
    add(fd, interest, mailbox, id) {
      if (!isOpenHere) return EBADF
      const owner = owners.lock(fd)
      const reason = sets.get(fd)?.arm(lowOf(id), highWordOf(mailbox, id)) ?? add(fd, interest, mailbox, id)
      owners.unlock(fd, reason === 0 ? ownerOf(id) : owner)
      return reason
    },
    modify(fd, interest, mailbox, id) {
      if (!isOpenHere) return EBADF
      const owner = owners.lock(fd)
      const reason =
        refusalOf(owner, id) ||
        (sets.get(fd)?.arm(lowOf(id), highWordOf(mailbox, id)) ?? modify(fd, interest, mailbox, id))
      owners.unlock(fd, owner)
      return reason
    },
    remove(fd, id) {
      if (!isOpenHere) return EBADF
      const owner = owners.lock(fd)
      const reason = refusalOf(owner, id) || (sets.get(fd)?.disarm() ?? remove(fd))
      owners.unlock(fd, reason === 0 ? Owner.None : owner)
      return reason
    },
    rearm(fd, interest) {
      // The memory may have been given back by now.
      if (!isOpenHere) return
      const owner = owners.lock(fd)
      const slot = registered(fd)
      if (slot !== undefined) {
        const { at, words } = slot
        const asked = words[at + Slot.Interest]!
        // A oneshot registration stays silent after its report until it is modified.
        if ((asked & Interest.Oneshot) === 0) {
          words[at + Slot.Want] = words[at + Slot.Want]! | (encodeInterest(profile, interest & asked) & ~closing)
          update(slot)
        }
      }
      owners.unlock(fd, owner)
    },
    isOwn: (fd) => owners.isLibrary(fd),
    readinessNow: bindReadinessNow(libc, calls),
    openLevelSet() {
      if (!isOpenHere) return closedSet
      const set = openLevelSet(libc, calls, port, memory, owners, () => void sets.delete(set.fd))
      sets.set(set.fd, set)
      return set
    },
    wait(timeout) {
      count = 0
      expire()
      const room = batchSize - count
      if (room === 0) return count
      let found = dequeue(room, count > 0 ? 0 : untilAlarm(timeout))
      // Whatever a terminated thread has left there.
      if (found === 0) memory.takeWake()
      while (found > 0) {
        const isFull = found === batchSize - count
        isRepeated = false
        take(found)
        // There may be more, and a poll that was made anew may be complete by now.
        if (count === batchSize || !(isFull || isRepeated)) break
        found = dequeue(batchSize - count, 0)
      }
      expire()
      return count
    },
    mailbox: (index) => high[index]! >>> highBits,
    low: (index) => low[index]!,
    high: (index) => high[index]! & highMask,
    readiness: (index) => readiness[index]!,
    openAlarm: (mailbox) => openAlarm(memory, clock, mailbox, wake),
    openTrigger: (mailbox, id) => openTrigger(calls, port, mailbox, id),
    wake,
    close() {
      if (!isOpenHere) return
      isOpenHere = false
      // Their memory is given back with the selector's.
      for (const set of Array.from(sets.values())) set.close()
      if (!isCounted) return
      memory.leave()
      closeWhenUnused(firstPause)
    }
  }
}
