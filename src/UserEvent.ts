/**
 * Wakes a poller by hand, from any thread: a registration without a descriptor, reported when a program says so.
 *
 * Use it to tell the thread that consumes notifications that there is something else for it to do: a queue of one's own
 * that has filled, a configuration that has changed, the time to stop.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as internal from "./internal/delivery/userEvent.ts"
import type { PollerError } from "./PollerError.ts"
import { Registrar, type RegistrationId } from "./Registrar.ts"

/**
 * What another thread of the same process needs in order to trigger an event. It is plain data: send it with
 * `postMessage`, or give it as `workerData`.
 *
 * @category schemas
 * @since 0.1.0
 */
export const UserEventHandle = Schema.Struct({
  _tag: Schema.tag("effect-amy/UserEventHandle"),
  id: Schema.Int,
  trigger: Schema.Int,
  shared: Schema.instanceOf(SharedArrayBuffer)
})

/**
 * What another thread of the same process needs in order to trigger an event.
 *
 * @category models
 * @since 0.1.0
 */
export type UserEventHandle = typeof UserEventHandle.Type

/**
 * An event that a program triggers itself.
 *
 * **Details**
 *
 * Triggers coalesce: however many there are before the notification is taken, there is one notification. It is reported
 * with the event `"Read"`, to the thread that made the event.
 *
 * @category models
 * @since 0.1.0
 */
export interface UserEvent {
  /** The id under which it is reported. */
  readonly id: RegistrationId
  /** Reports it: one write(2). Fails with `Closed` once its scope has closed, and as the poller does once that ended. */
  readonly trigger: Effect.Effect<void, PollerError>
  /** Takes back what was triggered and not yet reported. Fails as `trigger` does. */
  readonly clear: Effect.Effect<void, PollerError>
  /** With it another thread opens this event, by `fromHandle`. */
  readonly handle: UserEventHandle
}

/**
 * Makes an event of this thread's poller. It ends with the scope.
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
 * Opens an event of another thread, until the scope closes.
 *
 * **Details**
 *
 * No poller is needed on the thread that triggers. Fails with `Closed` if the event has ended, with `InvalidArgument` if
 * it is given something other than a handle, with `LimitReached` if no descriptor can be opened.
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
export const fromHandle = (handle: UserEventHandle): Effect.Effect<UserEvent, PollerError, Scope.Scope> =>
  Effect.suspend(() =>
    internal.fromHandle(Schema.is(UserEventHandle)(handle) && handle.shared.byteLength === 4 ? handle : undefined)
  )
