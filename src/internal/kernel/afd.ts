/**
 * The selector of Windows: polls of the device Afd, which an I/O completion port reports.
 *
 * `afdSockets.ts` has the registrations of sockets, and `afdSet.ts` the sets. Either is changed with
 * the lock of its number held (`owners.ts`), which a terminated thread cannot keep.
 */
import type { Libc } from "../libc/koffi.ts"
import type { AfdProfile } from "../libc/profiles/afdProfile.ts"
import { setTimeout } from "../libc/realTime.ts"
import { openAlarm, openAlarmClock } from "./afdAlarm.ts"
import { associate, bindAfdCalls, openDevice, openPort } from "./afdCalls.ts"
import { AfdMemory, never, wayAt } from "./afdMemory.ts"
import { bindReadinessNow } from "./afdNow.ts"
import { Entry, Slot, State, ways } from "./afdPoll.ts"
import { bindSockets } from "./afdSockets.ts"
import { type AfdSet, closedSet, openLevelSet } from "./afdSet.ts"
import { attachTrigger as attachTo, Key, openTrigger } from "./afdTrigger.ts"
import { Owner, Owners, ownerOf, refusalOf } from "./owners.ts"
import type { Selector, SelectorHandle, Trigger } from "./selector.ts"
import { Interest, Readiness } from "./selector.ts"
import { SystemCallError } from "./systemCallError.ts"
import { currentThread, isAlive } from "./threadId.ts"
import { highBits, highMask, highWordOf, lowOf } from "./userData.ts"

type Afd = Libc<AfdProfile>

const WAIT_TIMEOUT = 258
const INFINITE = 0xffff_ffff

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

const make = (libc: Afd, handle: SelectorHandle, batchSize: number, isCounted: boolean, later: Later): Selector => {
  const { profile } = libc
  const calls = bindAfdCalls(libc)
  const { GetQueuedCompletionStatusEx, PostQueuedCompletionStatus } = calls
  const { EBADF, EMFILE } = profile.errno
  const port = handle.fd
  const { device, memory: shared } = handle.afd!
  const memory = new AfdMemory(libc, calls, shared)
  const owners = new Owners(handle.owners)
  const clock = openAlarmClock(calls)
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

  const sockets = bindSockets(libc, calls, device, memory, report, () => void (isRepeated = true))

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
          owners.unlock(fd, sockets.complete(slot, wayAt(address), owners.lock(fd)))
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
      for (const way of ways) if (words[at + Slot.State + way] !== State.Idle) underWay++
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
      const reason = sets.get(fd)?.arm(lowOf(id), highWordOf(mailbox, id)) ?? sockets.add(fd, interest, mailbox, id)
      owners.unlock(fd, reason === 0 ? ownerOf(id) : owner)
      return reason
    },
    modify(fd, interest, mailbox, id) {
      if (!isOpenHere) return EBADF
      const owner = owners.lock(fd)
      const reason =
        refusalOf(owner, id) ||
        (sets.get(fd)?.arm(lowOf(id), highWordOf(mailbox, id)) ?? sockets.modify(fd, interest, mailbox, id))
      owners.unlock(fd, owner)
      return reason
    },
    remove(fd, id) {
      if (!isOpenHere) return EBADF
      const owner = owners.lock(fd)
      const reason = refusalOf(owner, id) || (sets.get(fd)?.disarm() ?? sockets.remove(fd))
      owners.unlock(fd, reason === 0 ? Owner.None : owner)
      return reason
    },
    rearm(fd, interest) {
      // The memory may have been given back by now.
      if (!isOpenHere) return
      const owner = owners.lock(fd)
      sockets.rearm(fd, interest)
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
    openTrigger: (mailbox, id) => openTrigger(libc, calls, port, mailbox, id),
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
