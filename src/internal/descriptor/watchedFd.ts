/**
 * One descriptor, its directions, and the attempts that are made on it. The attempt of a fiber that
 * waits is made right where the report arrives.
 */
import { resumeFiber } from "../objects/resumeFiber.ts"
import * as Effect from "effect/Effect"
import { isPollerError, type PollerError } from "../../PollerError.ts"
import type { Batch } from "../delivery/batch.ts"
import { State } from "../shared/pollerMemory.ts"
import { type Attempt, Direction, RearmedDirection, type Waiter } from "./direction.ts"
import type { Registration, Source } from "../delivery/registrations.ts"
import { notOpen } from "../errors/pollerErrors.ts"
import type { Attachment } from "../delivery/attachment.ts"
import * as Registering from "../delivery/registration.ts"
import { Interest, Readiness } from "../kernel/selector.ts"
import { queueMicrotask } from "../libc/realTime.ts"
import { Place } from "./place.ts"
import { AttemptTurn, ReadyTurn } from "./turn.ts"
import type { ToFailure } from "./waitedFd.ts"

const readBits = Readiness.Readable | Readiness.ReadClosed | Readiness.Error
const writeBits = Readiness.Writable | Readiness.WriteClosed | Readiness.Error
const priorityBits = Readiness.Priority | Readiness.Error

const directionOf = ({ selector }: Attachment, fd: number, interest: number): Direction => {
  const { rearm } = selector
  return rearm === undefined ? new Direction(interest) : new RearmedDirection(interest, (over) => rearm(fd, over))
}

/** Callbacks run when the descriptor or poller closes. Few descriptors have any. */
const ending = new WeakMap<WatchedFd, Set<(error: PollerError) => void>>()

/** A bit that is no interest. */
const hadPriority = 1 << 16

export class WatchedFd implements Source {
  readonly fd: number
  readonly attachment: Attachment
  readonly reading: Direction
  #writing: Direction | undefined
  #priority: Direction | undefined
  /** Reads bytes before the fiber that waits for them is resumed, if anything does. */
  ahead: { readonly readIn: (batch: Batch, wanted: number) => void } | undefined
  /** The reason why there is nothing more to wait for. */
  ended: PollerError | undefined
  /** The socket of this descriptor, if it is one of this library. Errors name its address. */
  named: { readonly addressText: string | undefined } | undefined
  #registration: Registration | undefined
  /** What the kernel was asked to report, and `hadPriority`. */
  #asked = 0

  /** Asks the kernel for nothing yet: that is done when a fiber has to wait for the first time. */
  constructor(attachment: Attachment, fd: number, readInterest: number = Interest.Read) {
    this.attachment = attachment
    this.fd = fd
    this.reading = directionOf(attachment, fd, readInterest)
  }

  /** Made when it is first used, as a connection that only reads has no use for it. */
  get writing(): Direction {
    return (this.#writing ??= directionOf(this.attachment, this.fd, Interest.Write))
  }

  get priority(): Direction {
    return (this.#priority ??= directionOf(this.attachment, this.fd, Interest.Priority))
  }

  /** Whether urgent data was reported: a read may stop short of it. */
  get hadPriority(): boolean {
    return (this.#asked & hadPriority) !== 0
  }

  get id(): number | undefined {
    return this.#registration?.id
  }

  /** The address that an error names. It is looked up only when there is an error. */
  get address(): string | undefined {
    return this.named?.addressText
  }

  /** Asks the kernel to report this as well. Returns the error if it cannot. */
  ask(interest: number): PollerError | undefined {
    const asked = this.#asked & ~hadPriority
    const wanted = asked | interest
    if (wanted === asked) return undefined
    const { attachment } = this
    const refused = Registering.refusal(attachment, this.fd, wanted)
    if (refused !== undefined) return refused
    const { mailbox, selector } = attachment
    if (this.#registration === undefined) {
      this.#asked |= wanted
      const registered = Registering.add(attachment, this.fd, wanted, this)
      if (isPollerError(registered)) {
        this.#asked &= hadPriority
        return registered
      }
      this.#registration = registered
      return undefined
    }
    const errno = selector.modify(this.fd, wanted, mailbox, this.#registration.id)
    if (errno !== 0) {
      const error = Registering.failureOf(selector.syscalls.modify, errno, this)
      // Not here, because the caller may be about to fail one of the fibers that this fails.
      queueMicrotask(() => Registering.loseIfOver(attachment, this.#registration, errno, error))
      return error
    }
    this.#asked |= wanted
    attachment.afterRegistering?.()
    return undefined
  }

  /**
   * Queues a read with those of other descriptors, if the next report will resume a fiber that
   * reads.
   */
  readIn(batch: Batch, bits: number): void {
    const { wanted } = this.reading
    if (wanted > 0 && (bits & ~Readiness.Writable) === Readiness.Readable) this.ahead?.readIn(batch, wanted)
  }

  consume(bits: number): boolean {
    const { reading } = this
    if (bits === Readiness.Readable) {
      reading.report(bits)
      reading.run()
      return true
    }
    if ((bits & readBits) !== 0) reading.report(bits)
    if ((bits & writeBits) !== 0) this.writing.report(bits)
    if ((bits & Readiness.Priority) !== 0) this.#asked |= hadPriority
    if ((bits & priorityBits) !== 0) this.priority.report(bits)
    // Before the fibers that read, because what those write may wait until others have had their
    // turn.
    this.#writing?.run()
    reading.run()
    this.#priority?.run()
    return true
  }

  /** Returns whether an attempt may succeed, and no fiber waits in the line. */
  mayTry(direction: Direction): boolean {
    return this.ended === undefined && direction.mayTry && direction.isFree
  }

  /** Makes an attempt if it may succeed and no fiber waits in the line. */
  tryNow<A, E>(direction: Direction, attempt: Attempt<A, E>, toFailure: ToFailure<E>): Effect.Effect<A, E> | undefined {
    if (this.ended !== undefined) return toFailure(this.ended)
    if (!this.mayTry(direction)) return undefined
    const result = attempt()
    if (result === undefined) direction.forget()
    return result
  }

  /**
   * Makes one attempt, for a caller that does not wait. Returns `undefined` if the attempt would
   * block, if a fiber waits in the line, or if no readiness was reported since it was over. Where
   * the kernel reports nothing, because it was never asked to, only an attempt can tell.
   */
  attemptOnce<A>(direction: Direction, attempt: Attempt<A>): Effect.Effect<A, PollerError> | undefined {
    if (this.ended !== undefined) return Effect.fail(this.ended)
    if (!direction.isFree || !(direction.mayTry || (this.#asked & direction.interest) === 0)) return undefined
    const result = attempt()
    if (result === undefined) direction.forget()
    return result
  }

  /**
   * Makes an attempt at once if it may succeed and no fiber waits in the line. If not, or if it
   * would block, makes it again with every report until it does not.
   *
   * An interruption leaves nothing behind: an attempt is made only when its fiber takes the result.
   * The effect may be run as often as the attempt may be made. `wants` is how many bytes it reads.
   */
  attempt<A>(direction: Direction, attempt: Attempt<A>, wants = 0): Effect.Effect<A, PollerError> {
    return this.attemptOrElse(direction, attempt, Effect.fail, wants)
  }

  /** As `attempt`, with an error of the caller's for when there is nothing to wait for any more. */
  attemptOrElse<A, E>(
    direction: Direction,
    attempt: Attempt<A, E>,
    toFailure: ToFailure<E>,
    wants: number
  ): Effect.Effect<A, E> {
    return new AttemptTurn(this, direction, attempt, toFailure, wants)
  }

  /**
   * As `attempt`, but in one piece: while an attempt that has done a part waits for the next
   * report, no other fiber comes in between. The attempt is for a single run.
   */
  attemptInOnePiece<A>(direction: Direction, attempt: Attempt<A>): Effect.Effect<A, PollerError> {
    // Nothing is done before the fiber is here: if it was interrupted on the way, it would leave
    // its place behind.
    return Effect.callback((resume) => {
      const result = this.tryNow(direction, attempt, Effect.fail)
      if (result !== undefined) return resume(result)
      const place = new Place(this, direction, attempt, resume)
      this.enter(direction, place)
      return place
    })
  }

  /**
   * Returns once readiness is reported, or at once if it was and no attempt has shown that it is
   * over.
   */
  whenReady(direction: Direction): Effect.Effect<void, PollerError> {
    return new ReadyTurn(this, direction)
  }

  /**
   * Fails once nothing more is reported, and never returns: for a fiber that waits for something
   * else.
   */
  get ending(): Effect.Effect<never, PollerError> {
    return Effect.callback((resume) => {
      // The end is reported to registered descriptors only. If this one cannot be registered, the
      // next wait for readiness fails with the reason.
      this.ask(this.reading.interest)
      const { memory } = this.attachment
      const ended = this.ended ?? (memory.state === State.Open ? undefined : notOpen(memory))
      if (ended !== undefined) return resume(Effect.fail(ended))
      const onEnd = (error: PollerError) => resumeFiber(resume, Effect.fail(error))
      const callbacks = ending.get(this) ?? new Set()
      ending.set(this, callbacks.add(onEnd))
      return Effect.sync(() => callbacks.delete(onEnd))
    })
  }

  /** Joins the line, and asks for reports. */
  enter(direction: Direction, waiter: Waiter): void {
    this.hold(direction, waiter)
    this.awaitReport(direction, waiter)
  }

  /** Joins the line without asking for reports: something else ends the wait. */
  hold(direction: Direction, waiter: Waiter): void {
    direction.enter(waiter)
    this.attachment.dispatcher.waiters++
  }

  /** Asks for reports, for a waiter that is in the line. */
  awaitReport(direction: Direction, waiter: Waiter): void {
    const refused = this.ended ?? this.ask(direction.interest)
    if (refused !== undefined) return waiter.fail(refused)
    // The fiber may have yielded before it came here, and readiness may have been reported
    // meanwhile.
    direction.run()
    this.attachment.dispatcher.onWait?.()
  }

  leave(direction: Direction, waiter: Waiter): void {
    if (direction.leave(waiter)) this.attachment.dispatcher.waiters--
  }

  /** Called when nothing more is reported: fails the fibers that wait. */
  end(error: PollerError): void {
    this.ended ??= error
    this.reading.fail(this.ended)
    this.#writing?.fail(this.ended)
    this.#priority?.fail(this.ended)
    const callbacks = ending.get(this)
    if (callbacks === undefined) return
    ending.delete(this)
    for (const callback of callbacks) callback(this.ended)
  }

  /**
   * Stops attempts and reports, before the descriptor is closed. `end` then fails the fibers that
   * wait.
   */
  release(error: PollerError): void {
    this.ended ??= error
    if (this.#registration !== undefined) Registering.release(this.attachment, this.#registration)
  }
}
