/** The Poller service of one thread's attachment. */
import * as Arr from "effect/Array"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import type { Notification } from "../../Notification.ts"
import type * as Scope from "effect/Scope"
import type { Poller, PollerStats } from "../../Poller.ts"
import { register } from "./metrics.ts"
import { handleOf } from "./pollerHandle.ts"
import type { PollerError } from "../../PollerError.ts"
import { State } from "../shared/pollerMemory.ts"
import { textOf } from "../errors/arguments.ts"
import { toMillis } from "../errors/timeout.ts"
import { invalidArgument, notOpen } from "../errors/pollerErrors.ts"
import { now as realNow } from "../libc/realTime.ts"
import type { Attachment } from "../delivery/attachment.ts"

type Notifications = ReadonlyArray<Notification>

export const statsOf = ({ memory, dispatcher }: Attachment): PollerStats => ({
  notifications: dispatcher.notifications,
  merged: dispatcher.merged,
  batches: dispatcher.batches,
  waits: memory.waits,
  wakeups: memory.wakeups,
  overflows: memory.overflows,
  registrations: memory.mailboxes.registrations
})

const serviceOf = (attachment: Attachment): Poller["Service"] => {
  const { queue } = attachment.dispatcher.queue
  const waitFor = attachment.block === undefined ? waitOnQueue(attachment) : waitInKernel(attachment, attachment.block)
  return {
    wait: (timeout) =>
      Effect.suspend(() => {
        const millis = toMillis(timeout)
        if (millis === undefined) {
          return Effect.fail(
            invalidArgument(`invalid timeout ${textOf(timeout)}: expected zero or more, or Duration.infinity`)
          )
        }
        return waitFor(millis)
      }),
    queue,
    // One a pull, for a consumer may stop after any of them: what it has not seen must still be in
    // the queue.
    notifications: Stream.fromPull(Effect.succeed(Effect.map(Queue.take(queue), Arr.of))),
    batches: Stream.fromPull(Effect.succeed(Effect.map(Queue.takeAll(queue), Arr.of))),
    handle: handleOf(attachment),
    stats: Effect.sync(() => statsOf(attachment))
  }
}

/** Makes the service, and registers its figures as metrics under this name. */
export const make = (name: string, attachment: Attachment): Effect.Effect<Poller["Service"], never, Scope.Scope> =>
  Effect.as(
    register(name, () => statsOf(attachment)),
    serviceOf(attachment)
  )

/**
 * Takes everything that is in the queue. Fails once the poller is closed or has died and nothing is
 * left.
 */
const takeAll = ({ memory, dispatcher: { queue } }: Attachment): Effect.Effect<Notifications, PollerError> =>
  Effect.suspend(() =>
    queue.length === 0 && (memory.state !== State.Open || !queue.isOpen) ? Effect.fail(notOpen(memory)) : queue.takeAll
  )

/** Waits where another thread, or the event loop, fills the queue. */
const waitOnQueue = (attachment: Attachment) => {
  const { dispatcher, drain, sync } = attachment
  const take = takeAll(attachment)
  const arrival = dispatcher.queue.arrival.pipe(
    Effect.catchTag("Done", () => Effect.suspend(() => Effect.fail(notOpen(attachment.memory))))
  )

  // The wait takes nothing, so that an interruption or a timeout at the same moment loses nothing.
  // What is there is taken in a step of its own.
  const until = (clock: Clock.Clock, deadline: number): Effect.Effect<Notifications, PollerError> =>
    Effect.suspend(() => {
      const left = deadline - now(clock)
      if (left <= 0) return take
      const arrived =
        left === Infinity
          ? Effect.asSome(arrival)
          : Effect.timeoutOption(arrival, Math.min(Math.ceil(left), longestTimer))
      return Effect.flatMap(arrived, (first) =>
        Effect.flatMap(take, (taken) =>
          // A timer may fire a little early, and another consumer may have been faster.
          taken.length > 0 || (Option.isNone(first) && now(clock) >= deadline)
            ? Effect.succeed(taken)
            : until(clock, deadline)
        )
      )
    })

  return (timeout: number): Effect.Effect<Notifications, PollerError> => {
    // If the poller has ended, what it reported before can still be taken.
    if (timeout === 0) return Effect.andThen(Effect.ignore(sync), take)
    drain()
    if (dispatcher.queue.length > 0) return take
    return Clock.clockWith((clock) => until(clock, timeout === Infinity ? Infinity : now(clock) + timeout))
  }
}

/** The longest time of one of Node's timers, in milliseconds. A longer wait takes several. */
const longestTimer = 2 ** 31 - 1

const now = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / 1e6

/**
 * Waits in the kernel, on the calling thread. Its time is the kernel's, whichever clock the program
 * has.
 */
const waitInKernel = (attachment: Attachment, block: (timeout: number) => void) => {
  const { memory, dispatcher, sync } = attachment
  const take = takeAll(attachment)

  const until = (deadline: number): Effect.Effect<Notifications, PollerError> =>
    Effect.suspend(() => {
      // If the poller has ended, what it reported before can still be taken.
      if (memory.state !== State.Open || dispatcher.queue.length > 0) return take
      // However short the timeout, it looks at the kernel once.
      block(Math.max(0, Math.ceil(deadline - realNow())))
      if (dispatcher.queue.length > 0 || realNow() >= deadline) return take
      // The thread's other fibers, its timers and its messages have their turn at least this often.
      return Effect.andThen(Effect.yieldNow, until(deadline))
    })

  return (timeout: number): Effect.Effect<Notifications, PollerError> =>
    timeout === 0 ? Effect.andThen(Effect.ignore(sync), take) : Effect.suspend(() => until(realNow() + timeout))
}
