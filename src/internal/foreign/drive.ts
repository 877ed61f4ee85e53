/** Drives a library that does a step, and then says what it waits for. */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Event } from "../../Event.ts"
import type { ForeignFdDriver, ReadyFd, Step, WaitOptions } from "../../ForeignFd.ts"
import { isPollerError, type PollerError } from "../../PollerError.ts"
import { Registrar } from "../../Registrar.ts"
import type { Attachment } from "../delivery/attachment.ts"
import { interestError, toInterest } from "../delivery/interest.ts"
import { attachmentOf } from "../delivery/registrar.ts"
import { readArgument } from "../errors/arguments.ts"
import { invalidArgument } from "../errors/pollerErrors.ts"
import { queueMicrotask } from "../libc/realTime.ts"
import { isOf } from "../objects/guards.ts"
import { detachMethods, PublicObject } from "../objects/publicObject.ts"
import { ArmedFds, Holder } from "./armedFds.ts"
import { timeoutOf } from "./foreignFd.ts"
import { eventNow, type Found, type Target } from "./readyFd.ts"
import { type Wait, waitFor as waitAt } from "./wait.ts"

export const TypeId = "~effect-amy/ForeignFdDriver"

interface Waits {
  readonly fds: ReadonlyArray<ReadyFd>
  readonly timeout: Duration.Input | undefined
}

export const done = <A>(value: A): Step<A> => ({ _tag: "Done", value })

export const waitFor = (fd: number, event: Event, options?: WaitOptions): Step<never> =>
  waitForAny([{ fd, event }], options)

export const waitForAny = (fds: ReadonlyArray<ReadyFd>, options?: WaitOptions): Step<never> => ({
  _tag: "Wait",
  fds,
  // Read by `drive`, which can fail if that throws.
  get timeout() {
    return options?.timeout
  }
})

/** Returns the interest in each descriptor, which a step may name more than once. */
const toTargets = (fds: ReadonlyArray<ReadyFd>): ReadonlyArray<Target> | PollerError => {
  const interests = new Map<number, number>()
  for (const { event, fd } of fds) {
    const interest = toInterest(event, undefined)
    if (interest < 0) return interestError(interest)
    interests.set(fd, (interests.get(fd) ?? 0) | interest)
  }
  return Array.from(interests, ([fd, interest]) => ({ fd, interest }))
}

/** Returns those that are ready now. */
const lookAt = (
  attachment: Attachment,
  targets: ReadonlyArray<Target>
): Effect.Effect<Found, PollerError> | undefined => {
  const found: Array<ReadyFd> = []
  for (const { fd, interest } of targets) {
    const event = eventNow(attachment, fd, interest)
    if (isPollerError(event)) return Effect.fail(event)
    if (event !== undefined) found.push({ fd, event })
  }
  return found.length === 0 ? undefined : Effect.succeed(found)
}

const timeUp: Effect.Effect<Found> = Effect.succeed([])

/** One run of the steps. */
class Run {
  /** Whether anything can wake it. Only then may a step wait for nothing else. */
  readonly isDriver: boolean
  /** Whether a wake came since the last step began. */
  isWoken = false
  readonly waits = new Set<Wait>()

  constructor(isDriver: boolean) {
    this.isDriver = isDriver
  }

  wake(): void {
    this.isWoken = true
    // Not now, for no fiber may run inside of a callback of the library's.
    if (this.waits.size > 0) queueMicrotask(this.#resume)
  }

  readonly #resume = (): void => {
    // Of several wakes, the first has been followed by a step already.
    if (!this.isWoken) return
    for (const wait of Array.from(this.waits)) wait.expire()
  }
}

type NextStep<A, E, R> = (ready: ReadonlyArray<ReadyFd>) => Effect.Effect<Step<A>, E, R>

const runSteps = <A, E, R>(step: NextStep<A, E, R>, run: Run): Effect.Effect<A, E | PollerError, R | Registrar> =>
  Effect.gen(function* () {
    const attachment = yield* attachmentOf(yield* Registrar)
    if (typeof step !== "function") return yield* invalidArgument("invalid step: expected a function")
    const all = ArmedFds.of(attachment)
    return yield* Effect.acquireUseRelease(
      Effect.sync(() => new Holder(all)),
      (holder) => {
        const wait = (step: Waits | undefined | null): Effect.Effect<Found, PollerError> => {
          if (!step)
            return Effect.fail(invalidArgument("a step has returned nothing: return done or waitFor of ForeignFd"))
          const timeout = readArgument("the timeout of a step", () => step.timeout)
          const millis = isPollerError(timeout) ? timeout : timeoutOf(timeout)
          if (typeof millis !== "number") return Effect.fail(millis)
          const targets = readArgument("the descriptors of a step", () => toTargets(step.fds))
          if (isPollerError(targets)) return Effect.fail(targets)
          if (targets.length === 0 && millis === Infinity && !run.isDriver) {
            return Effect.fail(invalidArgument("this step waits for nothing: name a descriptor, a timeout, or both"))
          }
          // The caller of a wake may have made the library close what the step has named.
          const look = () => (run.isWoken ? timeUp : lookAt(attachment, targets))
          const awaited = { attachment, holder, ask: () => undefined, targets: () => targets, look, timeUp }
          return waitAt(awaited, millis, run.waits)
        }
        const next = (ready: Found): Effect.Effect<A, E | PollerError, R> =>
          Effect.suspend(() => {
            run.isWoken = false
            return Effect.flatMap(step(ready), (result: Step<A> | undefined | null) =>
              result?._tag === "Done" ? Effect.succeed(result.value) : Effect.flatMap(wait(result), next)
            )
          })
        return next([])
      },
      (holder) => Effect.sync(() => holder.release())
    )
  })

export const drive = <A, E, R>(step: NextStep<A, E, R>): Effect.Effect<A, E | PollerError, R | Registrar> =>
  Effect.suspend(() => runSteps(step, new Run(false)))

export const makeDriver = <A, E, R>(step: NextStep<A, E, R>): Effect.Effect<ForeignFdDriver<A, E, R>> =>
  Effect.sync(() => new ForeignFdDriverImpl(step))

export const isForeignFdDriver = (u: unknown): u is ForeignFdDriver<unknown, unknown, unknown> =>
  isOf(ForeignFdDriverImpl, u)

class ForeignFdDriverImpl<A, E, R> extends PublicObject implements ForeignFdDriver<A, E, R> {
  readonly #step: NextStep<A, E, R>
  readonly #runs = new Set<Run>()

  static {
    detachMethods(this)
  }

  constructor(step: NextStep<A, E, R>) {
    super()
    this.#step = step
  }

  get [TypeId](): typeof TypeId {
    return TypeId
  }

  get run(): Effect.Effect<A, E | PollerError, R | Registrar> {
    return Effect.acquireUseRelease(
      Effect.sync(() => {
        const run = new Run(true)
        this.#runs.add(run)
        return run
      }),
      (run) => runSteps(this.#step, run),
      (run) => Effect.sync(() => this.#runs.delete(run))
    )
  }

  wake(): void {
    for (const run of this.#runs) run.wake()
  }

  toJSON() {
    return { _id: "effect-amy/ForeignFdDriver", running: this.#runs.size }
  }

  toString(): string {
    return `ForeignFdDriver(${this.#runs.size === 0 ? "idle" : "running"})`
  }
}
