/** The Registrar service: one kernel call on the calling thread for each operation. */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Event } from "../Event.ts"
import type { PollerError } from "../PollerError.ts"
import type { FdLike, RegisterOptions, Registrar } from "../Registrar.ts"
import { State } from "./control.ts"
import { toMillis } from "./duration.ts"
import { fromErrno, fromThrown, invalidArgument, notOpen, notRegistered } from "./failure.ts"
import type { Attachment } from "./polling/attachment.ts"
import { Interest } from "./selector/selector.ts"
import * as UserEvent from "./userEvent.ts"

export const make = (attachment: Attachment): Registrar["Service"] => {
  const { control, dispatcher, mailbox, origin, selector } = attachment
  const own = new Set([selector.handle.fd, selector.handle.wake, origin.fd, origin.wake])

  const count = () => control.noteRegistrations(mailbox, dispatcher.registrations)

  /** Why the arguments cannot be used, or the poller cannot be. */
  const check = (fd: number, interest: number): PollerError | undefined => {
    if (control.state !== State.Open) return notOpen(control)
    if (!Number.isInteger(fd) || fd !== (fd | 0)) {
      return invalidArgument(`${String(fd)} is no descriptor: give a whole number, or an object whose fd is one`)
    }
    if (fd >= 0 && own.has(fd)) {
      return invalidArgument("this descriptor belongs to the poller itself: give one of your own", fd)
    }
    return interest < 0 ? invalidArgument(interestErrors[interest as InterestError]) : undefined
  }

  const registerNow = (fdLike: FdLike, event: Event, options?: RegisterOptions): Exit.Exit<number, PollerError> => {
    const fd = toFd(fdLike)
    const interest = toInterest(event, options)
    const refusal = check(fd, interest)
    if (refusal !== undefined) return Exit.fail(refusal)
    const id = control.takeId()
    const errno = selector.add(fd, interest, mailbox, id)
    if (errno !== 0) {
      control.returnId(id)
      return Exit.fail(fromErrno(selector.syscalls.add, errno, fd))
    }
    dispatcher.add(id, fd, (interest & Interest.Exclusive) !== 0)
    count()
    return Exit.succeed(id)
  }

  const reregisterNow = (
    id: number,
    fdLike: FdLike,
    event: Event,
    options?: RegisterOptions
  ): Exit.Exit<void, PollerError> => {
    const fd = toFd(fdLike)
    const interest = toInterest(event, options)
    const refusal = check(fd, interest)
    if (refusal !== undefined) return Exit.fail(refusal)
    if (!control.wasIssued(id)) {
      return Exit.fail(notRegistered(`${String(id)} was never a registration: give the id that register answered`, fd))
    }
    const known = dispatcher.byFd(fd)
    const elsewhere = dispatcher.byId(id)
    // A number that this thread knows under another id may have been closed, and registered anew by another thread.
    const isOther = known !== undefined && known.id !== id && !(selector.isRegisteredAs(fd, id) ?? known.id < id)
    if ((elsewhere !== undefined && elsewhere !== known) || isOther) {
      return Exit.fail(notRegistered(`this descriptor is not registered as ${id}: give the id that it has`, fd))
    }
    const exclusive = (interest & Interest.Exclusive) !== 0
    if (exclusive || (known?.id === id && known.exclusive)) {
      return Exit.fail(
        invalidArgument(
          "an exclusive registration cannot be changed, nor another one become exclusive: deregister and register it",
          fd
        )
      )
    }
    const errno = selector.modify(fd, interest, mailbox, id)
    if (errno !== 0) return Exit.fail(fromErrno(selector.syscalls.modify, errno, fd))
    if (known?.id !== id) {
      dispatcher.add(id, fd, false)
      count()
    }
    return Exit.void
  }

  const deregisterNow = (fdLike: FdLike): Exit.Exit<void, PollerError> => {
    const fd = toFd(fdLike)
    const refusal = check(fd, 0)
    if (refusal !== undefined) return Exit.fail(refusal)
    const errno = selector.remove(fd)
    if (errno !== 0) return Exit.fail(fromErrno(selector.syscalls.remove, errno, fd))
    const known = dispatcher.byFd(fd)
    if (known !== undefined) dispatcher.remove(known)
    count()
    return Exit.void
  }

  /** Ends a registration if it is still there; its descriptor may be closed by now, or be another one's. */
  const release = (id: number): void => {
    const known = dispatcher.byId(id)
    if (known === undefined || control.state !== State.Open) return
    selector.remove(known.fd)
    dispatcher.remove(known)
    count()
  }

  const startTimer = (duration: Duration.Input, repeat: boolean): Exit.Exit<number, PollerError> => {
    if (control.state !== State.Open) return Exit.fail(notOpen(control))
    const millis = toMillis(duration)
    if (millis === undefined || (repeat && millis === 0)) {
      return Exit.fail(
        invalidArgument(
          repeat
            ? `the period ${String(duration)} is none: give a duration above zero`
            : `the time ${String(duration)} is no duration: give one of zero or more`
        )
      )
    }
    try {
      const timers = dispatcher.timers(() => attachment.openAlarm())
      const id = control.takeId()
      dispatcher.addSource(id, undefined)
      timers.add(id, repeat ? Math.max(millis, shortestPeriod) : millis, repeat)
      return Exit.succeed(id)
    } catch (thrown) {
      return Exit.fail(fromThrown(thrown))
    }
  }

  const cancelNow = (id: number): Exit.Exit<void, PollerError> => {
    if (control.state !== State.Open) return Exit.fail(notOpen(control))
    if (dispatcher.cancelTimer(id)) return Exit.void
    return Exit.fail(notRegistered(`this thread has no timer ${String(id)}, or it is finished`))
  }

  const register: Registrar["Service"]["register"] = (fd, event, options) =>
    Effect.suspend(() => registerNow(fd, event, options))

  return {
    register,
    registerScoped: (fd, event, options) =>
      Effect.acquireRelease(register(fd, event, options), (id) => Effect.sync(() => release(id))),
    reregister: (id, fd, event, options) => Effect.suspend(() => reregisterNow(id, fd, event, options)),
    deregister: (fd) => Effect.suspend(() => deregisterNow(fd)),
    setTimeout: (duration) => Effect.suspend(() => startTimer(duration, false)),
    setInterval: (duration) => Effect.suspend(() => startTimer(duration, true)),
    cancelTimeout: (id) => Effect.suspend(() => cancelNow(id)),
    userEvent: UserEvent.open(attachment)
  }
}

/** Milliseconds: a thread that is woken more often than this does nothing else. */
const shortestPeriod = 1

const toFd = (fd: FdLike): number => (typeof fd === "number" ? fd : ((fd as { readonly fd: number } | null)?.fd ?? NaN))

type InterestError = keyof typeof interestErrors

const interestErrors = {
  [-1]: 'the event to watch for is "Read", "Write" or "Both"',
  [-2]: 'the mode of a registration is "edge" or "oneshot"',
  [-3]: "exclusive goes with neither oneshot nor priority: the kernel has no such registration"
} as const

/** The interest as bits, or what is wrong with it as a negative number. */
const toInterest = (event: Event, options: RegisterOptions | undefined): number => {
  let interest: number
  if (event === "Read") interest = Interest.Read
  else if (event === "Write") interest = Interest.Write
  else if (event === "Both") interest = Interest.Read | Interest.Write
  else return -1
  // Null comes from programs that are not type-checked.
  if (options === undefined || options === null) return interest
  if (options.mode === "oneshot") interest |= Interest.Oneshot
  else if (options.mode !== undefined && options.mode !== "edge") return -2
  if (options.priority === true) interest |= Interest.Priority
  if (options.exclusive === true) {
    if ((interest & (Interest.Oneshot | Interest.Priority)) !== 0) return -3
    interest |= Interest.Exclusive
  }
  return interest
}
