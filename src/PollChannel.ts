/**
 * A channel between threads whose receiving end is registered with a poller: many senders in many threads, one receiver,
 * and a notification when there is something to receive. It is what amy calls `channel` and `sync_channel`.
 *
 * Use it to give work to a thread that already waits for notifications: what it is to do and what its descriptors report
 * then arrive in one place.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import { MessagePort } from "node:worker_threads"
import * as internalOpen from "./internal/channel/open.ts"
import * as internal from "./internal/channel/sender.ts"
import type { PollerError } from "./PollerError.ts"
import type { Registrar, RegistrationId } from "./Registrar.ts"
import * as UserEvent from "./UserEvent.ts"

/**
 * What another thread of the same process needs in order to send. It holds a `MessagePort`, which has to be transferred:
 * `worker.postMessage(handle, [handle.port])`, or `{ workerData: handle, transferList: [handle.port] }`. Each handle makes
 * one sender.
 *
 * @category schemas
 * @since 0.1.0
 */
export const SenderHandle = Schema.Struct({
  _tag: Schema.tag("effect-amy/SenderHandle"),
  port: Schema.instanceOf(MessagePort),
  shared: Schema.instanceOf(SharedArrayBuffer),
  event: Schema.declare(UserEvent.isUserEventHandle)
})

/**
 * What another thread of the same process needs in order to send.
 *
 * @category models
 * @since 0.1.0
 */
export type SenderHandle = typeof SenderHandle.Type

/**
 * The sending end of a channel.
 *
 * @category models
 * @since 0.1.0
 */
export interface Sender<in A> {
  /**
   * Sends a value. If the channel is bounded and full, suspends until there is room; the thread is not blocked. Values
   * of one sender arrive in the order in which they were sent.
   *
   * Fails with `Closed` once the receiver is gone or this sender is closed, and with `InvalidArgument` if the value
   * cannot be cloned; the channel goes on.
   */
  readonly send: (value: A) => Effect.Effect<void, PollerError>
  /** Sends a value if there is room; answers whether there was. Fails as `send` does. */
  readonly trySend: (value: A) => Effect.Effect<boolean, PollerError>
  /** Makes a handle for one further sender, in another thread. Fails with `Closed`. */
  readonly handle: Effect.Effect<SenderHandle, PollerError>
  /** Ends this sender. When all are gone and nothing is left, the receiver ends. */
  readonly close: Effect.Effect<void>
}

/**
 * The receiving end of a channel.
 *
 * **Details**
 *
 * While nobody waits in `receive` or `stream`, a message that comes to the empty channel is reported as a notification
 * with the receiver's `id`: then take with `tryReceive` until there is none. It is reported once, not for every message,
 * and once more when the last sender is gone.
 *
 * @category models
 * @since 0.1.0
 */
export interface Receiver<out A> {
  /** The id under which the poller reports that there is something to receive. */
  readonly id: RegistrationId
  /** The next message, if there is one. Fails with `Closed` once all senders are gone and nothing is left. */
  readonly tryReceive: Effect.Effect<Option.Option<A>, PollerError>
  /** The next message, as soon as there is one. Fails as `tryReceive` does. */
  readonly receive: Effect.Effect<A, PollerError>
  /** All messages, in chunks of what is there. Ends when all senders are gone, or when the poller closes. */
  readonly stream: Stream.Stream<A, PollerError>
}

/**
 * Both ends of a channel, and its figures.
 *
 * @category models
 * @since 0.1.0
 */
export interface PollChannel<in out A> {
  readonly sender: Sender<A>
  readonly receiver: Receiver<A>
  readonly stats: Effect.Effect<PollChannelStats>
}

/**
 * Figures of one channel, over all its senders.
 *
 * @category models
 * @since 0.1.0
 */
export interface PollChannelStats {
  /** Messages sent. */
  readonly sent: number
  /** Messages sent and not received yet. */
  readonly pending: number
  /** How often the poller was told: at most once each time the receiver had emptied the channel. */
  readonly triggers: number
}

/**
 * Makes a channel that holds any number of messages. It ends with the scope.
 *
 * **Example**
 *
 * ```ts
 * import { Effect } from "effect"
 * import { PollChannel, Poller } from "effect-amy"
 *
 * const program = Effect.gen(function* () {
 *   const poller = yield* Poller.Poller
 *   const { receiver, sender } = yield* PollChannel.unbounded<string>()
 *   yield* sender.send("one")
 *   yield* sender.send("two")
 *   const notifications = yield* poller.wait("1 second")
 *   console.log(notifications.length, notifications[0]?.id === receiver.id)
 *   console.log(yield* receiver.receive, yield* receiver.receive)
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Poller.layer)))
 * // => 1 true
 * // => one two
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const unbounded: <A>() => Effect.Effect<PollChannel<A>, PollerError, Registrar | Scope.Scope> =
  internalOpen.unbounded

/**
 * Makes a channel that holds so many messages; senders wait while it is full. It ends with the scope.
 *
 * **Details**
 *
 * Fails with `InvalidArgument` unless the number is a whole one from 1 to 2,147,483,647, and as `unbounded` does.
 *
 * **Example**
 *
 * ```ts
 * import { Effect } from "effect"
 * import { PollChannel, Poller } from "effect-amy"
 *
 * const program = Effect.gen(function* () {
 *   const { receiver, sender } = yield* PollChannel.bounded<number>(1)
 *   console.log(yield* sender.trySend(1), yield* sender.trySend(2))
 *   console.log(yield* receiver.receive, yield* sender.trySend(3))
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Poller.layer)))
 * // => true false
 * // => 1 true
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const bounded: <A>(capacity: number) => Effect.Effect<PollChannel<A>, PollerError, Registrar | Scope.Scope> =
  internalOpen.bounded

/**
 * Opens the sender that a handle is for, until the scope closes. The thread needs no poller.
 *
 * **Details**
 *
 * Each handle makes one sender. Fails with `InvalidArgument` if it is given something other than a handle, or one that has
 * made its sender on this thread already; with `Closed` if the receiver is gone; with `LimitReached` if no descriptor can be
 * opened.
 *
 * **Gotchas**
 *
 * Transfer a handle or use it here, not both: what is sent by a port that was given away is lost, and cannot be told from
 * what was sent.
 *
 * **Example**
 *
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { PollChannel, Poller } from "effect-amy"
 * import { isMainThread, Worker, workerData } from "node:worker_threads"
 *
 * const main = Effect.gen(function* () {
 *   const { receiver, sender } = yield* PollChannel.unbounded<string>()
 *   const handle = yield* sender.handle
 *   new Worker(new URL(import.meta.url), { workerData: handle, transferList: [handle.port] })
 *   yield* sender.close
 *   // Ends when the worker's sender is gone as well.
 *   yield* receiver.stream.pipe(Stream.runForEach((value) => Effect.sync(() => console.log(value))))
 * })
 *
 * const other = Effect.gen(function* () {
 *   const sender = yield* PollChannel.fromHandle<string>(workerData)
 *   yield* sender.send("from another thread")
 * })
 *
 * await Effect.runPromise(
 *   isMainThread ? main.pipe(Effect.scoped, Effect.provide(Poller.layer)) : Effect.scoped(other)
 * ) // => from another thread
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromHandle = <A>(handle: SenderHandle): Effect.Effect<Sender<A>, PollerError, Scope.Scope> =>
  Effect.suspend(() => internal.fromHandle<A>(Schema.is(SenderHandle)(handle) ? handle : undefined))
