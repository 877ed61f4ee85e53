/** What a program waits for at descriptors that it does not read itself, and what became ready. */
import type { Event } from "../../Event.ts"
import type { ReadyFd } from "../../ForeignFd.ts"
import type { PollerError } from "../../PollerError.ts"
import type { Attachment } from "../delivery/attachment.ts"
import * as Registering from "../delivery/registration.ts"
import { fromErrno } from "../errors/pollerErrors.ts"
import { Interest, Readiness } from "../kernel/selector.ts"

export type Found = ReadonlyArray<ReadyFd>

/** A descriptor, and what it is waited for: bits of `Interest`. */
export interface Target {
  readonly fd: number
  readonly interest: number
}

const bothClosed = Readiness.ReadClosed | Readiness.WriteClosed

/**
 * Returns the part of an interest that is ready, as an event. An error or a hang-up makes ready
 * whatever is asked for: the next call finds out. The end of the peer's output alone is something to
 * read.
 */
export const eventOf = (interest: number, readiness: number): Event | undefined => {
  const ended = (readiness & Readiness.Error) !== 0 || (readiness & bothClosed) === bothClosed
  const read = (interest & Interest.Read) !== 0 && (ended || (readiness & Readiness.Readable) !== 0)
  const write = (interest & Interest.Write) !== 0 && (ended || (readiness & Readiness.Writable) !== 0)
  if (read && write) return "Both"
  return read ? "Read" : write ? "Write" : undefined
}

/** Returns what a descriptor is ready for now, or the error if it cannot be waited for. */
export const eventNow = (attachment: Attachment, fd: number, interest: number): Event | PollerError | undefined => {
  const refused = Registering.refusal(attachment, fd, interest)
  if (refused !== undefined) return refused
  const readiness = attachment.selector.readinessNow(fd, interest)
  if (readiness < 0) return fromErrno("poll", -readiness, { fd })
  return readiness === 0 ? undefined : eventOf(interest, readiness)
}
