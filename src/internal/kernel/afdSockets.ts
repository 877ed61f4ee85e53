/**
 * Registrations of sockets on Windows: the polls of each, in the slot of its number (`afdMemory.ts`).
 * The lock of the number is held during all calls (`owners.ts`).
 *
 * A poll is a request for one socket. It is complete once, when the socket is ready for any of what
 * it asks for, or at once if the socket is ready already. That makes it level-triggered. To report
 * edges, a direction that was reported is polled again only after an attempt has found that it is
 * over: `rearm`. Meanwhile a poll of the ends alone finds out if the connection ends.
 *
 * So each direction has a poll of its own, and each report costs one request, which the thread makes
 * whose attempt it was. A poll that is not wanted any more stays under way: what it reports is left
 * out. It is complete when the socket is closed, at the latest.
 */
import type { Libc } from "../libc/koffi.ts"
import type { AfdProfile } from "../libc/profiles/afdProfile.ts"
import { type AfdCalls, bindBaseOf, isOpen } from "./afdCalls.ts"
import type { AfdMemory, SlotView } from "./afdMemory.ts"
import { bitOf, decodeEvents, directions, encodeInterest, encodePoll, eventsOfWays } from "./afdPoll.ts"
import { pollBytes, pollInfoBytes, Slot, SlotKind, State, STATUS_PENDING, Way, ways } from "./afdPoll.ts"
import { Owner } from "./owners.ts"
import { Interest, Readiness } from "./selector.ts"
import { highWordOf, lowOf } from "./userData.ts"

const STATUS_NOT_FOUND = 0xc000_0225 | 0
const STATUS_CANCELLED = 0xc000_0120 | 0

/** How often a thread looks whether the kernel has written that a poll is complete. */
const mostLooks = 1000

/** What is registered, and what becomes of its polls. Numbers are locked. */
export interface AfdSockets {
  /** Returns 0, or the errno, as the next two do. */
  readonly add: (fd: number, interest: number, mailbox: number, id: number) => number
  readonly modify: (fd: number, interest: number, mailbox: number, id: number) => number
  readonly remove: (fd: number) => number
  /** Polls again in a direction whose readiness is over. */
  readonly rearm: (fd: number, interest: number) => void
  /**
   * Takes the completion of a poll of a slot. Returns the owner of its number, which is `owner`
   * unless the registration is over.
   */
  readonly complete: (slot: SlotView, way: number, owner: number) => number
}

/** Whether a poll of the slot is under way that tells something of the registered socket. */
const isPolled = ({ at, words }: SlotView, way: number): boolean => words[at + Slot.State + way] === State.Polled

/** Ends a registration. The slot's polls are complete later, when they find something or the socket is closed. */
const forget = (slot: SlotView): void => {
  const { at, words } = slot
  words[at + Slot.Kind] = SlotKind.None
  for (const way of ways) if (isPolled(slot, way)) words[at + Slot.State + way] = State.Stale
}

/**
 * Returns the registrations of a device. `report` is called with the user data and the readiness of
 * one, and `onRepeat` when a poll was made anew whose socket may be ready already.
 */
export const bindSockets = (
  libc: Libc<AfdProfile>,
  calls: AfdCalls,
  device: number,
  memory: AfdMemory,
  report: (low: number, high: number, readiness: number) => void,
  onRepeat: () => void
): AfdSockets => {
  const { profile } = libc
  const { NtCancelIoFileEx, NtDeviceIoControlFile } = calls
  const { EBADF, EEXIST, EINVAL, EMFILE, ENOENT } = profile.errno
  const { DISCONNECT, IOCTL_POLL, LOCAL_CLOSE } = profile.afd
  const baseOf = bindBaseOf(libc, calls)
  const toReadiness = decodeEvents(profile)
  const eventsOf = eventsOfWays(profile)
  const block = new BigUint64Array(2)

  /** Makes a poll of a slot. Returns 0, or the errno. */
  const submit = ({ address, at, words }: SlotView, way: number): number => {
    const poll = at + way * Slot.poll
    const reported = words[at + (way === Way.Ends ? Slot.Seen : Slot.Ended)]!
    encodePoll(words, poll, words[at + Slot.Base]!, eventsOf[way]! & ~reported)
    // Before the call, because its completion may be taken before it returns.
    words[at + Slot.State + way] = State.Polled
    const block = address + way * pollBytes
    const info = block + Slot.PollInfo * 4
    const status = NtDeviceIoControlFile(
      device,
      0,
      0,
      block,
      block,
      IOCTL_POLL,
      info,
      pollInfoBytes,
      info,
      pollInfoBytes
    )
    // Also a poll that is complete at once is reported.
    if (status === 0 || status === STATUS_PENDING) return 0
    words[at + Slot.State + way] = State.Idle
    return calls.errnoOfStatus(status)
  }

  /** Cancels a poll under way, whose report does not count any more. Returns whether the kernel still had it. */
  const cancel = ({ address, at, words }: SlotView, way: number): boolean => {
    words[at + Slot.State + way] = State.Stale
    return NtCancelIoFileEx(device, address + way * pollBytes, block) !== STATUS_NOT_FOUND
  }

  /** Makes the polls that are wanted and not under way. Returns 0, or the errno. */
  const submitWanted = (slot: SlotView): number => {
    const { at, words } = slot
    for (const way of ways) {
      if ((words[at + Slot.Wanted]! & bitOf(way)) === 0 || words[at + Slot.State + way] !== State.Idle) continue
      const errno = submit(slot, way)
      if (errno !== 0) return errno
    }
    return 0
  }

  /** Whether a poll is complete, and says that its socket was closed. */
  const saysClosed = ({ at, words }: SlotView, way: number): boolean => {
    const poll = at + way * Slot.poll
    const status = Atomics.load(words, poll + Slot.Status)
    return status === 0 && (words[poll + Slot.Events]! & LOCAL_CLOSE) !== 0
  }

  /** Whether a poll of the registered socket says so. */
  const isClosed = (slot: SlotView): boolean => ways.some((way) => isPolled(slot, way) && saysClosed(slot, way))

  /** Whether the socket of a registration was closed, although no thread has taken that report yet. */
  const isGone = (slot: SlotView): boolean => {
    const { at, words } = slot
    if (isClosed(slot)) return true
    const way = ways.find((way) => isPolled(slot, way))
    // If the kernel still had it, its completion makes another one.
    if (way === undefined || cancel(slot, way)) return false
    // It is complete, and the kernel may be about to write how.
    for (let looks = 0; looks < mostLooks; looks++) {
      if (Atomics.load(words, at + way * Slot.poll + Slot.Status) !== STATUS_PENDING) break
    }
    return saysClosed(slot, way)
  }

  /**
   * Fills a slot, and polls in the directions of the interest. What is ready now is reported. Returns
   * 0, or the errno, and then there is no registration.
   */
  const watch = (slot: SlotView, interest: number, mailbox: number, id: number): number => {
    const { at, words } = slot
    words[at + Slot.Kind] = SlotKind.Socket
    words[at + Slot.Interest] = interest
    words[at + Slot.Wanted] = interest & directions
    words[at + Slot.Ended] = 0
    words[at + Slot.Low] = lowOf(id)
    words[at + Slot.High] = highWordOf(mailbox, id)
    for (const way of ways) {
      if ((interest & bitOf(way)) === 0 || words[at + Slot.State + way] === State.Idle) continue
      const poll = at + way * Slot.poll
      // It was made when an end was known, and does not ask for that. Or it is complete, or both.
      if ((eventsOf[way]! & ~words[poll + Slot.Events]!) !== 0) cancel(slot, way)
      // What it has found may be over.
      else if (Atomics.load(words, poll + Slot.Status) !== STATUS_PENDING) words[at + Slot.State + way] = State.Stale
    }
    const errno = submitWanted(slot)
    if (errno !== 0) forget(slot)
    return errno
  }

  /** Returns why there is no registration to change. */
  const missing = (fd: number): number => (fd >= 0 && fd % 4 === 0 && isOpen(calls, fd) ? ENOENT : EBADF)

  /** Returns the slot of a registration whose socket is open, or `undefined`. */
  const registered = (fd: number): SlotView | undefined => {
    const slot = fd % 4 === 0 ? memory.find(fd) : undefined
    if (slot === undefined || slot.words[slot.at + Slot.Kind] !== SlotKind.Socket) return undefined
    if (!isClosed(slot)) return slot
    forget(slot)
    return undefined
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
    if (words[at + Slot.Kind] === SlotKind.Socket && !isGone(slot)) return EEXIST
    // Polls of another socket, which had the number before, may be under way. It may even be open,
    // under another number or in another process, so that they would not end by themselves.
    forget(slot)
    for (const way of ways) if (words[at + Slot.State + way] !== State.Idle) cancel(slot, way)
    // Of a set whose thread was terminated.
    if (words[at + Slot.State] === State.Idle) memory.dropList(slot)
    words[at + Slot.Socket] = fd
    words[at + Slot.Base] = base
    words[at + Slot.Seen] = 0
    return watch(slot, interest, mailbox, id)
  }

  const modify = (fd: number, interest: number, mailbox: number, id: number): number => {
    if ((interest & Interest.Exclusive) !== 0) return EINVAL
    const slot = registered(fd)
    return slot === undefined ? missing(fd) : watch(slot, interest, mailbox, id)
  }

  const remove = (fd: number): number => {
    const slot = registered(fd)
    if (slot === undefined) return missing(fd)
    forget(slot)
    return 0
  }

  const rearm = (fd: number, interest: number): void => {
    const slot = registered(fd)
    if (slot === undefined) return
    const { at, words } = slot
    const asked = words[at + Slot.Interest]!
    // A oneshot registration stays silent after its report until it is modified.
    if ((asked & Interest.Oneshot) !== 0) return
    words[at + Slot.Wanted] = words[at + Slot.Wanted]! | (asked & interest & directions)
    if ((interest & Interest.Read) !== 0) words[at + Slot.Ended] = words[at + Slot.Ended]! & ~DISCONNECT
    submitWanted(slot)
  }

  /**
   * Makes the polls that a registration is to have after one is complete. Returns its owner, or
   * `Owner.None` if that fails, which ends it.
   */
  const goOn = (slot: SlotView, owner: number): number => {
    const { at, words } = slot
    const errno = submitWanted(slot) || (words[at + Slot.State + Way.Ends] === State.Idle ? submit(slot, Way.Ends) : 0)
    if (errno === 0) return owner
    forget(slot)
    return Owner.None
  }

  /** Takes the completion of the poll of a set. Returns the owner. */
  const completeSet = (slot: SlotView, owner: number): number => {
    const { at, words } = slot
    if (words[at + Slot.Wanted] !== 0) report(words[at + Slot.Low]!, words[at + Slot.High]!, Readiness.Readable)
    words[at + Slot.Wanted] = 0
    const status = words[at + Slot.Status]!
    if (status === 0 || status === STATUS_CANCELLED) return owner
    // Its handle was closed for a thread that was terminated.
    words[at + Slot.Kind] = SlotKind.None
    memory.dropList(slot)
    return Owner.None
  }

  const complete = (slot: SlotView, way: number, owner: number): number => {
    const { at, words } = slot
    const counts = words[at + Slot.State + way] === State.Polled
    words[at + Slot.State + way] = State.Idle
    const kind = words[at + Slot.Kind]
    // The polls of other ways are those of a socket that had the number before.
    if (kind === SlotKind.Set) return way === Way.Ends ? completeSet(slot, owner) : owner
    // Of a set that was closed.
    if (way === Way.Ends) memory.dropList(slot)
    if (kind === SlotKind.None) return owner
    if (!counts) {
      onRepeat()
      return goOn(slot, owner)
    }
    const poll = at + way * Slot.poll
    const status = words[poll + Slot.Status]!
    const events = status === 0 && words[poll + Slot.HandleCount]! > 0 ? words[poll + Slot.Events]! : 0
    if ((events & LOCAL_CLOSE) !== 0) {
      forget(slot)
      return Owner.None
    }
    const lowWord = words[at + Slot.Low]!
    const highWord = words[at + Slot.High]!
    if (status !== 0 && status !== STATUS_CANCELLED) {
      // The device does not poll this socket any more. An attempt finds out why.
      report(lowWord, highWord, Readiness.Readable | Readiness.Writable | Readiness.Error)
      forget(slot)
      return Owner.None
    }
    const interest = words[at + Slot.Interest]!
    const reported = interest === 0 ? 0 : events & ~words[at + Slot.Ended]! & encodeInterest(profile, interest)
    // Several polls may find one end. The first of them reports it.
    words[at + Slot.Ended] = words[at + Slot.Ended]! | (events & eventsOf[Way.Ends]!)
    words[at + Slot.Seen] = words[at + Slot.Seen]! | (events & eventsOf[Way.Ends]!)
    // It has found something, and is made again when that is over.
    if (events !== 0) words[at + Slot.Wanted] = words[at + Slot.Wanted]! & ~bitOf(way)
    if (reported !== 0) {
      report(lowWord, highWord, toReadiness(reported, interest))
      if ((interest & Interest.Oneshot) !== 0) {
        words[at + Slot.Interest] = 0
        words[at + Slot.Wanted] = 0
      }
    }
    return goOn(slot, owner)
  }

  return { add, modify, remove, rearm, complete }
}
