/**
 * Tells the kernel which descriptors a poller watches, from any thread.
 *
 * Each operation is one system call on the calling thread. It takes no lock, sends no message and
 * wakes no thread: the kernel itself is the channel between a registrar and its poller. So
 * registering works the same while the poller is blocked in the kernel, and a descriptor that is
 * ready already is reported at once.
 *
 * A registration is edge-triggered: it reports a change once, and nothing more until the state
 * changes again. Read or write until the descriptor would block, or call {@link reregister}, which
 * reports present readiness again. On Windows a change is reported only after one or the other:
 * `AsyncFd` and the library's sockets see to that, and after a call of your own that would block,
 * call {@link reregister}.
 *
 * For the notifications of one descriptor as a stream there is {@link watch}. {@link register} is
 * for programs in which one consumer takes the notifications of many.
 *
 * The library never closes a descriptor that it did not open, and never changes its blocking mode.
 *
 * @since 0.1.0
 */
import * as Brand from "effect/Brand"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Event } from "./Event.ts"
import type * as Notification from "./Notification.ts"
import type { PollerError } from "./PollerError.ts"
import type { UserEvent } from "./UserEvent.ts"

/**
 * Names one registration: a safe integer, unique for the life of its poller over all its threads,
 * rising, and never used twice.
 *
 * @category models
 * @since 0.1.0
 */
export type RegistrationId = Notification.RegistrationId

/**
 * Makes an id of a number, for tests and for ids that crossed a thread as plain numbers.
 *
 * **Example**
 *
 * ```ts
 * import { Registrar } from "effect-amy"
 *
 * const names = new Map<Registrar.RegistrationId, string>([[Registrar.RegistrationId(7), "stdin"]])
 *
 * console.log(names.get(Registrar.RegistrationId(7))) // => stdin
 * ```
 *
 * @category constructors
 * @since 0.2.0
 */
export const RegistrationId: Brand.Constructor<RegistrationId> = Brand.nominal<RegistrationId>()

/**
 * A descriptor, or an object that has one: a `FileHandle`, an {@link Fd.Fd}, a socket of
 * {@link Tcp}, {@link Udp} or {@link Unix}. Sockets of `node:net` do not expose their descriptor.
 *
 * @category models
 * @since 0.1.0
 */
export type FdLike = number | { readonly fd: number }

/**
 * How {@link register} and {@link watch} watch a descriptor.
 *
 * @category options
 * @since 0.1.0
 */
export interface RegisterOptions {
  /**
   * `"edge"`, the default, reports each change once. `"oneshot"` reports one change, and then
   * nothing until {@link reregister}.
   */
  readonly mode?: "edge" | "oneshot" | undefined
  /**
   * Reports exceptional conditions as well, such as out-of-band data (`EPOLLPRI`). Defaults to
   * `false`.
   */
  readonly priority?: boolean | undefined
  /**
   * Where several pollers watch one descriptor, wakes only one of them (`EPOLLEXCLUSIVE`). Defaults
   * to `false`. Cannot be combined with `"oneshot"` or `priority`, does not report a half-close,
   * and cannot be changed by {@link reregister}.
   */
  readonly exclusive?: boolean | undefined
}

/**
 * The service that registers descriptors with its poller. Every layer of {@link Poller} provides
 * it.
 *
 * @category services
 * @since 0.1.0
 */
export class Registrar extends Context.Service<
  Registrar,
  {
    /**
     * Watches a descriptor: epoll_ctl(2) with `EPOLL_CTL_ADD`. Its notifications come to the thread
     * that registers it. Another fiber may take the first of them before the fiber that registers
     * goes on.
     *
     * An operation that fails has changed nothing.
     *
     * - Fails with `AlreadyRegistered` if the descriptor is registered with this poller already
     * - Fails with `NotPollable` if it is a regular file, a directory, or a device that cannot be
     *   polled
     * - Fails with `BadDescriptor` if it is not open
     * - Fails with `LimitReached` if a limit of the system is reached
     * - Fails with `InvalidArgument` if an argument is invalid
     * - Fails with `UnsupportedPlatform` if the system has no `priority` or `exclusive`
     * - Fails with `Closed` if the poller is closed
     * - Fails with `WorkerFailed` if the polling thread has died
     */
    readonly register: (
      fd: FdLike,
      event: Event,
      options?: RegisterOptions
    ) => Effect.Effect<RegistrationId, PollerError>

    /**
     * Watches a descriptor until the scope closes. Close the descriptor itself after that, not
     * before: its number may have been reused by then.
     *
     * - Fails with `AlreadyRegistered` if the descriptor is registered with this poller already
     * - Fails with `NotPollable` if it is a regular file, a directory, or a device that cannot be
     *   polled
     * - Fails with `BadDescriptor` if it is not open
     * - Fails with `LimitReached` if a limit of the system is reached
     * - Fails with `InvalidArgument` if an argument is invalid
     * - Fails with `UnsupportedPlatform` if the system has no `priority` or `exclusive`
     * - Fails with `Closed` if the poller is closed
     * - Fails with `WorkerFailed` if the polling thread has died
     */
    readonly registerScoped: (
      fd: FdLike,
      event: Event,
      options?: RegisterOptions
    ) => Effect.Effect<RegistrationId, PollerError, Scope.Scope>

    /**
     * Changes what a registration watches, arms it again if it is `"oneshot"`, and reports present
     * readiness again: epoll_ctl(2) with `EPOLL_CTL_MOD`. Called on another thread, it moves the
     * notifications to that thread.
     *
     * A thread that takes over the descriptor of another thread cannot check the id: the id it
     * gives is used.
     *
     * An operation that fails has changed nothing.
     *
     * - Fails with `NotRegistered` if the descriptor is not registered, or, as far as this thread
     *   knows, has another id
     * - Fails with `InvalidArgument` if an argument is invalid, or if the registration is exclusive
     *   or would become so
     * - Fails with `NotPollable` if it is a regular file, a directory, or a device that cannot be
     *   polled
     * - Fails with `BadDescriptor` if it is not open
     * - Fails with `LimitReached` if a limit of the system is reached
     * - Fails with `UnsupportedPlatform` if the system has no `priority` or `exclusive`
     * - Fails with `Closed` if the poller is closed
     * - Fails with `WorkerFailed` if the polling thread has died
     */
    readonly reregister: (
      fd: FdLike,
      id: RegistrationId,
      event: Event,
      options?: RegisterOptions
    ) => Effect.Effect<void, PollerError>

    /**
     * Stops watching a descriptor: epoll_ctl(2) with `EPOLL_CTL_DEL`. On the thread that registered
     * it, its id is not reported any more from then on, not even by a notification that was on its
     * way.
     *
     * - Fails with `NotRegistered` if the descriptor is not registered
     * - Fails with `BadDescriptor` if it is not open
     * - Fails with `InvalidArgument` if it is not an integer, or belongs to the poller itself
     * - Fails with `Closed` if the poller is closed
     * - Fails with `WorkerFailed` if the polling thread has died
     */
    readonly deregister: (fd: FdLike) => Effect.Effect<void, PollerError>

    /**
     * The notifications of one descriptor. It is registered while the stream runs, and its
     * notifications come to this stream and to no other consumer. The stream ends when the poller
     * closes.
     *
     * One notification is emitted a pull. What is reported while the consumer is busy is merged
     * into the next one.
     *
     * - Fails with `NotRegistered` if the descriptor is deregistered while the stream runs
     * - Fails with `AlreadyRegistered` if the descriptor is registered with this poller already
     * - Fails with `NotPollable` if it is a regular file, a directory, or a device that cannot be
     *   polled
     * - Fails with `BadDescriptor` if it is not open
     * - Fails with `LimitReached` if a limit of the system is reached
     * - Fails with `InvalidArgument` if an argument is invalid
     * - Fails with `UnsupportedPlatform` if the system has no `priority` or `exclusive`
     * - Fails with `Closed` if the poller is closed
     * - Fails with `WorkerFailed` if the polling thread has died
     */
    readonly watch: (
      fd: FdLike,
      event: Event,
      options?: RegisterOptions
    ) => Stream.Stream<Notification.Notification, PollerError>

    /**
     * Reports an id once, when a duration has passed: never early, and a fraction of a millisecond
     * late. It is reported with the event `"Read"`, to the calling thread. All timers of a thread
     * share one descriptor: timerfd_create(2).
     *
     * - Fails with `InvalidArgument` if the duration is negative or not a number
     * - Fails with `LimitReached` if the descriptor for timers cannot be opened
     * - Fails with `Closed` if the poller is closed
     * - Fails with `WorkerFailed` if the polling thread has died
     */
    readonly timeout: (duration: Duration.Input) => Effect.Effect<RegistrationId, PollerError>

    /**
     * Reports an id again and again. The n-th time is due at the start plus n periods, however late
     * the consumer is. A consumer that has missed several gets one notification. A period below one
     * millisecond becomes one millisecond.
     *
     * - Fails with `InvalidArgument` if the period is zero, negative or not a number
     * - Fails with `LimitReached` if the descriptor for timers cannot be opened
     * - Fails with `Closed` if the poller is closed
     * - Fails with `WorkerFailed` if the polling thread has died
     */
    readonly interval: (duration: Duration.Input) => Effect.Effect<RegistrationId, PollerError>

    /**
     * Ends a timer of this thread. Its id is never reported afterwards, not even if it has gone off
     * and its notification has not been taken.
     *
     * - Fails with `NotRegistered` if this thread has no such timer, or its last notification was
     *   taken
     * - Fails with `Closed` if the poller is closed
     * - Fails with `WorkerFailed` if the polling thread has died
     */
    readonly cancelTimer: (id: RegistrationId) => Effect.Effect<void, PollerError>

    /**
     * Makes an event that is reported when a program triggers it, until the scope closes. See
     * {@link UserEvent}.
     *
     * - Fails with `LimitReached` if no descriptor is left
     * - Fails with `Closed` if the poller is closed
     * - Fails with `WorkerFailed` if the polling thread has died
     */
    readonly userEvent: Effect.Effect<UserEvent, PollerError, Scope.Scope>
  }
>()("effect-amy/Registrar") {}

/**
 * Watches a descriptor, and returns the id under which it is reported. See
 * {@link Registrar.register}.
 *
 * **Example** (A FIFO)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Poller, Registrar } from "effect-amy"
 * import { execFileSync } from "node:child_process"
 * import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync, writeSync } from "node:fs"
 * import { tmpdir } from "node:os"
 * import { join } from "node:path"
 *
 * const directory = mkdtempSync(join(tmpdir(), "fifo-"))
 * execFileSync("mkfifo", [join(directory, "fifo")])
 *
 * const fifo = Effect.acquireRelease(
 *   Effect.sync(() => openSync(join(directory, "fifo"), constants.O_RDWR | constants.O_NONBLOCK)),
 *   (fd) => Effect.sync(() => closeSync(fd))
 * )
 *
 * const program = Effect.gen(function* () {
 *   const poller = yield* Poller.Poller
 *   const fd = yield* fifo
 *   const id = yield* Registrar.registerScoped(fd, "Read")
 *   writeSync(fd, "hello")
 *   const [notification] = yield* poller.wait("1 second")
 *   const buffer = Buffer.alloc(64)
 *   const length = readSync(fd, buffer)
 *   console.log(notification?.id === id, notification?.event, buffer.toString("utf8", 0, length))
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Poller.layer))) // => true Read hello
 * rmSync(directory, { recursive: true })
 * ```
 *
 * @category registering
 * @since 0.1.0
 */
export const register = (
  fd: FdLike,
  event: Event,
  options?: RegisterOptions
): Effect.Effect<RegistrationId, PollerError, Registrar> =>
  Effect.flatMap(Registrar, (registrar) => registrar.register(fd, event, options))

/**
 * Watches a descriptor until the scope closes. See {@link Registrar.registerScoped}.
 *
 * **Example**
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Registrar } from "effect-amy"
 * import { TestPoller } from "effect-amy/testing"
 *
 * const program = Effect.gen(function* () {
 *   const kernel = yield* TestPoller.TestPoller
 *   const descriptor = yield* kernel.open
 *   const scoped = Effect.gen(function* () {
 *     yield* Registrar.registerScoped(descriptor, "Read")
 *     console.log((yield* kernel.registered).length)
 *   })
 *   yield* Effect.scoped(scoped)
 *   console.log((yield* kernel.registered).length)
 * })
 *
 * await Effect.runPromise(Effect.provide(program, TestPoller.layer))
 * // => 1
 * // => 0
 * ```
 *
 * @category registering
 * @since 0.1.0
 */
export const registerScoped = (
  fd: FdLike,
  event: Event,
  options?: RegisterOptions
): Effect.Effect<RegistrationId, PollerError, Registrar | Scope.Scope> =>
  Effect.flatMap(Registrar, (registrar) => registrar.registerScoped(fd, event, options))

/**
 * Changes what a registration watches, and reports present readiness again. See
 * {@link Registrar.reregister}.
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
 *   const id = yield* Registrar.register(descriptor, "Read", { mode: "oneshot" })
 *   yield* descriptor.readable
 *   console.log((yield* poller.wait(0)).length)
 *   // It was not read, so it is reported again only because it is registered again.
 *   yield* Registrar.reregister(descriptor, id, "Read", { mode: "oneshot" })
 *   console.log((yield* poller.wait(0)).length)
 * })
 *
 * await Effect.runPromise(Effect.provide(program, TestPoller.layer))
 * // => 1
 * // => 1
 * ```
 *
 * @category registering
 * @since 0.1.0
 */
export const reregister = (
  fd: FdLike,
  id: RegistrationId,
  event: Event,
  options?: RegisterOptions
): Effect.Effect<void, PollerError, Registrar> =>
  Effect.flatMap(Registrar, (registrar) => registrar.reregister(fd, id, event, options))

/**
 * Stops watching a descriptor. See {@link Registrar.deregister}.
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
 *   yield* Registrar.register(descriptor, "Read")
 *   yield* descriptor.readable
 *   yield* Registrar.deregister(descriptor)
 *   // Its notification was on its way, and is not reported any more.
 *   console.log(yield* poller.wait(0))
 * })
 *
 * await Effect.runPromise(Effect.provide(program, TestPoller.layer)) // => []
 * ```
 *
 * @category registering
 * @since 0.1.0
 */
export const deregister = (fd: FdLike): Effect.Effect<void, PollerError, Registrar> =>
  Effect.flatMap(Registrar, (registrar) => registrar.deregister(fd))

/**
 * The notifications of one descriptor, which is registered while the stream runs. See
 * {@link Registrar.watch}.
 *
 * **When to use**
 *
 * Use to consume what one descriptor reports. Unlike a filter over `Poller.notifications`, it takes
 * nothing that is for other consumers.
 *
 * **Example**
 *
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { Fd, Poller, Registrar } from "effect-amy"
 *
 * const program = Effect.gen(function* () {
 *   const { reader, writer } = yield* Fd.pipe
 *   yield* writer.tryWrite(new TextEncoder().encode("hello"))
 *   yield* Registrar.watch(reader, "Read").pipe(
 *     Stream.take(1),
 *     Stream.runForEach(({ event, readClosed }) => Effect.sync(() => console.log(event, readClosed)))
 *   )
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Poller.layerEventLoop()))) // => Read false
 * ```
 *
 * @category registering
 * @since 0.2.0
 */
export const watch = (
  fd: FdLike,
  event: Event,
  options?: RegisterOptions
): Stream.Stream<Notification.Notification, PollerError, Registrar> =>
  Stream.unwrap(Effect.map(Registrar, (registrar) => registrar.watch(fd, event, options)))

/**
 * Reports an id once, when a duration has passed. See {@link Registrar.timeout}.
 *
 * **Example**
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Poller, Registrar } from "effect-amy"
 *
 * const program = Effect.gen(function* () {
 *   const poller = yield* Poller.Poller
 *   const id = yield* Registrar.timeout("20 millis")
 *   const [notification] = yield* poller.wait("5 seconds")
 *   console.log(notification?.id === id, notification?.event)
 * })
 *
 * await Effect.runPromise(Effect.provide(program, Poller.layer)) // => true Read
 * ```
 *
 * @category timers
 * @since 0.1.0
 */
export const timeout = (duration: Duration.Input): Effect.Effect<RegistrationId, PollerError, Registrar> =>
  Effect.flatMap(Registrar, (registrar) => registrar.timeout(duration))

/**
 * Reports an id again and again. See {@link Registrar.interval}.
 *
 * **Example**
 *
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { Poller, Registrar } from "effect-amy"
 *
 * const program = Effect.gen(function* () {
 *   const poller = yield* Poller.Poller
 *   const id = yield* Registrar.interval("5 millis")
 *   yield* poller.notifications.pipe(Stream.take(3), Stream.runDrain)
 *   yield* Registrar.cancelTimer(id)
 *   const again = yield* Effect.flip(Registrar.cancelTimer(id))
 *   console.log(again.reason._tag)
 * })
 *
 * await Effect.runPromise(Effect.provide(program, Poller.layer)) // => NotRegistered
 * ```
 *
 * @category timers
 * @since 0.1.0
 */
export const interval = (duration: Duration.Input): Effect.Effect<RegistrationId, PollerError, Registrar> =>
  Effect.flatMap(Registrar, (registrar) => registrar.interval(duration))

/**
 * Ends a timer of this thread. See {@link Registrar.cancelTimer}.
 *
 * **Example**
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Poller, Registrar } from "effect-amy"
 *
 * const program = Effect.gen(function* () {
 *   const id = yield* Registrar.timeout("1 hour")
 *   yield* Registrar.cancelTimer(id)
 *   const again = yield* Effect.flip(Registrar.cancelTimer(id))
 *   console.log(again.reason._tag)
 * })
 *
 * await Effect.runPromise(Effect.provide(program, Poller.layer)) // => NotRegistered
 * ```
 *
 * @category timers
 * @since 0.1.0
 */
export const cancelTimer = (id: RegistrationId): Effect.Effect<void, PollerError, Registrar> =>
  Effect.flatMap(Registrar, (registrar) => registrar.cancelTimer(id))
