/** A descriptor that a C library reads: level-triggered waits, armed on request. */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { Event } from "../../Event.ts"
import type { ForeignFd, WaitOptions } from "../../ForeignFd.ts"
import { isPollerError, type PollerError } from "../../PollerError.ts"
import { type FdLike, Registrar } from "../../Registrar.ts"
import type { Attachment } from "../delivery/attachment.ts"
import { interestError, toInterest } from "../delivery/interest.ts"
import { attachmentOf, toFd } from "../delivery/registrar.ts"
import { isDescriptor, readArgument, textOf } from "../errors/arguments.ts"
import { closedBecause, invalidArgument } from "../errors/pollerErrors.ts"
import { toMillis } from "../errors/timeout.ts"
import { isOf } from "../objects/guards.ts"
import { detachMethods, PublicObject } from "../objects/publicObject.ts"
import { ArmedFds, Holder } from "./armedFds.ts"
import { eventNow, eventOf } from "./readyFd.ts"
import { type Awaited, type Wait, waitFor } from "./wait.ts"

export const TypeId = "~effect-amy/ForeignFd"

/** Returns milliseconds, or the error if a timeout is invalid. Without one, a wait never ends. */
export const timeoutOf = (timeout: Duration.Input | undefined): number | PollerError =>
  timeout === undefined
    ? Infinity
    : (toMillis(timeout) ?? invalidArgument(`invalid timeout ${textOf(timeout)}: expected zero or more`))

/** Calls a function of the user's that returns a descriptor. What it returns is checked later. */
const callForFd = (number: () => number): number | PollerError => {
  try {
    return number()
  } catch (cause) {
    return invalidArgument(`the function that returns the descriptor threw: ${textOf(cause)}`, undefined, cause)
  }
}

export const make = (fd: FdLike | (() => number)): Effect.Effect<ForeignFd, PollerError, Registrar | Scope.Scope> =>
  Effect.gen(function* () {
    const attachment = yield* attachmentOf(yield* Registrar)
    return yield* Effect.acquireRelease(
      Effect.sync(() => new ForeignFdImpl(attachment, fd)),
      (foreign) => Effect.sync(() => foreign.release())
    )
  })

export const isForeignFd = (u: unknown): u is ForeignFd => isOf(ForeignFdImpl, u)

/** The results of waits without a time limit, and of those with one. */
const plain: { readonly [Name in Event]: Exit.Exit<Event> } = {
  Read: Exit.succeed("Read"),
  Write: Exit.succeed("Write"),
  Both: Exit.succeed("Both")
}
const timed: { readonly [Name in Event]: Exit.Exit<Option.Option<Event>> } = {
  Read: Exit.succeed(Option.some("Read")),
  Write: Exit.succeed(Option.some("Write")),
  Both: Exit.succeed(Option.some("Both"))
}
const timeUp: Exit.Exit<Option.Option<Event>> = Exit.succeed(Option.none())

class ForeignFdImpl extends PublicObject implements ForeignFd {
  readonly #attachment: Attachment
  readonly #fd: FdLike | (() => number)
  readonly #holder: Holder
  readonly #waits = new Set<Wait>()
  /** The number that was asked for last. */
  #last: number | undefined
  #ended: PollerError | undefined

  static {
    detachMethods(this)
  }

  constructor(attachment: Attachment, fd: FdLike | (() => number)) {
    super()
    this.#attachment = attachment
    this.#fd = fd
    this.#holder = new Holder(ArmedFds.of(attachment))
  }

  get [TypeId](): typeof TypeId {
    return TypeId
  }

  get fd(): number {
    // The library's object may be gone by then, and a function that asks it would fail the process.
    const fd = this.#ended === undefined ? this.#number() : -1
    return isPollerError(fd) || !isDescriptor(fd) ? -1 : fd
  }

  #number(): number | PollerError {
    const fd = this.#fd
    return typeof fd === "function" ? callForFd(fd) : toFd(fd)
  }

  wait(
    event: Event,
    options: WaitOptions & { readonly timeout: Duration.Input }
  ): Effect.Effect<Option.Option<Event>, PollerError>
  wait(event: Event, options?: { readonly timeout?: undefined }): Effect.Effect<Event, PollerError>
  wait(event: Event, options?: WaitOptions): Effect.Effect<Event | Option.Option<Event>, PollerError>
  wait(event: Event, options?: WaitOptions): Effect.Effect<Event | Option.Option<Event>, PollerError> {
    const interest = toInterest(event, undefined)
    if (interest < 0) return Effect.fail(interestError(interest))
    const timeout = readArgument("the option timeout", () => options?.timeout)
    if (isPollerError(timeout)) return Effect.fail(timeout)
    if (timeout === undefined) return waitFor(this.#awaited(interest, plain, Effect.never), Infinity, this.#waits)
    const millis = timeoutOf(timeout)
    return typeof millis === "number"
      ? waitFor(this.#awaited(interest, timed, timeUp), millis, this.#waits)
      : Effect.fail(millis)
  }

  #awaited<A>(
    interest: number,
    results: { readonly [Name in Event]: Exit.Exit<A> },
    timeUp: Effect.Effect<A>
  ): Awaited<A> {
    const attachment = this.#attachment
    return {
      attachment,
      holder: this.#holder,
      ask: this.#ask,
      targets: () => [{ fd: this.#last!, interest }],
      look: () => {
        const event = eventNow(attachment, this.#last!, interest)
        if (event === undefined) return undefined
        return isPollerError(event) ? Effect.fail(event) : results[event]
      },
      fromReport: (bits) => {
        const event = eventOf(interest, bits)
        return event === undefined ? undefined : results[event]
      },
      timeUp
    }
  }

  /** Asks for the number. */
  readonly #ask = (): PollerError | undefined => {
    if (this.#ended !== undefined) return this.#ended
    const fd = this.#number()
    if (isPollerError(fd)) return fd
    const isSwapped = this.#last !== undefined && this.#last !== fd
    this.#last = fd
    if (!isSwapped) return undefined
    // Fibers that wait for the former number would wait for ever.
    this.#goOn()
    // One of them may have closed the scope.
    return this.#ended
  }

  get refresh(): Effect.Effect<void> {
    return Effect.sync(() => {
      if (this.#waits.size === 0) return
      const fd = this.#number()
      if (isPollerError(fd)) return this.#failAll(fd)
      this.#last = fd
      this.#goOn()
    })
  }

  #goOn(): void {
    for (const wait of Array.from(this.#waits)) wait.goOn()
  }

  #failAll(error: PollerError): void {
    for (const wait of Array.from(this.#waits)) wait.fail(error)
  }

  /** Called when the scope closes. The descriptor stays as it is. */
  release(): void {
    this.#ended = closedBecause("the scope of this ForeignFd has closed")
    this.#failAll(this.#ended)
    this.#holder.release()
  }

  /** Printing calls no function of the user's: the number is the one that was asked for last. */
  get #printed(): number | undefined {
    const number = typeof this.#fd === "function" ? this.#last : toFd(this.#fd)
    return typeof number === "number" ? number : undefined
  }

  toJSON() {
    return { _id: "effect-amy/ForeignFd", fd: this.#printed ?? null }
  }

  toString(): string {
    return `ForeignFd(${this.#ended === undefined ? (this.#printed ?? "not asked") : "closed"})`
  }
}
