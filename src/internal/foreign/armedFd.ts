/**
 * One descriptor's number on this thread, armed while something waits for it: a oneshot
 * registration, which the next wait arms anew. Arming reports present readiness, so waits are
 * level-triggered, and between them the kernel reports nothing.
 */
import { constants } from "node:os"
import { isPollerError, type PollerError } from "../../PollerError.ts"
import type { Attachment } from "../delivery/attachment.ts"
import * as Registering from "../delivery/registration.ts"
import type { Registration, Source } from "../delivery/registrations.ts"
import { fromErrno } from "../errors/pollerErrors.ts"
import { Interest } from "../kernel/selector.ts"
import { eventOf } from "./readyFd.ts"

/** What waits for a descriptor, perhaps together with others. */
export interface Waiting {
  /** Called when the descriptor has become ready, with the readiness that was reported. */
  readonly report: (bits: number) => void
  readonly fail: (error: PollerError) => void
}

export class ArmedFd implements Source {
  readonly fd: number
  readonly #attachment: Attachment
  /** What waits, with its interest, in the order of its arrival. */
  readonly #waiting = new Map<Waiting, number>()
  /** What the kernel will report once. */
  #armed = 0
  /** How many hold this descriptor's registration, whether they wait or not. */
  holders = 0

  constructor(attachment: Attachment, fd: number) {
    this.#attachment = attachment
    this.fd = fd
  }

  get isUnused(): boolean {
    return this.holders === 0 && this.#waiting.size === 0
  }

  /**
   * Adds something that waits, and arms the descriptor. If that cannot be done, nothing that waits
   * for the descriptor would be called any more, so all of it fails.
   */
  enter(waiting: Waiting, interest: number): PollerError | undefined {
    this.#waiting.set(waiting, interest)
    const error = this.#arm()
    if (error === undefined) return undefined
    this.#waiting.delete(waiting)
    this.end(error)
    return error
  }

  /** The descriptor stays armed: a report that nothing waits for does no harm. */
  leave(waiting: Waiting): void {
    this.#waiting.delete(waiting)
  }

  get #wanted(): number {
    let wanted = 0
    for (const interest of this.#waiting.values()) wanted |= interest
    return wanted
  }

  /** This thread may have registered the number in another way since. */
  get #registration(): Registration | undefined {
    const registration = this.#attachment.dispatcher.registrations.byFd(this.fd)
    return registration?.source === this ? registration : undefined
  }

  /**
   * Arms the descriptor that has this number now. The former one may have been closed without a
   * word, and its number reused: there is then no registration to change, or it is another one.
   */
  #arm(): PollerError | undefined {
    const attachment = this.#attachment
    const { dispatcher, mailbox, selector } = attachment
    const wanted = this.#wanted
    // Before the kernel is asked, because `TestPoller` reports within the call.
    this.#armed = wanted
    const registration = this.#registration
    if (registration !== undefined) {
      const errno = selector.modify(this.fd, wanted | Interest.Oneshot, mailbox, registration.id)
      if (errno === 0) {
        attachment.afterRegistering?.()
        return undefined
      }
      dispatcher.remove(registration)
      Registering.count(attachment)
      if (errno > 0 && errno !== constants.errno.ENOENT) return fromErrno(selector.syscalls.modify, errno, this)
    }
    const registered = Registering.add(attachment, this.fd, wanted | Interest.Oneshot, this)
    return isPollerError(registered) ? registered : undefined
  }

  consume(bits: number): boolean {
    this.#armed = 0
    const [first] = this.#waiting
    if (this.#waiting.size === 1) {
      if (eventOf(first![1], bits) !== undefined) first![0].report(bits)
    } else {
      for (const [waiting, interest] of Array.from(this.#waiting)) {
        if (this.#waiting.has(waiting) && eventOf(interest, bits) !== undefined) waiting.report(bits)
      }
    }
    // What was resumed may have armed it for the others as well.
    if ((this.#wanted & ~this.#armed) !== 0) {
      const error = this.#arm()
      if (error !== undefined) this.end(error)
    }
    return true
  }

  /** Called when nothing more will be reported. */
  readonly end = (error: PollerError): void => {
    for (const waiting of Array.from(this.#waiting.keys())) waiting.fail(error)
  }

  /** Ends the registration, if there is one. */
  release(): void {
    const registration = this.#registration
    if (registration !== undefined) Registering.release(this.#attachment, registration)
  }
}
