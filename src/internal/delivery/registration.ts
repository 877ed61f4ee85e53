/** Registers a descriptor by one kernel call, and notes it on this thread. */
import type { PollerError } from "../../PollerError.ts"
import { State } from "../shared/pollerMemory.ts"
import type { Registration, Source } from "./registrations.ts"
import { fromErrno, invalidArgument, notOpen, notRegistered, unsupported, type Where } from "../errors/pollerErrors.ts"
import { descriptorError } from "../errors/arguments.ts"
import type { Attachment } from "./attachment.ts"
import { Refused } from "../kernel/owners.ts"
import { Interest } from "../kernel/selector.ts"

/** What a caller may pass as a descriptor. */
export const expectedFd = "an integer, or an object with an integer fd"

/** Returns why a descriptor cannot be registered, or the poller cannot be used. */
export const refusal = (
  { memory, origin, selector }: Attachment,
  fd: number,
  interest: number
): PollerError | undefined => {
  if (memory.state !== State.Open) return notOpen(memory)
  const invalid = descriptorError(fd, expectedFd)
  if (invalid !== undefined) return invalid
  const { handle } = selector
  if (fd >= 0 && (fd === handle.fd || fd === handle.wake || fd === origin.fd || fd === origin.wake)) {
    return invalidArgument("this descriptor belongs to the poller itself: pass one of your own", fd)
  }
  return interest > 0 && (interest & selector.lacks) !== 0 ? lacking(interest & selector.lacks) : undefined
}

const lacking = (lacks: number): PollerError =>
  unsupported(
    (lacks & Interest.Exclusive) !== 0
      ? "only Linux has exclusive registrations: register without exclusive"
      : "this system does not report exceptional conditions: register without priority"
  )

/** Returns the error for a descriptor that the library opened. */
export const ofLibrary = (fd: number): PollerError =>
  invalidArgument(
    "this descriptor is the library's, as that of a user event, a channel or a timer is: pass one of your own (those end with their scope, or by cancelTimer)",
    fd
  )

/** Returns the error for the errno of a selector, or for why it has refused. */
export const failureOf = (syscall: string, errno: number, where: Where & { readonly fd: number }): PollerError => {
  switch (errno) {
    case Refused.Another:
      return notRegistered(
        "this registration is over, for its descriptor was closed: the number is another registration's by now",
        where.fd
      )
    case Refused.Library:
      return ofLibrary(where.fd)
    default:
      return fromErrno(syscall, errno, where)
  }
}

/**
 * Called when the selector has not changed or removed a registration, with the errno. If its number
 * is another registration's by now, this one is over: forgets it, and ends its source.
 */
export const loseIfOver = (
  attachment: Attachment,
  registration: Registration | undefined,
  errno: number,
  error: PollerError
): void => {
  if (errno !== Refused.Another || registration === undefined || !registration.isOpen) return
  attachment.dispatcher.remove(registration)
  count(attachment)
  registration.source?.end?.(error)
}

/** Publishes how many descriptors this thread has registered. */
export const count = ({ memory, dispatcher, mailbox }: Attachment): void =>
  memory.mailboxes.noteRegistrations(mailbox, dispatcher.registrations.size)

/** Registers a descriptor that `refusal` has passed. */
export const add = (
  attachment: Attachment,
  fd: number,
  interest: number,
  source?: Source
): Registration | PollerError => {
  const { memory, dispatcher, mailbox, selector } = attachment
  const refused = attachment.beforeRegistering?.()
  if (refused !== undefined) return refused
  const id = memory.takeId()
  const errno = selector.add(fd, interest, mailbox, id)
  if (errno !== 0) {
    memory.returnId(id)
    return failureOf(selector.syscalls.add, errno, { fd })
  }
  const registration = dispatcher.add(id, fd, (interest & Interest.Exclusive) !== 0, source)
  count(attachment)
  attachment.afterRegistering?.()
  return registration
}

/**
 * Ends a registration, if it still exists. If its descriptor was closed, and the number is another
 * registration's by now, that one is left alone.
 */
export const release = (attachment: Attachment, registration: Registration): void => {
  const { memory, dispatcher, selector } = attachment
  if (dispatcher.registrations.byId(registration.id) !== registration || memory.state !== State.Open) return
  selector.remove(registration.fd, registration.id)
  dispatcher.remove(registration)
  count(attachment)
}
