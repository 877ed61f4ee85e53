/**
 * A poller without a kernel, for tests: readiness is declared, and time is the `TestClock`'s.
 *
 * The layer provides `Poller` and `Registrar` as the others do, so the code under test does not know the difference, and
 * a third service, `TestPoller`, with which the test makes descriptors and says what happens to them. What it reports is
 * edge-triggered, merged, and free of ghosts exactly as with a kernel: the same tests run on both. There is no thread, no
 * system call, and no native library.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { PollerMemory, State } from "../internal/shared/pollerMemory.ts"
import { Dispatcher } from "../internal/delivery/dispatcher.ts"
import { badDescriptor, notOpen, workerFailed } from "../internal/errors/pollerErrors.ts"
import * as internalMetrics from "../internal/layers/metrics.ts"
import * as internal from "../internal/layers/pollerService.ts"
import type { Attachment } from "../internal/delivery/attachment.ts"
import { failWith } from "../internal/layers/openPoller.ts"
import { Router } from "../internal/shared/router.ts"
import * as internalRegistrar from "../internal/delivery/registrar.ts"
import type { Alarm } from "../internal/kernel/selector.ts"
import { Interest, Readiness } from "../internal/kernel/selector.ts"
import { MemoryKernel } from "../internal/testing/memoryKernel.ts"
import type { Event } from "../Event.ts"
import { Poller, type PollerHandle } from "../Poller.ts"
import { PollerError, type PollerErrorReason } from "../PollerError.ts"
import { Registrar, type RegistrationId } from "../Registrar.ts"

/**
 * A descriptor whose readiness a test declares. Each declaration is something that happens to it, an edge, even if it
 * was so before: another arrival of data, for instance.
 *
 * **Details**
 *
 * Each fails with `BadDescriptor` once the descriptor is closed.
 *
 * @category models
 * @since 0.1.0
 */
export interface FakeDescriptor {
  /** Its number, as low as possible from 3 on: a number that was closed is used again. */
  readonly fd: number
  /** Data arrives. */
  readonly readable: Effect.Effect<void, PollerError>
  /** Everything has been read. */
  readonly drained: Effect.Effect<void, PollerError>
  /** There is room to write. */
  readonly writable: Effect.Effect<void, PollerError>
  /** There is no more room to write. */
  readonly full: Effect.Effect<void, PollerError>
  /** Out-of-band data arrives. */
  readonly priority: Effect.Effect<void, PollerError>
  /** The peer shuts down its writing side: there is an end to read. */
  readonly readClosed: Effect.Effect<void, PollerError>
  /** The peer closes both sides. */
  readonly hungUp: Effect.Effect<void, PollerError>
  /** It has a pending error. */
  readonly failed: Effect.Effect<void, PollerError>
  /** Closes this end, and with it its registration. */
  readonly close: Effect.Effect<void, PollerError>
}

/**
 * What is registered at present.
 *
 * @category models
 * @since 0.1.0
 */
export interface TestRegistration {
  readonly id: RegistrationId
  readonly fd: number
  readonly event: Event
  readonly mode: "edge" | "oneshot"
  readonly priority: boolean
  readonly exclusive: boolean
}

/**
 * The service with which a test plays the kernel.
 *
 * @category services
 * @since 0.1.0
 */
export class TestPoller extends Context.Service<
  TestPoller,
  {
    /** Opens a descriptor that is ready for nothing. */
    readonly open: Effect.Effect<FakeDescriptor>
    /** Opens a descriptor of a kind that cannot be polled, as a regular file. */
    readonly openUnpollable: Effect.Effect<FakeDescriptor>
    /** Everything that is registered at present. */
    readonly registered: Effect.Effect<ReadonlyArray<TestRegistration>>
    /** The next `register` or `registerScoped` fails with this reason. */
    readonly failNextRegistration: (reason: PollerErrorReason) => Effect.Effect<void>
    /** The polling thread dies: every consumer fails with `WorkerFailed`. */
    readonly kill: Effect.Effect<void>
  }
>()("effect-amy/testing/TestPoller") {}

/**
 * A poller in memory, and the service that plays its kernel.
 *
 * **Details**
 *
 * Timers and the timeouts of `wait` follow the `Clock` that the layer is built with: with `it.effect` of
 * `@effect/vitest` that is the `TestClock`.
 *
 * **Gotchas**
 *
 * `AsyncFd.make` takes its descriptors, for `readable`, `readWhenReady` and the like. They carry no bytes: `read`, `write` and
 * `stream` fail with `InvalidArgument`, as do `Tcp`, `Udp` and `Unix`. What is declared before the fiber under test has begun to
 * wait is merged, as with a kernel: fork it with `startImmediately`, or `yield* Effect.yieldNow` first.
 *
 * There is nothing that another thread could attach to: `layerAttach`, `UserEvent.fromHandle` and
 * `PollChannel.fromHandle` refuse its handles with `InvalidArgument`.
 *
 * **Example**
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Poller, Registrar } from "effect-amy"
 * import { TestPoller } from "effect-amy/testing"
 *
 * const program = Effect.gen(function* () {
 *   const kernel = yield* TestPoller.TestPoller
 *   const poller = yield* Poller.Poller
 *   const descriptor = yield* kernel.open
 *   const id = yield* Registrar.register(descriptor, "Read")
 *
 *   yield* descriptor.readable
 *   const [notification] = yield* poller.wait(0)
 *   console.log(notification?.id === id, notification?.event)
 * })
 *
 * await Effect.runPromise(Effect.provide(program, TestPoller.layer)) // => true Read
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<Poller | Registrar | TestPoller> = Layer.effectContext(
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const kernel = new MemoryKernel()
    const memory = PollerMemory.make(1, 1)
    const mailbox = memory.mailboxes.claim(0)
    const selector = kernel.selector(1024, () => clockAlarm(clock, () => kernel.send(mailbox, 0)))
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
      // Reports what is ready already, now that the registration is known.
      afterRegistering: drain
    }
    yield* internalMetrics.register("test", () => internal.statsOf(attachment))

    const handle: PollerHandle = {
      _tag: "effect-amy/PollerHandle",
      memory: memory.buffer,
      selector: selector.handle
    }
    return Context.make(Poller, internal.make(attachment, handle)).pipe(
      Context.add(Registrar, internalRegistrar.make(attachment)),
      Context.add(TestPoller, {
        open: Effect.sync(() => fakeDescriptor(kernel, kernel.open(true, 0))),
        openUnpollable: Effect.sync(() => fakeDescriptor(kernel, kernel.open(false, 0))),
        registered: Effect.sync(() => kernel.registered.map(toRegistration)),
        failNextRegistration: (reason) =>
          Effect.sync(() => {
            nextFailure = reason
          }),
        kill: Effect.sync(() => {
          failWith(memory, dispatcher, 0, () => workerFailed("the polling thread was killed by TestPoller.kill"))
        })
      })
    )
  })
)

const fakeDescriptor = (kernel: MemoryKernel, fd: number): FakeDescriptor => {
  let open = true
  const whileOpen = (action: () => void): Effect.Effect<void, PollerError> =>
    Effect.suspend(() => {
      if (!open) return Effect.fail(badDescriptor("TestPoller", fd))
      action()
      return Effect.void
    })
  const raise = (bits: number) => whileOpen(() => kernel.raise(fd, bits))
  const lower = (bits: number) => whileOpen(() => kernel.lower(fd, bits))
  return {
    fd,
    readable: raise(Readiness.Readable),
    drained: lower(Readiness.Readable),
    writable: raise(Readiness.Writable),
    full: lower(Readiness.Writable),
    priority: raise(Readiness.Priority),
    // An end is something to read.
    readClosed: raise(Readiness.Readable | Readiness.ReadClosed),
    hungUp: raise(Readiness.Readable | Readiness.Writable | Readiness.ReadClosed | Readiness.WriteClosed),
    failed: raise(Readiness.Error | Readiness.WriteClosed),
    close: whileOpen(() => {
      open = false
      kernel.close(fd)
    })
  }
}

const toRegistration = ({ fd, id, interest }: MemoryKernel["registered"][number]): TestRegistration => ({
  id,
  fd,
  event: (interest & Interest.Read) === 0 ? "Write" : (interest & Interest.Write) === 0 ? "Read" : "Both",
  mode: (interest & Interest.Oneshot) === 0 ? "edge" : "oneshot",
  priority: (interest & Interest.Priority) !== 0,
  exclusive: (interest & Interest.Exclusive) !== 0
})

/** An alarm by the program's own clock. */
const clockAlarm = (clock: Clock.Clock, expire: () => void): Alarm => {
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
      waiting = Effect.runFork(Effect.map(clock.sleep(left), expire))
    },
    close: cancel
  }
}
