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

/** Of poll(2). Every system that this library runs on has these numbers. */
const Poll = { IN: 0x1, PRI: 0x2, OUT: 0x4, ERR: 0x8, HUP: 0x10 } as const

/**
 * Returns the event that a mask of poll(2) asks for or reports, or `"None"`. For C libraries whose
 * interface is `struct pollfd`.
 *
 * **Details**
 *
 * `POLLIN` and `POLLPRI` are reading, `POLLOUT` is writing. `POLLERR` and `POLLHUP` are both: the
 * next call finds out.
 *
 * **Example**
 *
 * ```ts
 * import { Event } from "effect-amy"
 *
 * console.log(Event.fromPoll(0x1), Event.fromPoll(0x5), Event.fromPoll(0)) // => Read Both None
 * ```
 *
 * @category conversions
 * @since 0.2.0
 */
export const fromPoll = (mask: number): Event | "None" => {
  const ended = (mask & (Poll.ERR | Poll.HUP)) !== 0
  const readable = ended || (mask & (Poll.IN | Poll.PRI)) !== 0
  const writable = ended || (mask & Poll.OUT) !== 0
  return readable ? (writable ? "Both" : "Read") : writable ? "Write" : "None"
}

/**
 * Returns the mask of poll(2) for an event: `POLLIN`, `POLLOUT`, or both.
 *
 * **Example**
 *
 * ```ts
 * import { Event } from "effect-amy"
 *
 * console.log(Event.toPoll("Read"), Event.toPoll("Both"), Event.toPoll("None")) // => 1 5 0
 * ```
 *
 * @category conversions
 * @since 0.2.0
 */
export const toPoll = (event: Event | "None"): number =>
  event === "None" ? 0 : (isReadable(event) ? Poll.IN : 0) | (isWritable(event) ? Poll.OUT : 0)
