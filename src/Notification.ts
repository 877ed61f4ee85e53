/**
 * The report of a poller that the state of one registered descriptor has changed.
 *
 * @since 0.1.0
 */
import type * as Brand from "effect/Brand"
import type { Inspectable } from "effect/Inspectable"
import type { Event } from "./Event.ts"
import { NotificationImpl } from "./internal/delivery/notification.ts"
import { Readiness } from "./internal/kernel/selector.ts"
import { isMarked } from "./internal/objects/guards.ts"

const TypeId = "~effect-amy/Notification"

/**
 * Names one registration: a safe integer, unique for the life of its poller over all its threads,
 * rising, and never used twice. `Registrar.RegistrationId` is the same type, with a constructor for
 * tests.
 *
 * @category models
 * @since 0.2.0
 */
export type RegistrationId = number & Brand.Brand<"effect-amy/RegistrationId">

/**
 * A report of readiness for one registration.
 *
 * **Details**
 *
 * Everything reported for a registration between two takes is merged into one notification. So its
 * flags say what has happened since the last one, and not how often.
 *
 * **Gotchas**
 *
 * A notification is a hint to try, not a promise: another thread may have read the data already.
 * Read or write until the descriptor would block.
 *
 * @category models
 * @since 0.1.0
 */
export interface Notification extends Inspectable {
  readonly [TypeId]: typeof TypeId
  /** The registration, as `Registrar.register` returned it. */
  readonly id: RegistrationId
  /**
   * What to try. Also `"Both"` if the kernel reported only an error or a closed end, since that
   * ends both waits.
   */
  readonly event: Event
  /**
   * Nothing more will arrive: the peer has shut down its writing side, or the descriptor has hung
   * up.
   */
  readonly readClosed: boolean
  /** Nothing more can be sent. */
  readonly writeClosed: boolean
  /** The descriptor has a pending error, which a read, a write or `SO_ERROR` returns. */
  readonly error: boolean
  /**
   * Out-of-band data or another exceptional condition. Only reported to registrations made with
   * `priority`.
   */
  readonly priority: boolean
}

/**
 * Returns whether a value is a {@link Notification}.
 *
 * @category guards
 * @since 0.1.0
 */
export const isNotification = (u: unknown): u is Notification => isMarked(u, TypeId)

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
 * console.log(hangUp) // => Notification(1, Read, readClosed)
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
  return new NotificationImpl(fields.id as RegistrationId, bits)
}
