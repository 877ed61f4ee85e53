/**
 * What a poller reports: that the state of one registered descriptor has changed.
 *
 * @since 0.1.0
 */
import { hasProperty } from "effect/Predicate"
import type { Event } from "./Event.ts"
import { NotificationImpl, TypeId } from "./internal/delivery/notification.ts"
import { Readiness } from "./internal/kernel/selector.ts"

/**
 * A report of readiness for one registration.
 *
 * **Details**
 *
 * Everything reported for a registration between two takes is merged into one notification, so the flags say what has
 * happened since the last one and not how often.
 *
 * **Gotchas**
 *
 * A notification is a hint to try, not a promise: another thread may have read the data already. Read or write until
 * the descriptor answers that it would block.
 *
 * @category models
 * @since 0.1.0
 */
export interface Notification {
  readonly [TypeId]: typeof TypeId
  /** The registration, as `Registrar.register` answered it. */
  readonly id: number
  /** What to try. `"Both"` also when the kernel reported only an error or a closed end, for that ends both waits. */
  readonly event: Event
  /** Nothing more will arrive: the peer has shut down its writing side, or the descriptor has hung up. */
  readonly readClosed: boolean
  /** Nothing more can be sent. */
  readonly writeClosed: boolean
  /** The descriptor has a pending error: a read, a write or `SO_ERROR` tells which. */
  readonly error: boolean
  /** Out-of-band data or another exceptional condition: only reported to registrations made with `priority`. */
  readonly priority: boolean
}

/**
 * Whether a value is a `Notification`.
 *
 * @category guards
 * @since 0.1.0
 */
export const isNotification = (u: unknown): u is Notification => hasProperty(u, TypeId)

/**
 * Makes a notification by hand, for tests of code that consumes them.
 *
 * **Example**
 *
 * ```ts
 * import { Notification } from "effect-amy"
 *
 * const hangUp = Notification.make({ id: 1, event: "Read", readClosed: true })
 *
 * console.log(hangUp.event, hangUp.readClosed, hangUp.writeClosed) // => Read true false
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (fields: {
  readonly id: number
  readonly event: Event
  readonly readClosed?: boolean | undefined
  readonly writeClosed?: boolean | undefined
  readonly error?: boolean | undefined
  readonly priority?: boolean | undefined
}): Notification => {
  let bits = 0
  if (fields.event !== "Write") bits |= Readiness.Readable
  if (fields.event !== "Read") bits |= Readiness.Writable
  if (fields.readClosed === true) bits |= Readiness.ReadClosed
  if (fields.writeClosed === true) bits |= Readiness.WriteClosed
  if (fields.error === true) bits |= Readiness.Error
  if (fields.priority === true) bits |= Readiness.Priority
  return new NotificationImpl(fields.id, bits)
}
