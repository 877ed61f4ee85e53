/**
 * One descriptor's readiness, as far as this thread knows of it, and who waits for it.
 *
 * What was reported is remembered until an attempt shows that it is over: an edge is reported once, so nothing else may
 * forget it. Whoever waits is served in turn, and the attempt of the first is made right where the report arrives.
 */
import * as Effect from "effect/Effect"
import { isPollerError, type PollerError } from "../PollerError.ts"
import { State } from "./control.ts"
import type { Registration, Source } from "./dispatcher.ts"
import { fromErrno, notOpen } from "./failure.ts"
import type { Attachment } from "./polling/attachment.ts"
import * as Registering from "./registering.ts"
import { Interest, Readiness } from "./selector/selector.ts"

const readBits = Readiness.Readable | Readiness.ReadClosed | Readiness.Error
const writeBits = Readiness.Writable | Readiness.WriteClosed | Readiness.Error
const priorityBits = Readiness.Priority | Readiness.Error
const finalBits = Readiness.ReadClosed | Readiness.WriteClosed | Readiness.Error

/** Makes an attempt; `undefined` is what would block. */
export type Attempt<A> = () => Effect.Effect<A, PollerError> | undefined

/** A fiber that waits, with the attempt to make for it, or none if it only wants to know. */
class Waiter<A> {
  readonly #io: Io
  readonly #direction: Direction
  readonly #attempt: Attempt<A> | undefined
  readonly #resume: (result: Effect.Effect<A, PollerError>) => void

  constructor(
    io: Io,
    direction: Direction,
    attempt: Attempt<A> | undefined,
    resume: (result: Effect.Effect<A, PollerError>) => void
  ) {
    this.#io = io
    this.#direction = direction
    this.#attempt = attempt
    this.#resume = resume
  }

  /** Told of readiness. Answers whether it has got what it waited for. */
  wake(): boolean {
    const result = this.#attempt === undefined ? (Effect.void as Effect.Effect<A>) : this.#attempt()
    if (result === undefined) {
      this.#direction.forget()
      return false
    }
    // First, for whoever is served may come back at once.
    this.leave()
    this.#resume(result)
    return true
  }

  fail(error: PollerError): void {
    this.leave()
    this.#resume(Effect.fail(error))
  }

  leave(): void {
    if (this.#direction.leave(this)) this.#io.attachment.dispatcher.waiters--
  }
}

/** Reading, writing, or exceptional conditions: each is ready, and waited for, independently of the others. */
export class Direction {
  readonly interest: number
  /** Whether an attempt may succeed: it was reported, or nobody has tried yet. */
  mayTry = true
  /** Whether readiness was reported, and no attempt has shown since that it is over. */
  isReady = false
  /** An end or an error was reported: a short read is not the last of it. */
  isFinal = false
  /** What was reported since that was last forgotten. */
  bits = 0
  /** How often readiness was reported. */
  reports = 0
  /** Most of the time there is one at most. */
  #first: Waiter<never> | undefined
  #others: Array<Waiter<never>> = []
  #isRunning = false

  constructor(interest: number) {
    this.interest = interest
  }

  /** Whether nobody is to be served before. */
  get isFree(): boolean {
    return this.#first === undefined
  }

  report(bits: number): void {
    this.mayTry = true
    this.isReady = true
    this.bits |= bits
    if ((bits & finalBits) !== 0) this.isFinal = true
    this.reports++
  }

  /** An attempt would have blocked. */
  forget(): void {
    this.mayTry = false
    this.isReady = false
    this.isFinal = false
    this.bits = 0
  }

  /** Less came than was asked for: there is no more, unless this is about an end, which is still to be seen. */
  forgetUnlessFinal(): void {
    if (!this.isFinal) this.forget()
  }

  wait<A>(waiter: Waiter<A>): void {
    const each = waiter as unknown as Waiter<never>
    if (this.#first === undefined) this.#first = each
    else this.#others.push(each)
  }

  /** Answers whether it was still waiting. */
  leave<A>(waiter: Waiter<A>): boolean {
    const each = waiter as unknown as Waiter<never>
    if (this.#first === each) {
      this.#first = this.#others.length === 0 ? undefined : this.#others.shift()
      return true
    }
    const index = this.#others.length === 0 ? -1 : this.#others.indexOf(each)
    if (index !== -1) this.#others.splice(index, 1)
    return index !== -1
  }

  /** Serves those who wait, for as long as it is ready. */
  run(): void {
    // Who was just served and comes back has its turn after those who wait.
    if (this.#isRunning) return
    this.#isRunning = true
    try {
      while (this.isReady && this.#first !== undefined) if (!this.#first.wake()) return
    } finally {
      this.#isRunning = false
    }
  }

  fail(error: PollerError): void {
    while (this.#first !== undefined) this.#first.fail(error)
  }
}

export class Io implements Source {
  readonly fd: number
  readonly attachment: Attachment
  readonly reading: Direction
  readonly writing = new Direction(Interest.Write)
  readonly priority = new Direction(Interest.Priority)
  /** Set once urgent data was reported: a read may stop short of it. */
  hadPriority = false
  /** Why there is nothing more to wait for. */
  ended: PollerError | undefined
  #registration: Registration | undefined
  #interest = 0

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
    const { control, mailbox, selector } = attachment
    if (this.#registration === undefined) {
      const refused = Registering.refusal(attachment, this.fd, wanted)
      if (refused !== undefined) return refused
      this.#interest = wanted
      const registered = Registering.add(attachment, this.fd, wanted, this)
      if (isPollerError(registered)) {
        this.#interest = 0
        return registered
      }
      this.#registration = registered
      return undefined
    }
    if (control.state !== State.Open) return notOpen(control)
    const errno = selector.modify(this.fd, wanted, mailbox, this.#registration.id)
    if (errno !== 0) return fromErrno(selector.syscalls.modify, errno, this.fd)
    this.#interest = wanted
    attachment.afterRegistering?.()
    return undefined
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
    reading.run()
    writing.run()
    priority.run()
    return true
  }

  /**
   * Makes an attempt at once if it may succeed and nobody waits before, and otherwise, or if it would block, again with
   * every report until it does not. Interrupted, it leaves nothing behind: an attempt is made only for who takes the result.
   */
  attempt<A>(direction: Direction, attempt: Attempt<A>): Effect.Effect<A, PollerError> {
    if (this.ended !== undefined) return Effect.fail(this.ended)
    if (direction.mayTry && direction.isFree) {
      const result = attempt()
      if (result !== undefined) return result
      direction.forget()
    }
    return Effect.callback((resume) => this.#wait(direction, new Waiter(this, direction, attempt, resume)))
  }

  /**
   * As `attempt`, for one that may do a part before it would block: from its first part on it has its turn, so that nobody
   * comes in between, whenever the fiber is made to yield. `begin` is asked for the attempt each time the effect runs. If it
   * goes on, an interruption ends only the waiting.
   */
  attemptInOnePiece<A>(direction: Direction, begin: () => Attempt<A>, goesOn: boolean): Effect.Effect<A, PollerError> {
    return Effect.callback((resume) => {
      const attempt = begin()
      if (this.ended === undefined && direction.mayTry && direction.isFree) {
        const result = attempt()
        if (result !== undefined) return resume(result)
        direction.forget()
      }
      const leave = this.#wait(direction, new Waiter(this, direction, attempt, resume))
      return goesOn ? undefined : leave
    })
  }

  /** Returns once readiness is known; also at once, if it was reported before and no attempt has shown that it is over. */
  whenReady(direction: Direction): Effect.Effect<void, PollerError> {
    if (this.ended !== undefined) return Effect.fail(this.ended)
    if (direction.isReady) return Effect.void
    return Effect.callback<void, PollerError>((resume) =>
      this.#wait(direction, new Waiter<void>(this, direction, undefined, resume))
    )
  }

  #wait<A>(direction: Direction, waiter: Waiter<A>): Effect.Effect<void> | undefined {
    const { dispatcher } = this.attachment
    direction.wait(waiter)
    dispatcher.waiters++
    const refused = this.ended ?? this.ask(direction.interest)
    if (refused !== undefined) {
      waiter.fail(refused)
      return undefined
    }
    // The fiber may have been made to yield before it came here, and that was reported meanwhile.
    direction.run()
    dispatcher.onWait?.()
    return Effect.sync(() => waiter.leave())
  }

  /** Nothing more is reported. */
  readonly end = (error: PollerError): void => {
    if (this.ended !== undefined) return
    this.ended = error
    for (const direction of [this.reading, this.writing, this.priority]) direction.fail(error)
  }

  /** To be called before the descriptor is closed. */
  close(error: PollerError): void {
    if (this.#registration !== undefined) Registering.release(this.attachment, this.#registration)
    this.end(error)
  }
}
