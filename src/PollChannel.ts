/**
 * A channel between threads whose receiving end is registered with a poller. It has any number of
 * senders, in any threads, and one receiver. The poller reports a notification when there is
 * something to receive. This is what amy calls `channel` and `sync_channel`.
 *
 * Use it to give work to a thread that already waits for notifications. Its work and the readiness
 * of its descriptors then arrive in one place.
 *
 * @since 0.1.0
 */
/// <reference types="node" preserve="true" />
import type * as Effect from "effect/Effect"
import type { Inspectable } from "effect/Inspectable"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { MessagePort } from "node:worker_threads"
import * as Handle from "./internal/channel/handle.ts"
import * as internal from "./internal/channel/open.ts"
import * as internalReceiver from "./internal/channel/receiver.ts"
import * as internalSender from "./internal/channel/sender.ts"
import type { PollerError } from "./PollerError.ts"
import type { Registrar, RegistrationId } from "./Registrar.ts"

declare const HandleTypeId: "~effect-amy/PollChannel/SenderHandle"
declare const SenderTypeId: "~effect-amy/PollChannel/Sender"
declare const ReceiverTypeId: "~effect-amy/PollChannel/Receiver"

/**
 * With a handle, another thread of the same process gets a sender of its own: see
 * {@link fromHandle}. Each handle makes one sender.
 *
 * **Details**
 *
 * A handle holds a `MessagePort`, which has to be transferred:
 * `worker.postMessage(handle, [handle.port])`, or
 * `new Worker(url, { workerData: handle, transferList: [handle.port] })`.
 *
 * @category models
 * @since 0.1.0
 */
export interface SenderHandle {
  readonly [HandleTypeId]: typeof HandleTypeId
  /** The port to transfer along with the handle. */
  readonly port: MessagePort
}

/**
 * Returns whether a value is the handle of a sender, also after it has crossed a thread.
 *
 * @category guards
 * @since 0.2.0
 */
export const isSenderHandle: (u: unknown) => u is SenderHandle = Handle.isSenderHandle

/**
 * The sending end of a channel.
 *
 * @category models
 * @since 0.1.0
 */
export interface Sender<in A> extends Inspectable {
  readonly [SenderTypeId]: typeof SenderTypeId
  /**
   * Sends a value. While a bounded channel is full, the fiber suspends until there is room; the
   * thread is not blocked. Values of one sender arrive in the order in which they were sent.
   *
   * - Fails with `Closed` if the receiver is gone, or this sender is closed
   * - Fails with `InvalidArgument` if the value cannot be cloned; the channel remains usable
   */
  readonly send: (value: A) => Effect.Effect<void, PollerError>
  /**
   * Sends a value if there is room. Returns whether there was.
   *
   * - Fails with `Closed` if the receiver is gone, or this sender is closed
   * - Fails with `InvalidArgument` if the value cannot be cloned; the channel remains usable
   */
  readonly trySend: (value: A) => Effect.Effect<boolean, PollerError>
  /**
   * Makes a handle for one further sender, in another thread.
   *
   * - Fails with `Closed` if the receiver is gone, or this sender is closed
   */
  readonly handle: Effect.Effect<SenderHandle, PollerError>
  /** Closes this sender. Once all senders are closed and no message is left, the receiver ends. */
  readonly close: Effect.Effect<void>
}

/**
 * Returns whether a value is the sending end of a channel.
 *
 * @category guards
 * @since 0.2.0
 */
export const isSender: (u: unknown) => u is Sender<never> = internalSender.SenderImpl.is

/**
 * The receiving end of a channel.
 *
 * **Details**
 *
 * While no fiber waits in `receive` or `stream`, a message to the empty channel is reported as a
 * notification with the receiver's `id`. Then take messages with `tryReceive` until it returns
 * `None`. The notification comes once and not for every message, and once more when the last sender
 * is gone.
 *
 * @category models
 * @since 0.1.0
 */
export interface Receiver<out A> extends Inspectable {
  readonly [ReceiverTypeId]: typeof ReceiverTypeId
  /** The id with which the poller reports that there is something to receive. */
  readonly id: RegistrationId
  /**
   * Takes the next message, or returns `None` if there is none now.
   *
   * - Fails with `Closed` if all senders are gone and no message is left, or the channel or the
   *   poller is closed
   * - Fails with `WorkerFailed` if the polling thread has died and no message is left
   */
  readonly tryReceive: Effect.Effect<Option.Option<A>, PollerError>
  /**
   * Takes the next message, as soon as there is one.
   *
   * - Fails with `Closed` if all senders are gone and no message is left, or the channel or the
   *   poller is closed
   * - Fails with `WorkerFailed` if the polling thread has died and no message is left
   */
  readonly receive: Effect.Effect<A, PollerError>
  /**
   * Takes all messages that are there, up to 1,024, as soon as there is one.
   *
   * - Fails with `Closed` if all senders are gone and no message is left, or the channel or the
   *   poller is closed
   * - Fails with `WorkerFailed` if the polling thread has died and no message is left
   */
  readonly receiveMany: Effect.Effect<readonly [A, ...Array<A>], PollerError>
  /**
   * All messages, one a pull: what it has not emitted is still in the channel. Ends when all
   * senders are gone and no message is left, or when the channel or the poller closes.
   *
   * - Fails with `WorkerFailed` if the polling thread has died and no message is left
   */
  readonly stream: Stream.Stream<A, PollerError>
}

/**
 * Returns whether a value is the receiving end of a channel.
 *
 * @category guards
 * @since 0.2.0
 */
export const isReceiver: (u: unknown) => u is Receiver<unknown> = internalReceiver.ReceiverImpl.is

/**
 * Both ends of a channel, and its figures.
 *
 * @category models
 * @since 0.1.0
 */
export interface PollChannel<in out A> {
  readonly sender: Sender<A>
  readonly receiver: Receiver<A>
  /** The figures as they are now. */
  readonly stats: Effect.Effect<PollChannelStats>
}

/**
 * Figures of one channel, over all of its senders.
 *
 * @category models
 * @since 0.1.0
 */
export interface PollChannelStats {
  /** Messages sent. */
  readonly sent: number
  /** Messages sent and not received yet. */
  readonly pending: number
  /** Reports to the poller: at most one each time the receiver had emptied the channel. */
  readonly triggers: number
}

/**
 * Makes a channel that holds any number of messages. It closes with the scope.
 *
 * **Details**
 *
 * - Fails with `Closed` if the poller is closed
 * - Fails with `WorkerFailed` if the polling thread has died
 * - Fails with `LimitReached` if no descriptor can be opened
 *
 * **Example** (Messages that are reported by the poller)
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
 * @since 0.2.0
 */
export const unbounded: <A>() => Effect.Effect<PollChannel<A>, PollerError, Registrar | Scope.Scope> =
  internal.unbounded

/**
 * Makes a channel that holds at most `capacity` messages. Senders wait while it is full. It closes
 * with the scope.
 *
 * **Details**
 *
 * - Fails with `InvalidArgument` if the capacity is not an integer from 1 to 2,147,483,647
 * - Fails with `Closed` if the poller is closed
 * - Fails with `WorkerFailed` if the polling thread has died
 * - Fails with `LimitReached` if no descriptor can be opened
 *
 * **Example** (A channel that is full)
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
 * @since 0.2.0
 */
export const bounded: <A>(capacity: number) => Effect.Effect<PollChannel<A>, PollerError, Registrar | Scope.Scope> =
  internal.bounded

/**
 * Makes the sender that a handle is for. It closes with the scope. The thread needs no poller.
 *
 * **Details**
 *
 * - Fails with `InvalidArgument` if the value is not a handle, or has made its sender on this
 *   thread already
 * - Fails with `InvalidArgument` if the channel is a `TestPoller`'s, which is confined to its
 *   thread
 * - Fails with `Closed` if the receiver is gone
 * - Fails with `LimitReached` if no descriptor can be opened
 *
 * **Gotchas**
 *
 * Either transfer a handle or use it on this thread, not both. What is sent to a port that was
 * transferred is lost, and looks the same as what was sent.
 *
 * **Example** (A sender in another thread)
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
export const fromHandle: <A>(handle: SenderHandle) => Effect.Effect<Sender<A>, PollerError, Scope.Scope> =
  internalSender.fromHandle
