/** One wait of one fiber, for any of several descriptors or a time. */
import * as Effect from "effect/Effect"
import { isPollerError, type PollerError } from "../../PollerError.ts"
import type { Attachment } from "../delivery/attachment.ts"
import { type Deadline, startDeadline } from "../delivery/deadline.ts"
import { resumeFiber } from "../objects/resumeFiber.ts"
import type { ArmedFd, Waiting } from "./armedFd.ts"
import { ArmedFds, type Holder } from "./armedFds.ts"
import type { Target } from "./readyFd.ts"

/** What is waited for. Several fibers may share it. */
export interface Awaited<A> {
  readonly attachment: Attachment
  /** Keeps the registrations between waits. */
  readonly holder: Holder
  /** Asks anew what to wait for, before each wait. Returns the error if it cannot. */
  readonly ask: () => PollerError | undefined
  /** Returns what `ask` found. */
  readonly targets: () => ReadonlyArray<Target>
  /** Returns the result of a wait if something is ready now. */
  readonly look: () => Effect.Effect<A, PollerError> | undefined
  /** Returns the same from what was reported of the only target. */
  readonly fromReport?: (bits: number) => Effect.Effect<A, PollerError> | undefined
  /** The result of a wait whose time is over. */
  readonly timeUp: Effect.Effect<A, PollerError>
}

type Resume<A> = (result: Effect.Effect<A, PollerError>) => void

/** Asks, and looks. */
const lookNow = <A>(awaited: Awaited<A>): Effect.Effect<A, PollerError> | undefined => {
  const error = awaited.ask()
  return error === undefined ? awaited.look() : Effect.fail(error)
}

/** A wait that has found nothing ready yet. */
export class Wait<A = unknown> implements Waiting {
  readonly #awaited: Awaited<A>
  readonly #waits: Set<Wait> | undefined
  readonly #resume: Resume<A>
  #entered: ReadonlyArray<ArmedFd> = []
  #deadline: Deadline | undefined
  #isWaiting = true

  constructor(awaited: Awaited<A>, waits: Set<Wait> | undefined, resume: Resume<A>) {
    this.#awaited = awaited
    this.#waits = waits
    this.#resume = resume
    waits?.add(this as Wait)
    awaited.attachment.dispatcher.waiters++
  }

  /** Waits for at most `millis` milliseconds, which may be infinite. */
  start(millis: number): void {
    const { attachment } = this.#awaited
    if (millis !== Infinity) {
      const deadline = startDeadline(attachment, millis, this.expire, this.fail)
      if (isPollerError(deadline)) return this.fail(deadline)
      this.#deadline = deadline
    }
    this.#enter()
    attachment.dispatcher.onWait?.()
  }

  /** Goes on waiting, for what has been found by now. */
  goOn(): void {
    if (!this.#isWaiting) return
    this.look()
    if (!this.#isWaiting) return
    this.#leaveAll()
    this.#enter()
  }

  /** Arms the descriptors, which reports again what was ready already. */
  #enter(): void {
    const { attachment, holder } = this.#awaited
    const targets = this.#awaited.targets()
    const all = ArmedFds.of(attachment)
    const entered = targets.map(({ fd }) => all.at(fd))
    this.#entered = entered
    holder.hold(entered)
    for (const [index, armed] of entered.entries()) {
      const error = armed.enter(this, targets[index]!.interest)
      // What cannot be armed may be ready all the same, as files always are.
      if (error !== undefined) return this.#finish(this.#awaited.look() ?? Effect.fail(error))
      // What others did meanwhile may have ended this wait, or moved it.
      if (this.#entered !== entered) return
    }
  }

  /** Called when a descriptor was reported. Another fiber may have been faster since. */
  report(bits: number): void {
    const { attachment, fromReport } = this.#awaited
    if (fromReport === undefined || !attachment.dispatcher.isFresh) return this.look()
    const result = fromReport(bits)
    if (result !== undefined) this.#finish(result)
  }

  /** Called when something may have become ready. */
  look(): void {
    const result = this.#awaited.look()
    if (result !== undefined) this.#finish(result)
  }

  readonly fail = (error: PollerError): void => this.#finish(Effect.fail(error))

  /** Called when the time is over. */
  readonly expire = (): void => this.#finish(this.#awaited.timeUp)

  #finish(result: Effect.Effect<A, PollerError>): void {
    if (!this.#isWaiting) return
    this.leave()
    resumeFiber(this.#resume, result)
  }

  /** Leaves nothing behind. */
  leave(): void {
    if (!this.#isWaiting) return
    this.#isWaiting = false
    this.#waits?.delete(this as Wait)
    this.#awaited.attachment.dispatcher.waiters--
    this.#deadline?.cancel()
    this.#leaveAll()
  }

  #leaveAll(): void {
    const all = ArmedFds.of(this.#awaited.attachment)
    for (const armed of this.#entered) {
      armed.leave(this)
      all.tidy(armed)
    }
    this.#entered = []
  }
}

/**
 * Returns what is ready now, or what becomes ready first, for at most `millis` milliseconds. `waits`
 * collects the fibers that wait.
 */
export const waitFor = <A>(awaited: Awaited<A>, millis: number, waits?: Set<Wait>): Effect.Effect<A, PollerError> =>
  Effect.callback((resume) => {
    const result = lookNow(awaited) ?? (millis === 0 ? awaited.timeUp : undefined)
    if (result !== undefined) return resume(result)
    const wait = new Wait(awaited, waits, resume)
    wait.start(millis)
    return Effect.sync(() => wait.leave())
  })
