/**
 * Reading, writing, or both: the interest of a registration, and the event of a notification.
 *
 * @since 0.1.0
 */

/**
 * Reading, writing, or both.
 *
 * **Details**
 *
 * A registration asks for an event, and a notification reports one. Closed ends and errors are
 * always reported, whatever the registration asks for.
 *
 * @category models
 * @since 0.1.0
 */
export type Event = "Read" | "Write" | "Both"

/**
 * Returns whether an event covers reading.
 *
 * **Example**
 *
 * ```ts
 * import { Event } from "effect-amy"
 *
 * console.log(Event.isReadable("Both"), Event.isReadable("Write")) // => true false
 * ```
 *
 * @category predicates
 * @since 0.1.0
 */
export const isReadable = (event: Event): boolean => event !== "Write"

/**
 * Returns whether an event covers writing.
 *
 * **Example**
 *
 * ```ts
 * import { Event } from "effect-amy"
 *
 * console.log(Event.isWritable("Both"), Event.isWritable("Read")) // => true false
 * ```
 *
 * @category predicates
 * @since 0.1.0
 */
export const isWritable = (event: Event): boolean => event !== "Read"
