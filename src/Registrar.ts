/**
 * Tells the kernel which descriptors a poller watches, from any thread.
 *
 * Each operation is one system call on the calling thread. It takes no lock, sends no message and wakes nobody: the
 * kernel itself is the channel between a registrar and its poller, so registering works the same while the poller is
 * blocked, and a descriptor that is ready already is reported at once.
 *
 * A registration is edge-triggered: it reports a change once, and nothing more until the state changes again. Read or
 * write until the descriptor would block, or `reregister` it, which reports present readiness again.
 *
 * The library never closes a descriptor that it did not open, and never changes its blocking mode.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Event } from "./Event.ts"
import type { PollerError } from "./PollerError.ts"
import type { UserEvent } from "./UserEvent.ts"

/**
 * Names one registration: a whole number, unique for the life of its poller over all threads, rising, never used twice.
 *
 * @category models
 * @since 0.1.0
 */
export type RegistrationId = number

/**
 * A descriptor, or something that has one: a `FileHandle`, an `Fd`, a socket of `Tcp`, `Udp` or `Unix`. Node's own sockets show
 * theirs to nobody.
 *
 * @category models
 * @since 0.1.0
 */
export type FdLike = number | { readonly fd: number }

/**
 * How a descriptor is watched.
 *
 * @category options
 * @since 0.1.0
 */
export interface RegisterOptions {
  /**
   * `"edge"`, unless given: one notification for each change. `"oneshot"`: one notification, then none until the
   * descriptor is registered again with `reregister`.
   */
  readonly mode?: "edge" | "oneshot" | undefined
  /** Reports exceptional conditions too, such as out-of-band data (`EPOLLPRI`). */
  readonly priority?: boolean | undefined
  /**
   * Where several pollers watch one descriptor, wakes only one of them (`EPOLLEXCLUSIVE`). Goes with neither
   * `"oneshot"` nor `priority`, is silent about a half-close, and such a registration cannot be changed by `reregister`.
   */
  readonly exclusive?: boolean | undefined
}

/**
 * The service that registers descriptors with its poller. Every layer of `Poller` provides it.
 *
 * @category services
 * @since 0.1.0
 */
export class Registrar extends Context.Service<
  Registrar,
  {
    /**
     * Watches a descriptor: epoll_ctl(2) with `EPOLL_CTL_ADD`. Its notifications come to the thread that registers it,
     * and the first of them may be taken by another fiber before the one that registers goes on.
     *
     * Fails with `AlreadyRegistered`, `NotPollable` (regular files and directories), `BadDescriptor`, `LimitReached`,
     * `InvalidArgument`, `Closed`, `WorkerFailed`, or, where the system has no `priority` or `exclusive`, `UnsupportedPlatform`;
     * then nothing has changed.
     */
    readonly register: (
      fd: FdLike,
      event: Event,
      options?: RegisterOptions
    ) => Effect.Effect<RegistrationId, PollerError>

    /**
     * As `register`, until the scope closes, and fails as that does. Close the descriptor itself after that, not before: its number may be
     * another one's by then.
     */
    readonly registerScoped: (
      fd: FdLike,
      event: Event,
      options?: RegisterOptions
    ) => Effect.Effect<RegistrationId, PollerError, Scope.Scope>

    /**
     * Changes what a registration watches, arms it again if it was `"oneshot"`, and reports present readiness again:
     * epoll_ctl(2) with `EPOLL_CTL_MOD`. Called on another thread than before, it moves the notifications to that one.
     *
     * Fails with `NotRegistered` if the descriptor is not registered, or, as far as this thread knows, under another id,
     * and as `register` does. A thread that takes over a descriptor of another one is believed.
     */
    readonly reregister: (
      id: RegistrationId,
      fd: FdLike,
      event: Event,
      options?: RegisterOptions
    ) => Effect.Effect<void, PollerError>

    /**
     * Stops watching a descriptor: epoll_ctl(2) with `EPOLL_CTL_DEL`. On the thread that registered it, its id is not
     * reported any more from then on, not even by a notification that was on its way already.
     *
     * Fails with `NotRegistered`, `BadDescriptor`, `InvalidArgument`, `Closed` or `WorkerFailed`.
     */
    readonly deregister: (fd: FdLike) => Effect.Effect<void, PollerError>

    /**
     * Reports an id once, after a while: never early, a fraction of a millisecond late. Reported with the event
     * `"Read"`, to the thread that sets it. All timers of a thread share one descriptor: timerfd_create(2).
     *
     * Fails with `InvalidArgument` if the duration is negative or not a number, with `LimitReached` if the one
     * descriptor cannot be opened, with `Closed` or `WorkerFailed`.
     */
    readonly setTimeout: (duration: Duration.Input) => Effect.Effect<RegistrationId, PollerError>

    /**
     * Reports an id again and again. The n-th time is due at the start plus n periods, however late the consumer is; one
     * who has missed several gets one notification. A period of less than a millisecond is one millisecond.
     *
     * Fails as `setTimeout` does, and with `InvalidArgument` if the period is zero.
     */
    readonly setInterval: (duration: Duration.Input) => Effect.Effect<RegistrationId, PollerError>

    /**
     * Ends a timer of this thread: its id is never reported afterwards, not even if it has gone off already and nobody
     * has taken its notification yet.
     *
     * Fails with `NotRegistered` if there is no such timer, or if it has been reported and is finished; with `Closed` or
     * `WorkerFailed`.
     */
    readonly cancelTimeout: (id: RegistrationId) => Effect.Effect<void, PollerError>

    /**
     * Makes an event that is reported when a program triggers it, until the scope closes; see `UserEvent`. Fails with
     * `LimitReached` if no descriptor is left, with `Closed` or `WorkerFailed`.
     */
    readonly userEvent: Effect.Effect<UserEvent, PollerError, Scope.Scope>
  }
>()("effect-amy/Registrar") {}

/**
 * Watches a descriptor, and answers the id under which it will be reported. Fails as `register` of the service does.
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
 * Watches a descriptor until the scope closes. Fails as `registerScoped` of the service does.
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
 * Changes what a registration watches, and reports present readiness again. Fails as `reregister` of the service does.
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
 *   // Nobody has read it, and it is reported again only because it is registered again.
 *   yield* Registrar.reregister(id, descriptor, "Read", { mode: "oneshot" })
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
  id: RegistrationId,
  fd: FdLike,
  event: Event,
  options?: RegisterOptions
): Effect.Effect<void, PollerError, Registrar> =>
  Effect.flatMap(Registrar, (registrar) => registrar.reregister(id, fd, event, options))

/**
 * Stops watching a descriptor. Fails as `deregister` of the service does.
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
 *   // It was on its way, and is not reported any more.
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
 * Reports an id once, after a while. Fails as `setTimeout` of the service does.
 *
 * **Example**
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Poller, Registrar } from "effect-amy"
 *
 * const program = Effect.gen(function* () {
 *   const poller = yield* Poller.Poller
 *   const id = yield* Registrar.setTimeout("20 millis")
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
export const setTimeout = (duration: Duration.Input): Effect.Effect<RegistrationId, PollerError, Registrar> =>
  Effect.flatMap(Registrar, (registrar) => registrar.setTimeout(duration))

/**
 * Reports an id again and again. Fails as `setInterval` of the service does.
 *
 * **Example**
 *
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { Poller, Registrar } from "effect-amy"
 *
 * const program = Effect.gen(function* () {
 *   const poller = yield* Poller.Poller
 *   const id = yield* Registrar.setInterval("5 millis")
 *   yield* poller.notifications.pipe(Stream.take(3), Stream.runDrain)
 *   yield* Registrar.cancelTimeout(id)
 *   const again = yield* Effect.flip(Registrar.cancelTimeout(id))
 *   console.log(again.reason._tag)
 * })
 *
 * await Effect.runPromise(Effect.provide(program, Poller.layer)) // => NotRegistered
 * ```
 *
 * @category timers
 * @since 0.1.0
 */
export const setInterval = (duration: Duration.Input): Effect.Effect<RegistrationId, PollerError, Registrar> =>
  Effect.flatMap(Registrar, (registrar) => registrar.setInterval(duration))

/**
 * Ends a timer of this thread. Fails as `cancelTimeout` of the service does.
 *
 * **Example**
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Poller, Registrar } from "effect-amy"
 *
 * const program = Effect.gen(function* () {
 *   const id = yield* Registrar.setTimeout("1 hour")
 *   yield* Registrar.cancelTimeout(id)
 *   const again = yield* Effect.flip(Registrar.cancelTimeout(id))
 *   console.log(again.reason._tag)
 * })
 *
 * await Effect.runPromise(Effect.provide(program, Poller.layer)) // => NotRegistered
 * ```
 *
 * @category timers
 * @since 0.1.0
 */
export const cancelTimeout = (id: RegistrationId): Effect.Effect<void, PollerError, Registrar> =>
  Effect.flatMap(Registrar, (registrar) => registrar.cancelTimeout(id))
