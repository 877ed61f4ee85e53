/**
 * What a registration asks for and a notification reports: reading, writing, or both.
 *
 * @since 0.1.0
 */

/**
 * Reading, writing, or both.
 *
 * **Details**
 *
 * A registration asks for it; a notification reports it. Closed ends and errors are always reported, whatever was asked
 * for.
 *
 * @category models
 * @since 0.1.0
 */
export type Event = "Read" | "Write" | "Both"

/**
 * Whether an event covers reading.
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
 * Whether an event covers writing.
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
