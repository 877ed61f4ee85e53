/**
 * The poller of `TestPoller`. Everything above the selector is the same as with a kernel; what is
 * below is in memory.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import type { Poller } from "../../Poller.ts"
import { PollerError, type PollerErrorReason } from "../../PollerError.ts"
import type { Registrar, RegistrationId } from "../../Registrar.ts"
import type { TestPoller, TestRegistration } from "../../testing/TestPoller.ts"
import type { Attachment } from "../delivery/attachment.ts"
import { Dispatcher } from "../delivery/dispatcher.ts"
import * as registrars from "../delivery/registrar.ts"
import { notOpen, workerFailed } from "../errors/pollerErrors.ts"
import { type Alarm, Interest } from "../kernel/selector.ts"
import { failWith } from "../layers/openPoller.ts"
import * as pollers from "../layers/pollerService.ts"
import { OpenedDescriptors } from "../shared/openedDescriptors.ts"
import { PollerMemory, State } from "../shared/pollerMemory.ts"
import { Router } from "../shared/router.ts"
import { FakeDescriptorImpl } from "./fakeDescriptor.ts"
import { MemoryKernel } from "./memoryKernel.ts"

/** The implementations of the three services. */
export interface Services {
  readonly poller: Poller["Service"]
  readonly registrar: Registrar["Service"]
  readonly testPoller: TestPoller["Service"]
}

export const make: Effect.Effect<Services, never, Scope.Scope> = Effect.gen(function* () {
  const clock = yield* Clock.Clock
  const kernel = new MemoryKernel()
  const memory = PollerMemory.make(1, 1)
  const mailbox = memory.mailboxes.claim(0)
  const selector = kernel.selector(1024, () => clockAlarm(clock, (isInside) => kernel.send(mailbox, 0, isInside)))
  const dispatcher = yield* Dispatcher.make
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      memory.advance(State.Closed)
      dispatcher.end()
      selector.close()
    })
  )

  const router = new Router(memory, selector, { mailbox, accept: dispatcher.accept })
  const drain = () => {
    if (memory.state !== State.Open) return
    while (router.poll(0) === selector.capacity);
    dispatcher.flush()
  }
  kernel.onEdge = drain
  let nextFailure: PollerErrorReason | undefined
  const attachment: Attachment = {
    memory,
    opened: OpenedDescriptors.make(),
    selector,
    origin: selector.handle,
    mailbox,
    dispatcher,
    drain,
    sync: Effect.suspend(() => {
      drain()
      return memory.state === State.Open ? Effect.void : Effect.fail(notOpen(memory))
    }),
    openAlarm: () => selector.openAlarm(mailbox),
    libc: undefined,
    beforeRegistering: () => {
      if (nextFailure === undefined) return undefined
      const error = new PollerError({ reason: nextFailure })
      nextFailure = undefined
      return error
    },
    // Reports what is ready already. The registration is known by now.
    afterRegistering: drain
  }
  return {
    poller: yield* pollers.make("test", attachment),
    registrar: registrars.make(attachment),
    testPoller: {
      open: Effect.sync(() => new FakeDescriptorImpl(kernel, kernel.open(true, 0))),
      openUnpollable: Effect.sync(() => new FakeDescriptorImpl(kernel, kernel.open(false, 0))),
      registered: Effect.sync(() => kernel.registered.map(toRegistration)),
      failNextRegistration: (reason) =>
        Effect.sync(() => {
          nextFailure = reason
        }),
      kill: Effect.sync(() => {
        failWith(memory, dispatcher, 0, () => workerFailed("the polling thread was killed by TestPoller.kill"))
      })
    }
  }
})

const toRegistration = ({ fd, id, interest }: MemoryKernel["registered"][number]): TestRegistration => ({
  id: id as RegistrationId,
  fd,
  event: (interest & Interest.Read) === 0 ? "Write" : (interest & Interest.Write) === 0 ? "Read" : "Both",
  mode: (interest & Interest.Oneshot) === 0 ? "edge" : "oneshot",
  priority: (interest & Interest.Priority) !== 0,
  exclusive: (interest & Interest.Exclusive) !== 0
})

/**
 * Makes an alarm that follows the clock of the program. `expire` gets whether it is called within
 * the call that sets the alarm.
 */
const clockAlarm = (clock: Clock.Clock, expire: (isInside: boolean) => void): Alarm => {
  const now = () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
  let waiting: Fiber.Fiber<void> | undefined
  const cancel = () => {
    if (waiting !== undefined) Effect.runFork(Fiber.interrupt(waiting))
    waiting = undefined
  }
  return {
    now,
    set: (deadline) => {
      cancel()
      if (deadline === Infinity) return
      const left = Duration.millis(Math.max(0, Math.ceil(deadline - now())))
      let isInside = true
      waiting = Effect.runFork(Effect.map(clock.sleep(left), () => expire(isInside)))
      isInside = false
    },
    close: cancel
  }
}
