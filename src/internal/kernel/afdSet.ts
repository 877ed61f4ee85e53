/**
 * A level-triggered set of sockets: one poll of the device Afd for all of them.
 *
 * The set opens the device once more. The number of that handle is the set's own, and to close it
 * completes the poll. While the number is registered, there is a poll. Its completion is reported as
 * a readable number, and the thread that waits then looks by `WSAPoll` what is ready. What changes
 * meanwhile cancels the poll, which reports it as well: the thread looks, and makes the next poll.
 *
 * The slot of the number has the status of the poll (`afdMemory.ts`). The list of sockets lies in
 * memory of its own, which the slot refers to: the kernel writes into it until the poll is complete.
 */
import type { Libc } from "../libc/koffi.ts"
import type { AfdProfile } from "../libc/profiles/afdProfile.ts"
import { errnoOf } from "../libc/windowsErrors.ts"
import { type AfdCalls, associate, bindBaseOf, closeHandle, openDevice } from "./afdCalls.ts"
import type { AfdMemory, SlotView } from "./afdMemory.ts"
import { bindReadinessNow, decodeLook, encodeLook, foundBy, lookWords, WSAENOTSOCK } from "./afdNow.ts"
import { encodeInterest, encodeSetMember, encodeSetPoll, Slot, SlotKind, setPollBytes } from "./afdPoll.ts"
import { SetPoll, STATUS_PENDING, State } from "./afdPoll.ts"
import { Key } from "./afdTrigger.ts"
import { Owner, type Owners } from "./owners.ts"
import { type LevelSet, Readiness } from "./selector.ts"
import { SystemCallError } from "./systemCallError.ts"

interface Member {
  readonly interest: number
  /** The socket below all layered service providers, which the device knows. */
  readonly base: number
}

/** What the selector of a thread does with a set that the thread has opened. */
export interface AfdSet extends LevelSet {
  /**
   * Makes the poll, so that it is reported under the slot's user data. Returns 0, or the errno. The
   * set's number is locked.
   */
  readonly arm: (low: number, high: number) => number
  /** Reports nothing more. Returns 0. The set's number is locked. */
  readonly disarm: () => number
}

/** A set of a selector that is closed. */
export const closedSet: LevelSet = {
  fd: -1,
  update: () => 0,
  look: () => 0,
  ready: () => -1,
  readiness: () => 0,
  close: () => {}
}

/** Opens an empty set. `onClose` is called when it closes. Throws `SystemCallError`. */
export const openLevelSet = (
  libc: Libc<AfdProfile>,
  calls: AfdCalls,
  port: number,
  memory: AfdMemory,
  owners: Owners,
  onClose: () => void
): AfdSet => {
  const { profile } = libc
  const { EBADF, EMFILE } = profile.errno
  const { ABORT, CONNECT_FAIL, IOCTL_POLL } = profile.afd
  const { NVAL } = profile.poll
  const baseOf = bindBaseOf(libc, calls)
  const readinessNow = bindReadinessNow(libc, calls)
  const members = new Map<number, Member>()
  const block = new BigUint64Array(2)
  let looked = new Int32Array(0)
  let ready: Array<readonly [fd: number, readiness: number]> = []
  /** Whether the poll under way, if there is one, lacks something that is wanted by now. */
  let isOutdated = false
  let isOpen = true

  const fd = openDevice(libc, calls)
  libc.noteHandle?.(fd, true)

  const openSlot = (): SlotView => {
    associate(calls, fd, port, Key.Poll)
    const slot = memory.reserve(fd)
    if (slot === undefined) throw new SystemCallError("NtCreateFile(\\Device\\Afd)", EMFILE)
    const { at, words } = slot
    owners.lock(fd)
    // A poll of a former socket may be under way in it. Its completion is reported as one of this
    // set would be.
    words[at + Slot.Kind] = SlotKind.Set
    words[at + Slot.Socket] = fd
    words[at + Slot.Wanted] = 0
    owners.unlock(fd, Owner.None)
    return slot
  }

  let slot: SlotView
  try {
    slot = openSlot()
  } catch (thrown) {
    closeHandle(libc, calls, fd)
    throw thrown
  }
  const { address, at, words } = slot
  let list: { readonly address: number; readonly words: Int32Array } | undefined

  const cancel = (): void => {
    isOutdated = false
    calls.NtCancelIoFileEx(fd, address, block)
  }

  /** Polls all sockets. Returns 0, or the errno. */
  const submit = (): number => {
    isOutdated = false
    // Nothing to poll: `update` makes the poll.
    if (members.size === 0) return 0
    const bytes = setPollBytes(members.size)
    const place = memory.reserveList(slot, bytes)
    if (place === 0) return EMFILE
    if (list?.address !== place) {
      list = { address: place, words: new Int32Array(libc.memoryAt(place, words[at + Slot.ListBytes]!)) }
    }
    encodeSetPoll(list.words, members.size)
    let index = 0
    for (const { base, interest } of members.values()) {
      encodeSetMember(list.words, index++, base, encodeInterest(profile, interest))
    }
    words[at + Slot.Status] = STATUS_PENDING
    words[at + Slot.State] = State.Polled
    const status = calls.NtDeviceIoControlFile(fd, 0, 0, address, address, IOCTL_POLL, place, bytes, place, bytes)
    if (status === 0 || status === STATUS_PENDING) return 0
    words[at + Slot.State] = State.Idle
    return calls.errnoOfStatus(status)
  }

  /** Polls all sockets that are open. Returns 0, or the errno. */
  const submitOpen = (): number => {
    const errno = submit()
    if (errno === 0) return 0
    // Without a word, the library has closed one of them. To look finds out which.
    const { size } = members
    look()
    return members.size < size ? submit() : errno
  }

  /**
   * Returns the sockets that have failed by the last poll. Before Windows 10 2004, `WSAPoll` does not
   * see that a connection was refused.
   */
  const failed = (): ReadonlySet<number> => {
    const bases = new Set<number>()
    // A poll that was cancelled has written nothing.
    if (list === undefined || words[at + Slot.State] !== State.Idle || words[at + Slot.Status] !== 0) return bases
    for (let index = list.words[SetPoll.HandleCount]! - 1; index >= 0; index--) {
      const entry = SetPoll.First + index * SetPoll.stride
      if ((list.words[entry + SetPoll.Events]! & (ABORT | CONNECT_FAIL)) !== 0) {
        bases.add(list.words[entry + SetPoll.Handle]!)
      }
    }
    // Once: the next poll finds it again.
    list.words[SetPoll.HandleCount] = 0
    return bases
  }

  const look = (): number => {
    ready = []
    if (members.size === 0) return 0
    if (looked.length < members.size * lookWords) looked = new Int32Array(members.size * 2 * lookWords)
    let place = 0
    for (const [number, { interest }] of members) encodeLook(profile, looked, place++, number, interest)
    if (calls.WSAPoll(looked, members.size, 0) < 0) {
      const error = calls.WSAGetLastError()
      if (error !== WSAENOTSOCK) throw new SystemCallError("WSAPoll", errnoOf(error))
      // None of them is open.
      members.clear()
      return 0
    }
    const hasFailed = failed()
    place = 0
    for (const [number, { base, interest }] of members) {
      const found = foundBy(looked, place++)
      if ((found & NVAL) !== 0) members.delete(number)
      else {
        const readiness = decodeLook(profile, found, interest) | (hasFailed.has(base) ? Readiness.Error : 0)
        if (readiness !== 0) ready.push([number, readiness])
      }
    }
    return ready.length
  }

  /** Has the poll that is reported, if there is to be one, ask for what is wanted now. */
  const follow = (): number => {
    const owner = owners.lock(fd)
    const isArmed = words[at + Slot.Wanted] !== 0
    let errno = 0
    if (!isArmed) isOutdated = true
    else if (words[at + Slot.State] === State.Idle) errno = submitOpen()
    else cancel()
    owners.unlock(fd, owner)
    return errno
  }

  return {
    fd,
    arm(low, high) {
      words[at + Slot.Low] = low
      words[at + Slot.High] = high
      words[at + Slot.Wanted] = 1
      if (words[at + Slot.State] === State.Idle) {
        const errno = submitOpen()
        if (errno !== 0) words[at + Slot.Wanted] = 0
        return errno
      }
      if (isOutdated) cancel()
      return 0
    },
    disarm: () => (words[at + Slot.Wanted] = 0),
    update(number, interest) {
      if (interest === 0) {
        // What its poll still reports of it, the next look does not find.
        members.delete(number)
        return 0
      }
      const now = readinessNow(number, interest)
      const base = now < 0 ? now : baseOf(number)
      if (base < 0) {
        if (base === -EBADF) members.delete(number)
        return -base
      }
      members.set(number, { interest, base })
      return isOpen ? follow() : 0
    },
    look,
    ready: (index) => ready[index]![0],
    readiness: (index) => ready[index]![1],
    close() {
      if (!isOpen) return
      isOpen = false
      onClose()
      owners.lock(fd)
      words[at + Slot.Wanted] = 0
      words[at + Slot.Kind] = SlotKind.None
      // Otherwise the thread that takes the completion of the poll does it.
      if (words[at + Slot.State] === State.Idle) memory.dropList(slot)
      else words[at + Slot.State] = State.Stale
      closeHandle(libc, calls, fd)
      owners.unlock(fd, Owner.None)
    }
  }
}
