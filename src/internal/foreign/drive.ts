/** Drives a library that does a step, and then says what it waits for. */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Event } from "../../Event.ts"
import type { ReadyFd, Step, WaitOptions } from "../../ForeignFd.ts"
import { isPollerError, type PollerError } from "../../PollerError.ts"
import { Registrar } from "../../Registrar.ts"
import type { Attachment } from "../delivery/attachment.ts"
import { interestError, toInterest } from "../delivery/interest.ts"
import { attachmentOf } from "../delivery/registrar.ts"
import { readArgument } from "../errors/arguments.ts"
import { invalidArgument } from "../errors/pollerErrors.ts"
import { ArmedFds, Holder } from "./armedFds.ts"
import { timeoutOf } from "./foreignFd.ts"
import { eventNow, type Found, type Target } from "./readyFd.ts"
import { waitFor as waitAt } from "./wait.ts"

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

export const drive = <A, E, R>(
  step: (ready: ReadonlyArray<ReadyFd>) => Effect.Effect<Step<A>, E, R>
): Effect.Effect<A, E | PollerError, R | Registrar> =>
  Effect.gen(function* () {
    const attachment = yield* attachmentOf(yield* Registrar)
    const all = ArmedFds.of(attachment)
    return yield* Effect.acquireUseRelease(
      Effect.sync(() => new Holder(all)),
      (holder) => {
        const wait = (step: Waits): Effect.Effect<Found, PollerError> => {
          const timeout = readArgument("the timeout of a step", () => step.timeout)
          const millis = isPollerError(timeout) ? timeout : timeoutOf(timeout)
          if (typeof millis !== "number") return Effect.fail(millis)
          const targets = readArgument("the descriptors of a step", () => toTargets(step.fds))
          if (isPollerError(targets)) return Effect.fail(targets)
          if (targets.length === 0 && millis === Infinity) {
            return Effect.fail(invalidArgument("this step waits for nothing: name a descriptor, a timeout, or both"))
          }
          const look = () => lookAt(attachment, targets)
          return waitAt({ attachment, holder, ask: () => undefined, targets: () => targets, look, timeUp }, millis)
        }
        const next = (ready: Found): Effect.Effect<A, E | PollerError, R> =>
          Effect.flatMap(step(ready), (result) =>
            result._tag === "Done" ? Effect.succeed(result.value) : Effect.flatMap(wait(result), next)
          )
        return next([])
      },
      (holder) => Effect.sync(() => holder.release())
    )
  })
