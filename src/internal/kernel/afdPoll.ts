/**
 * Polls of the device Afd: what one is asked for, what it reports, and how the memory of one lies.
 * The layouts are those of 64-bit Windows, on x64 and on arm64.
 */
import type { AfdProfile } from "../libc/profiles/afdProfile.ts"
import { Interest, Readiness } from "./selector.ts"

/**
 * The memory of one socket, in 32-bit words. The kernel writes into the first part of it until a
 * poll is complete. The rest is the library's own.
 */
export const Slot = {
  /** Words from one slot to the next. */
  stride: 32,
  /** `IO_STATUS_BLOCK`: a status, and a pointer's worth of other information. */
  Status: 0,
  /** `AFD_POLL_INFO` for one handle begins here with its timeout, of 64 bits. */
  PollInfo: 4,
  HandleCount: 6,
  Exclusive: 7,
  /** Of 64 bits. */
  Handle: 8,
  Events: 10,
  HandleStatus: 11,
  State: 16,
  /** The events that are still to be reported. */
  Want: 17,
  /** The events that the poll under way asks for. */
  Asked: 18,
  Interest: 19,
  Low: 20,
  High: 21,
  /** The socket below all layered service providers, which the device knows. */
  Base: 22,
  /** The socket as the program knows it, or the number of a set. */
  Socket: 23,
  Kind: 24,
  /** Of a set, where its list of sockets is, in 64 bits, and how many bytes have room there. */
  List: 26,
  ListBytes: 28
} as const

/** What the number of a slot belongs to. */
export const SlotKind = { Socket: 0, Set: 1 } as const

/** The state of a slot. */
export const State = {
  /** There is no registration, and no poll is under way. */
  Empty: 0,
  /** A poll is under way, and what it reports counts. */
  Polled: 1,
  /** A poll is under way that was cancelled, for another is wanted. */
  Changed: 2,
  /** A poll is under way that was made for another socket, which had the number before. */
  Replaced: 3,
  /** A poll is under way, and there is no registration any more. */
  Removed: 4
} as const

/** The size in bytes of an `AFD_POLL_INFO` for one handle. */
export const pollInfoBytes = 32

/** `OVERLAPPED_ENTRY`, in 32-bit words: what an I/O completion port reports. */
export const Entry = {
  stride: 8,
  /** The key, of 64 bits. The library's own need 32. */
  Key: 0,
  /** The address of the slot, of 64 bits. */
  Overlapped: 2,
  /** A number of bytes; in the library's own entries, the low word of an id. */
  Bytes: 6
} as const

/** The status of a request that is under way. */
export const STATUS_PENDING = 0x103

/** Writes the request of a poll for one handle, without an end of time. */
export const encodePoll = (words: Int32Array, at: number, handle: number, events: number): void => {
  words[at + Slot.Status] = STATUS_PENDING
  words[at + Slot.PollInfo] = -1
  words[at + Slot.PollInfo + 1] = 0x7fff_ffff
  words[at + Slot.HandleCount] = 1
  words[at + Slot.Exclusive] = 0
  words[at + Slot.Handle] = handle
  // A handle has 32 bits of meaning, and is extended by its sign.
  words[at + Slot.Handle + 1] = handle < 0 ? -1 : 0
  words[at + Slot.Events] = events
  words[at + Slot.HandleStatus] = 0
}

/** `AFD_POLL_INFO` for several handles, in 32-bit words. When it is complete, it lists those found. */
export const SetPoll = {
  HandleCount: 2,
  /** The first handle, and the words from one to the next. */
  First: 4,
  stride: 4,
  /** Within one: the handle of 64 bits, and its events. */
  Handle: 0,
  Events: 2
} as const

/** The size in bytes of an `AFD_POLL_INFO` for a number of handles. */
export const setPollBytes = (handles: number): number => (SetPoll.First + handles * SetPoll.stride) * 4

/** Writes the request of a poll for several handles, without an end of time. */
export const encodeSetPoll = (words: Int32Array, handles: number): void => {
  words[0] = -1
  words[1] = 0x7fff_ffff
  words[SetPoll.HandleCount] = handles
  words[3] = 0
}

/** Writes one of its handles. */
export const encodeSetMember = (words: Int32Array, index: number, handle: number, events: number): void => {
  const at = SetPoll.First + index * SetPoll.stride
  words[at + SetPoll.Handle] = handle
  words[at + SetPoll.Handle + 1] = handle < 0 ? -1 : 0
  words[at + SetPoll.Events] = events
  words[at + SetPoll.Events + 1] = 0
}

/** Events that every poll asks for. */
export const closingOf = ({ afd }: AfdProfile): number => afd.ABORT | afd.CONNECT_FAIL | afd.LOCAL_CLOSE

/** Encodes interest as the events of a poll. */
export const encodeInterest = (profile: AfdProfile, interest: number): number => {
  const { ACCEPT, DISCONNECT, RECEIVE, RECEIVE_EXPEDITED, SEND } = profile.afd
  let events = closingOf(profile)
  if ((interest & Interest.Read) !== 0) events |= RECEIVE | ACCEPT | DISCONNECT
  if ((interest & Interest.Write) !== 0) events |= SEND
  if ((interest & Interest.Priority) !== 0) events |= RECEIVE_EXPEDITED
  return events
}

/**
 * Returns a function that decodes events as readiness, with closed ends as mio defines them. Where
 * both directions are over, it is what the interest asks for that is ready.
 */
export const decodeEvents = ({ afd }: AfdProfile): ((events: number, interest: number) => number) => {
  const { ABORT, ACCEPT, CONNECT_FAIL, DISCONNECT, RECEIVE, RECEIVE_EXPEDITED, SEND } = afd
  const reading = RECEIVE | ACCEPT | DISCONNECT | ABORT | CONNECT_FAIL
  const writing = SEND | ABORT | CONNECT_FAIL
  return (events, interest) => {
    let readiness = 0
    if ((events & reading) !== 0 && (interest & Interest.Read) !== 0) readiness |= Readiness.Readable
    if ((events & writing) !== 0 && (interest & Interest.Write) !== 0) readiness |= Readiness.Writable
    if ((events & RECEIVE_EXPEDITED) !== 0) readiness |= Readiness.Priority
    if ((events & (DISCONNECT | ABORT | CONNECT_FAIL)) !== 0) readiness |= Readiness.ReadClosed
    if ((events & (ABORT | CONNECT_FAIL)) !== 0) readiness |= Readiness.WriteClosed
    if ((events & CONNECT_FAIL) !== 0) readiness |= Readiness.Error
    return readiness
  }
}
