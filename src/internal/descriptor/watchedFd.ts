/**
 * One descriptor, its directions, and the attempts that are made on it. Those of whoever waits are made right where the
 * report arrives.
 */
import * as Effect from "effect/Effect"
import { isPollerError, type PollerError } from "../../PollerError.ts"
import type { Batch } from "../delivery/batch.ts"
import { State } from "../shared/pollerMemory.ts"
import { type Attempt, Direction, type Waiter } from "./direction.ts"
import type { Registration, Source } from "../delivery/registrations.ts"
import { fromErrno, notOpen } from "../errors/pollerErrors.ts"
import type { Attachment } from "../delivery/attachment.ts"
import * as Registering from "../delivery/registration.ts"
import { Interest, Readiness } from "../kernel/selector.ts"
import { Place, type ToFailure, Turn } from "./turn.ts"

const readBits = Readiness.Readable | Readiness.ReadClosed | Readiness.Error
const writeBits = Readiness.Writable | Readiness.WriteClosed | Readiness.Error
const priorityBits = Readiness.Priority | Readiness.Error
/** The attempt of who only wants to know. */
const toKnow = () => Effect.void

export class WatchedFd implements Source {
  readonly fd: number
  readonly attachment: Attachment
  readonly reading: Direction
  readonly writing = new Direction(Interest.Write)
  readonly priority = new Direction(Interest.Priority)
  /** Set once urgent data was reported: a read may stop short of it. */
  hadPriority = false
  /** What may be read before who waits for it is told: bytes of whoever waits to read. */
  ahead: { readonly readIn: (batch: Batch, wanted: number) => void } | undefined
  /** Why there is nothing more to wait for. */
  ended: PollerError | undefined
  #registration: Registration | undefined
  #interest = 0
  /** Told when there is nothing more to wait for; few ever are. */
  #onEnd: Set<(error: PollerError) => void> | undefined

  /** Asks for nothing yet: the kernel is told when somebody has to wait for the first time. */
  constructor(attachment: Attachment, fd: number, readInterest: number = Interest.Read) {
    this.attachment = attachment
    this.fd = fd
    this.reading = new Direction(readInterest)
  }

  get id(): number | undefined {
    return this.#registration?.id
  }

  /** Has the kernel report what is asked for, beside what it reports already. Answers why it cannot. */
  ask(interest: number): PollerError | undefined {
    const wanted = this.#interest | interest
    if (wanted === this.#interest) return undefined
    const { attachment } = this
    const refused = Registering.refusal(attachment, this.fd, wanted)
    if (refused !== undefined) return refused
    const { mailbox, selector } = attachment
    if (this.#registration === undefined) {
      this.#interest = wanted
      const registered = Registering.add(attachment, this.fd, wanted, this)
      if (isPollerError(registered)) {
        this.#interest = 0
        return registered
      }
      this.#registration = registered
      return undefined
    }
    const errno = selector.modify(this.fd, wanted, mailbox, this.#registration.id)
    if (errno !== 0) return fromErrno(selector.syscalls.modify, errno, this)
    this.#interest = wanted
    attachment.afterRegistering?.()
    return undefined
  }

  /** A report of this one is to be consumed soon, and those of others with it. */
  readIn(batch: Batch, bits: number): void {
    const { wanted } = this.reading
    if (wanted > 0 && (bits & ~Readiness.Writable) === Readiness.Readable) this.ahead?.readIn(batch, wanted)
  }

  consume(bits: number): boolean {
    const { priority, reading, writing } = this
    if (bits === Readiness.Readable) {
      reading.report(bits)
      reading.run()
      return true
    }
    if ((bits & readBits) !== 0) reading.report(bits)
    if ((bits & writeBits) !== 0) writing.report(bits)
    if ((bits & Readiness.Priority) !== 0) this.hadPriority = true
    if ((bits & priorityBits) !== 0) priority.report(bits)
    // Before those who read, for what those write may be put off until others have their turn.
    writing.run()
    reading.run()
    priority.run()
    return true
  }

  /** Whether an attempt may succeed, and nobody waits before. */
  mayTry(direction: Direction): boolean {
    return this.ended === undefined && direction.mayTry && direction.isFree
  }

  /** Makes an attempt if it may succeed and nobody waits before. */
  tryNow<A, E>(direction: Direction, attempt: Attempt<A, E>, toFailure: ToFailure<E>): Effect.Effect<A, E> | undefined {
    if (this.ended !== undefined) return toFailure(this.ended)
    if (!this.mayTry(direction)) return undefined
    const result = attempt()
    if (result === undefined) direction.forget()
    return result
  }

  /**
   * Makes an attempt at once if it may succeed and nobody waits before, and otherwise, or if it would block, again with
   * every report until it does not. Interrupted, it leaves nothing behind: an attempt is made only for who takes the
   * result. The effect may be run any number of times, if the attempt may be made as often. If it reads bytes, so many of them.
   */
  attempt<A>(direction: Direction, attempt: Attempt<A>, wants = 0): Effect.Effect<A, PollerError> {
    return this.attemptOrElse(direction, attempt, Effect.fail, wants)
  }

  /** As `attempt`, with another error for when there is nothing to wait for any more. */
  attemptOrElse<A, E>(
    direction: Direction,
    attempt: Attempt<A, E>,
    toFailure: ToFailure<E>,
    wants: number
  ): Effect.Effect<A, E> {
    // Most of the time one fiber at most runs it.
    const usual = new Turn(this, direction, attempt, toFailure, wants)
    return Effect.callback((resume) => {
      const result = this.tryNow(direction, attempt, toFailure)
      if (result !== undefined) return resume(result)
      return (usual.isIdle ? usual : new Turn(this, direction, attempt, toFailure, wants)).begin(resume)
    })
  }

  /**
   * As `attempt`, made once: between its parts, if it does a part before it would block, nobody comes in. With `goesOn` an
   * interruption ends only the waiting, and that is told.
   */
  attemptInOnePiece<A>(
    direction: Direction,
    attempt: Attempt<A>,
    goesOn: (() => void) | undefined
  ): Effect.Effect<A, PollerError> {
    // All of it where the fiber is, for one that is interrupted on the way here would leave its place behind.
    return Effect.callback((resume) => {
      const result = this.tryNow(direction, attempt, Effect.fail)
      if (result !== undefined) return resume(result)
      const place = new Place(this, direction, attempt)
      this.enter(direction, place)
      place.meet(resume)
      return goesOn === undefined ? place : Effect.sync(goesOn)
    })
  }

  /**
   * Goes on with an attempt that was begun, right now, and so with its turn from then on, even where the fiber is made to yield
   * before it comes to wait. Should it be interrupted just then, it goes on by itself: of what it uses, nothing is the fiber's.
   */
  goOnInOnePiece<A>(
    direction: Direction,
    attempt: Attempt<A>,
    goesOn: (() => void) | undefined
  ): Effect.Effect<A, PollerError> {
    const result = this.tryNow(direction, attempt, Effect.fail)
    if (result !== undefined) return result
    const place = new Place(this, direction, attempt)
    this.enter(direction, place)
    return Effect.callback((resume) => {
      place.meet(resume)
      return goesOn === undefined ? place : Effect.sync(goesOn)
    })
  }

  /** Returns once readiness is known; also at once, if it was reported before and no attempt has shown that it is over. */
  whenReady(direction: Direction): Effect.Effect<void, PollerError> {
    if (this.ended !== undefined) return Effect.fail(this.ended)
    if (direction.isReady) return Effect.void
    return Effect.callback((resume) => {
      const turn = new Turn<void, PollerError>(this, direction, toKnow, Effect.fail, 0)
      turn.begin(resume)
      return turn.leavingOf(resume)
    })
  }

  /** For who waits for something else meanwhile: fails once nothing more is reported, and never returns. */
  get ending(): Effect.Effect<never, PollerError> {
    return Effect.callback((resume) => {
      // Only what is registered is told; why it cannot be, whoever waits for a report is told.
      this.ask(this.reading.interest)
      const { memory } = this.attachment
      const ended = this.ended ?? (memory.state === State.Open ? undefined : notOpen(memory))
      if (ended !== undefined) return resume(Effect.fail(ended))
      const onEnd = (error: PollerError) => resume(Effect.fail(error))
      this.#onEnd ??= new Set()
      this.#onEnd.add(onEnd)
      return Effect.sync(() => this.#onEnd?.delete(onEnd))
    })
  }

  /** Joins the line, and asks for reports. */
  enter(direction: Direction, waiter: Waiter): void {
    this.hold(direction, waiter)
    this.awaitReport(direction, waiter)
  }

  /** Joins the line, and does not need a report to leave it. */
  hold(direction: Direction, waiter: Waiter): void {
    direction.enter(waiter)
    this.attachment.dispatcher.waiters++
  }

  /** Asks for reports, for who is in the line. */
  awaitReport(direction: Direction, waiter: Waiter): void {
    const refused = this.ended ?? this.ask(direction.interest)
    if (refused !== undefined) return waiter.fail(refused)
    // The fiber may have been made to yield before it came here, and that was reported meanwhile.
    direction.run()
    this.attachment.dispatcher.onWait?.()
  }

  leave(direction: Direction, waiter: Waiter): void {
    if (direction.leave(waiter)) this.attachment.dispatcher.waiters--
  }

  /** Nothing more is reported: whoever waits is told. */
  readonly end = (error: PollerError): void => {
    this.ended ??= error
    for (const direction of [this.reading, this.writing, this.priority]) direction.fail(this.ended)
    const onEnd = this.#onEnd
    this.#onEnd = undefined
    for (const tell of onEnd ?? []) tell(this.ended)
  }

  /** Nothing more is tried, nor reported; to be called before the descriptor is closed. `end` tells. */
  readonly release = (error: PollerError): void => {
    this.ended ??= error
    if (this.#registration !== undefined) Registering.release(this.attachment, this.#registration)
  }
}
