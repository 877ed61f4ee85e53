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
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Event } from "../Event.ts"
import * as internal from "../internal/testing/testPoller.ts"
import { Poller } from "../Poller.ts"
import type { PollerError, PollerErrorReason } from "../PollerError.ts"
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
  Effect.map(internal.make, ({ poller, registrar, testPoller }) =>
    Context.make(Poller, poller).pipe(Context.add(Registrar, registrar), Context.add(TestPoller, testPoller))
  )
)
