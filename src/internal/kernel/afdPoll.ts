/**
 * Polls of the device Afd: what one is asked for, what it reports, and how the memory of one lies.
 * The layouts are those of 64-bit Windows, on x64 and on arm64.
 */
import type { AfdProfile } from "../libc/profiles/afdProfile.ts"
import { Interest, Readiness } from "./selector.ts"

/** The polls that a socket may have at a time. The place of one in a slot is its number. */
export const Way = { Ends: 0, Read: 1, Write: 2, Priority: 3 } as const

export const ways: ReadonlyArray<number> = Object.values(Way)

/** The ways that an interest has polls for, beside that of the ends: `Interest.Read` and so on. */
export const directions = 7

/** The bit of an interest that a way is for. */
export const bitOf = (way: number): number => (1 << way) >> 1

/**
 * The memory of one socket, in 32-bit words. It begins with the polls: the kernel writes into one
 * until it is complete. The rest is the library's own.
 */
export const Slot = {
  /** Words from one slot to the next. */
  stride: 64,
  /** Words from one poll to the next. What follows is the place within a poll. */
  poll: 12,
  /** `IO_STATUS_BLOCK`: a status, and a pointer's worth of other information. */
  Status: 0,
  /** `AFD_POLL_INFO` for one handle begins here with its timeout, of 64 bits. */
  PollInfo: 4,
  HandleCount: 6,
  Exclusive: 7,
  /** Of 64 bits. */
  Handle: 8,
  /** The events that a poll under way asks for, and that a complete one reports. */
  Events: 10,
  HandleStatus: 11,
  /** The state of each poll, by its way. */
  State: 48,
  /** The directions that are to be reported next, as bits of `Interest`. Of a set: 1, or 0. */
  Wanted: 52,
  /** The ends that were reported, and are not to be reported again. */
  Ended: 53,
  /** The ends that the socket has come to: the poll of the ends would report them for ever. */
  Seen: 54,
  /** What a registration asks for. 0 once it is oneshot and was reported. */
  Interest: 55,
  Low: 56,
  High: 57,
  /** The socket below all layered service providers, which the device knows. */
  Base: 58,
  /** The socket as the program knows it, or the number of a set. */
  Socket: 59,
  Kind: 60,
  /** Of a set, where its list of sockets is, in 64 bits, and how many bytes have room there. */
  List: 61,
  ListBytes: 63
} as const

/** What is registered under the number of a slot, if anything is. */
export const SlotKind = { None: 0, Socket: 1, Set: 2 } as const

/** The state of a poll. */
export const State = {
  /** It is not under way. */
  Idle: 0,
  /** It is under way, and what it reports counts. */
  Polled: 1,
  /** It is under way, and what it reports does not count: there is another poll to make then, or none. */
  Stale: 2
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

/** The size in bytes of one poll in a slot. */
export const pollBytes = Slot.poll * 4

/** Writes the request of a poll for one handle, without an end of time. `at` is where the poll lies. */
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

/** Returns the events that the poll of each way asks for. */
export const eventsOfWays = (profile: AfdProfile): ReadonlyArray<number> => [
  closingOf(profile) | profile.afd.DISCONNECT,
  encodeInterest(profile, Interest.Read),
  encodeInterest(profile, Interest.Write),
  encodeInterest(profile, Interest.Priority)
]

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
