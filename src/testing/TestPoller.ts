/**
 * A poller without a kernel, for tests: the test declares readiness, and time is that of the
 * `TestClock`.
 *
 * The {@link layer} provides `Poller` and `Registrar` as the other layers do, so the code under
 * test needs no change. It provides a third service, {@link TestPoller}, with which the test makes
 * descriptors and says what happens to them. Notifications are edge-triggered, merged, and never of
 * a deregistered id, as with a kernel: the same tests run on both. There is no thread, no system
 * call, and no native library.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { Inspectable } from "effect/Inspectable"
import * as Layer from "effect/Layer"
import type { Event } from "../Event.ts"
import * as internal from "../internal/testing/testPoller.ts"
import { Poller } from "../Poller.ts"
import type { PollerError, PollerErrorReason } from "../PollerError.ts"
import { Registrar, type RegistrationId } from "../Registrar.ts"

/**
 * A descriptor whose readiness a test declares. Each declaration is an event and thus an edge, even
 * if it changes nothing: `readable` twice is data that arrives twice.
 *
 * **Details**
 *
 * Each effect:
 *
 * - Fails with `BadDescriptor` if the descriptor is closed
 *
 * @category models
 * @since 0.1.0
 */
export interface FakeDescriptor extends Inspectable {
  /** Its number, as low as possible from 3 on. The number of a closed descriptor is used again. */
  readonly fd: number
  /** Makes data arrive. */
  readonly readable: Effect.Effect<void, PollerError>
  /** Takes away what has arrived, as a reader does that reads everything. */
  readonly drained: Effect.Effect<void, PollerError>
  /** Makes room to write. */
  readonly writable: Effect.Effect<void, PollerError>
  /** Takes away the room, as a writer does that fills it. */
  readonly full: Effect.Effect<void, PollerError>
  /** Makes out-of-band data arrive. */
  readonly priority: Effect.Effect<void, PollerError>
  /** Lets the peer shut down its writing side: the end of the input can be read. */
  readonly readClosed: Effect.Effect<void, PollerError>
  /** Lets the peer close both sides. */
  readonly hungUp: Effect.Effect<void, PollerError>
  /** Gives the descriptor a pending error. */
  readonly failed: Effect.Effect<void, PollerError>
  /** Closes this end, which ends its registration. */
  readonly close: Effect.Effect<void, PollerError>
}

/**
 * A present registration.
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
 * The service with which a test takes the place of the kernel.
 *
 * @category services
 * @since 0.1.0
 */
export class TestPoller extends Context.Service<
  TestPoller,
  {
    /** Opens a descriptor that is ready for nothing. */
    readonly open: Effect.Effect<FakeDescriptor>
    /** Opens a descriptor of a kind that cannot be polled, such as a regular file. */
    readonly openUnpollable: Effect.Effect<FakeDescriptor>
    /** All present registrations. */
    readonly registered: Effect.Effect<ReadonlyArray<TestRegistration>>
    /** Lets the next `register` or `registerScoped` fail with this reason. */
    readonly failNextRegistration: (reason: PollerErrorReason) => Effect.Effect<void>
    /** Lets the polling thread die: every consumer fails with `WorkerFailed`. */
    readonly kill: Effect.Effect<void>
  }
>()("effect-amy/testing/TestPoller") {}

/**
 * A poller in memory, and the service that takes the place of its kernel.
 *
 * **Details**
 *
 * Timers and the timeouts of `wait` follow the `Clock` with which the layer is built. In
 * `it.effect` of `@effect/vitest`, that is the `TestClock`.
 *
 * **Gotchas**
 *
 * `AsyncFd.make` takes its descriptors, for `readable`, `readWhenReady` and the like. They carry no
 * bytes: `read`, `write` and `stream` fail with `InvalidArgument`, as do `Tcp`, `Udp` and `Unix`.
 *
 * What is declared before the fiber under test has begun to wait is merged, as with a kernel. Fork
 * that fiber with `startImmediately`, or `yield* Effect.yieldNow` first.
 *
 * No other thread can attach to it: `Poller.layerAttach`, `UserEvent.fromHandle` and
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
  Effect.map(internal.make, ({ poller, registrar, testPoller }) =>
    Context.make(Poller, poller).pipe(Context.add(Registrar, registrar), Context.add(TestPoller, testPoller))
  )
)
