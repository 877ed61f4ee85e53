/** The Registrar service: one kernel call on the calling thread for each operation. */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Event } from "../../Event.ts"
import { isPollerError, type PollerError } from "../../PollerError.ts"
import type { FdLike, RegisterOptions, Registrar, RegistrationId } from "../../Registrar.ts"
import { State } from "../shared/pollerMemory.ts"
import { descriptorError, readArgument, textOf } from "../errors/arguments.ts"
import { otherCopy, version, versionKey } from "../errors/copies.ts"
import { toMillis } from "../errors/timeout.ts"
import { fromThrown, invalidArgument, notOpen, notRegistered } from "../errors/pollerErrors.ts"
import { interestError, toInterest } from "./interest.ts"
import { add, count, expectedFd, failureOf, loseIfOver, ofLibrary, refusal, release } from "./registration.ts"
import type { Registration, Source } from "./registrations.ts"
import { watch } from "./watch.ts"
import type { Attachment } from "./attachment.ts"
import { Refused } from "../kernel/owners.ts"
import { Interest } from "../kernel/selector.ts"
import * as UserEvent from "./userEvent.ts"

export const make = (attachment: Attachment): Registrar["Service"] => {
  const { memory, dispatcher, mailbox, selector } = attachment

  /** Returns why the poller or the arguments cannot be used. */
  const check = (fd: number | PollerError, interest: number | PollerError): PollerError | undefined => {
    if (memory.state !== State.Open) return notOpen(memory)
    if (typeof fd !== "number") return fd
    if (typeof interest !== "number") return interest
    return refusal(attachment, fd, interest) ?? (interest < 0 ? interestError(interest) : undefined)
  }

  const registerWith = (
    source: Source | undefined,
    fdLike: FdLike,
    event: Event,
    options: RegisterOptions | undefined
  ): Registration | PollerError => {
    const fd = toFd(fdLike)
    const interest = toInterest(event, options)
    // Without an error both are numbers.
    return check(fd, interest) ?? add(attachment, fd as number, interest as number, source)
  }

  const registerNow = (fd: FdLike, event: Event, options?: RegisterOptions): Exit.Exit<RegistrationId, PollerError> => {
    const registered = registerWith(undefined, fd, event, options)
    return isPollerError(registered) ? Exit.fail(registered) : Exit.succeed(registered.id)
  }

  const reregisterNow = (
    fdLike: FdLike,
    id: RegistrationId,
    event: Event,
    options?: RegisterOptions
  ): Exit.Exit<void, PollerError> => {
    const given = toFd(fdLike)
    const asked = toInterest(event, options)
    const refused = check(given, asked)
    if (refused !== undefined) return Exit.fail(refused)
    const [fd, interest] = [given as number, asked as number]
    if (!memory.wasIssued(id)) {
      return Exit.fail(
        notRegistered(`${textOf(id)} is not a registration of this poller: pass the id that register returned`, fd)
      )
    }
    const known = dispatcher.registrations.byFd(fd)
    const elsewhere = dispatcher.registrations.byId(id)
    if (elsewhere !== undefined && elsewhere !== known) {
      return Exit.fail(selector.isOwn(fd) ? ofLibrary(fd) : notRegisteredAs(fd, id))
    }
    const exclusive = (interest & Interest.Exclusive) !== 0
    if (exclusive || (known?.id === id && known.exclusive)) {
      return Exit.fail(
        invalidArgument(
          "an exclusive registration cannot be changed, and no other can become exclusive: deregister it, then register it",
          fd
        )
      )
    }
    const errno = selector.modify(fd, interest, mailbox, id)
    if (errno !== 0) {
      const error =
        errno === Refused.Another ? notRegisteredAs(fd, id) : failureOf(selector.syscalls.modify, errno, { fd })
      loseIfOver(attachment, elsewhere, errno, error)
      return Exit.fail(error)
    }
    if (known?.id !== id) {
      dispatcher.add(id, fd, false)
      count(attachment)
    }
    attachment.afterRegistering?.()
    return Exit.void
  }

  const deregisterNow = (fdLike: FdLike): Exit.Exit<void, PollerError> => {
    const given = toFd(fdLike)
    const refused = check(given, 0)
    if (refused !== undefined) return Exit.fail(refused)
    const fd = given as number
    // What this thread has registered, or else what another thread has.
    const known = dispatcher.registrations.byFd(fd)
    const errno = selector.remove(fd, known?.id)
    if (errno !== 0) {
      const error = failureOf(selector.syscalls.remove, errno, { fd })
      loseIfOver(attachment, known, errno, error)
      return Exit.fail(error)
    }
    if (known !== undefined) {
      dispatcher.remove(known)
      known.source?.end?.(notRegistered("this descriptor was deregistered while a fiber waited for it", fd))
    }
    count(attachment)
    return Exit.void
  }

  const startTimer = (duration: Duration.Input, repeat: boolean): Exit.Exit<RegistrationId, PollerError> => {
    if (memory.state !== State.Open) return Exit.fail(notOpen(memory))
    const millis = toMillis(duration)
    if (millis === undefined || (repeat && millis === 0)) {
      return Exit.fail(
        invalidArgument(
          repeat
            ? `invalid period ${textOf(duration)}: expected a duration above zero`
            : `invalid duration ${textOf(duration)}: expected zero or more`
        )
      )
    }
    try {
      const timers = dispatcher.timers(() => attachment.openAlarm())
      const id = memory.takeId()
      const registration = dispatcher.addSource(id, undefined)
      try {
        timers.add(id, repeat ? Math.max(millis, shortestPeriod) : millis, repeat)
      } catch (thrown) {
        dispatcher.remove(registration)
        memory.returnId(id)
        throw thrown
      }
      return Exit.succeed(id as RegistrationId)
    } catch (thrown) {
      return Exit.fail(fromThrown(thrown))
    }
  }

  const cancelNow = (id: RegistrationId): Exit.Exit<void, PollerError> => {
    if (memory.state !== State.Open) return Exit.fail(notOpen(memory))
    if (dispatcher.cancelTimer(id)) return Exit.void
    return Exit.fail(notRegistered(`this thread has no timer ${textOf(id)}, or it has finished`))
  }

  const register: Registrar["Service"]["register"] = (fd, event, options) =>
    Effect.suspend(() => registerNow(fd, event, options))

  const service: Registrar["Service"] = {
    register,
    registerScoped: (fd, event, options) =>
      Effect.acquireRelease(register(fd, event, options), (id) =>
        Effect.sync(() => {
          const known = dispatcher.registrations.byId(id)
          if (known !== undefined) release(attachment, known)
        })
      ),
    reregister: (fd, id, event, options) => Effect.suspend(() => reregisterNow(fd, id, event, options)),
    deregister: (fd) => Effect.suspend(() => deregisterNow(fd)),
    watch: (fd, event, options) => watch(attachment, (source) => registerWith(source, fd, event, options)),
    timeout: (duration) => Effect.suspend(() => startTimer(duration, false)),
    interval: (duration) => Effect.suspend(() => startTimer(duration, true)),
    cancelTimer: (id) => Effect.suspend(() => cancelNow(id)),
    userEvent: UserEvent.open(attachment)
  }
  Object.defineProperty(service, versionKey, { value: version })
  attachments.set(service, attachment)
  return service
}

const notRegisteredAs = (fd: number, id: number): PollerError =>
  notRegistered(`this descriptor is not registered as ${id}: pass the id that register returned for it`, fd)

/** The attachment behind each service. */
const attachments = new WeakMap<Registrar["Service"], Attachment>()

/**
 * Returns the attachment of a service, for operations that the service does not offer, such as
 * waits for one descriptor.
 */
export const attachmentOf = (service: Registrar["Service"]): Effect.Effect<Attachment, PollerError> => {
  const attachment = attachments.get(service)
  return attachment === undefined
    ? Effect.fail(
        otherCopy("Registrar", service) ??
          invalidArgument("this Registrar was not created by effect-amy: provide a layer of Poller")
      )
    : Effect.succeed(attachment)
}

/** Milliseconds. A thread that is woken more often than this does nothing else. */
const shortestPeriod = 1

/**
 * Returns the descriptor's number, or NaN if there is none. Returns the error if it cannot be read.
 */
export const toFd = (fd: FdLike): number | PollerError => {
  if (typeof fd === "number") return fd
  const number = readArgument("the descriptor", () => (fd as { readonly fd: number } | null)?.fd ?? NaN)
  // Whatever else it is, it is no descriptor, and the message shows what it is.
  return typeof number === "number" || isPollerError(number) ? number : (descriptorError(number, expectedFd) ?? NaN)
}
