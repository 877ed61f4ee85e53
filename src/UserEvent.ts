/**
 * Wakes a poller by hand, from any thread: a registration without a descriptor, reported when a
 * program triggers it.
 *
 * Use it to tell the thread that consumes notifications that there is other work for it: a queue of
 * its own that has filled, a configuration that has changed, the time to stop.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { Inspectable } from "effect/Inspectable"
import type * as Scope from "effect/Scope"
import * as internal from "./internal/delivery/userEvent.ts"
import { isOf } from "./internal/objects/guards.ts"
import type { PollerError } from "./PollerError.ts"
import { Registrar, type RegistrationId } from "./Registrar.ts"

declare const HandleTypeId: "~effect-amy/UserEventHandle"
declare const TypeId: "~effect-amy/UserEvent"

/**
 * With a handle, another thread of the same process opens an event: see {@link fromHandle}. It is
 * plain data: send it with `postMessage`, or pass it as `workerData`.
 *
 * @category models
 * @since 0.1.0
 */
export interface UserEventHandle {
  readonly [HandleTypeId]: typeof HandleTypeId
}

/**
 * Returns whether a value is the handle of a user event, also after it has crossed a thread.
 *
 * @category guards
 * @since 0.2.0
 */
export const isUserEventHandle: (u: unknown) => u is UserEventHandle = internal.isUserEventHandle

/**
 * An event that a program triggers itself.
 *
 * **Details**
 *
 * Triggers coalesce: however many there are before the notification is taken, there is one
 * notification. It is reported with the event `"Read"`, to the thread that made the event.
 *
 * @category models
 * @since 0.1.0
 */
export interface UserEvent extends Inspectable {
  readonly [TypeId]: typeof TypeId
  /** The id under which it is reported. */
  readonly id: RegistrationId
  /**
   * Reports the event: one write(2).
   *
   * - Fails with `BadDescriptor`, or another reason of that call, if the event could not be reported
   * - Fails with `Closed` if the event's scope or its poller is closed
   * - Fails with `WorkerFailed` if the polling thread has died
   */
  readonly trigger: Effect.Effect<void, PollerError>
  /**
   * Takes back what was triggered and has not been taken.
   *
   * - Fails with `Closed` if the event's scope or its poller is closed
   * - Fails with `WorkerFailed` if the polling thread has died
   */
  readonly clear: Effect.Effect<void, PollerError>
  /** With it another thread opens this event, by {@link fromHandle}. */
  readonly handle: UserEventHandle
}

/**
 * Returns whether a value is a {@link UserEvent}.
 *
 * @category guards
 * @since 0.2.0
 */
export const isUserEvent = (u: unknown): u is UserEvent => isOf(internal.RemoteUserEvent, u)

/**
 * Makes an event of this thread's poller. It ends with the scope.
 *
 * **Details**
 *
 * - Fails with `LimitReached` if no descriptor is left
 * - Fails with `Closed` if the poller is closed
 * - Fails with `WorkerFailed` if the polling thread has died
 *
 * **Example**
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Poller, UserEvent } from "effect-amy"
 *
 * const program = Effect.gen(function* () {
 *   const poller = yield* Poller.Poller
 *   const event = yield* UserEvent.make
 *   yield* event.trigger
 *   yield* event.trigger
 *   const notifications = yield* poller.wait("1 second")
 *   console.log(notifications.length, notifications[0]?.id === event.id)
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Poller.layer))) // => 1 true
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: Effect.Effect<UserEvent, PollerError, Registrar | Scope.Scope> = Effect.flatMap(
  Registrar,
  (registrar) => registrar.userEvent
)

/**
 * Opens the event of another thread, until the scope closes.
 *
 * **Details**
 *
 * No poller is needed on the thread that triggers.
 *
 * - Fails with `Closed` if the event has ended
 * - Fails with `InvalidArgument` if the argument is not the handle of a user event, or is that of a
 *   `TestPoller`
 * - Fails with `LimitReached` if no descriptor is left
 * - Fails with `UnsupportedPlatform` if this system has no poller
 *
 * **Example**
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Poller, UserEvent } from "effect-amy"
 * import { isMainThread, Worker, workerData } from "node:worker_threads"
 *
 * const main = Effect.gen(function* () {
 *   const poller = yield* Poller.Poller
 *   const event = yield* UserEvent.make
 *   new Worker(new URL(import.meta.url), { workerData: event.handle })
 *   const [notification] = yield* poller.wait("5 seconds")
 *   console.log(notification?.id === event.id)
 * })
 *
 * const other = Effect.gen(function* () {
 *   const event = yield* UserEvent.fromHandle(workerData)
 *   yield* event.trigger
 * })
 *
 * await Effect.runPromise(
 *   isMainThread ? main.pipe(Effect.scoped, Effect.provide(Poller.layer)) : Effect.scoped(other)
 * ) // => true
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromHandle: (handle: UserEventHandle) => Effect.Effect<UserEvent, PollerError, Scope.Scope> =
  internal.fromHandle
