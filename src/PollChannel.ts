/**
 * A channel between threads whose receiving end is registered with a poller: many senders in many threads, one receiver,
 * and a notification when there is something to receive. It is what amy calls `channel` and `sync_channel`.
 *
 * Use it to give work to a thread that already waits for notifications: what it is to do and what its descriptors report
 * then arrive in one place.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { MessageChannel, MessagePort } from "node:worker_threads"
import { closedBecause, invalidArgument } from "./internal/errors/pollerErrors.ts"
import * as internal from "./internal/channel/pollChannel.ts"
import * as internalUserEvent from "./internal/delivery/userEvent.ts"
import { isPollerError, type PollerError } from "./PollerError.ts"
import { Registrar, type RegistrationId } from "./Registrar.ts"
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
  event: UserEvent.UserEventHandle
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
 *   const { receiver, sender } = yield* PollChannel.make<string>()
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
export const make = <A>(): Effect.Effect<PollChannel<A>, PollerError, Registrar | Scope.Scope> => open<A>(0)

/**
 * Makes a channel that holds so many messages; senders wait while it is full. It ends with the scope.
 *
 * **Details**
 *
 * Fails with `InvalidArgument` unless the number is a whole one from 1 to 2,147,483,647, and as `make` does.
 *
 * **Example**
 *
 * ```ts
 * import { Effect } from "effect"
 * import { PollChannel, Poller } from "effect-amy"
 *
 * const program = Effect.gen(function* () {
 *   const { receiver, sender } = yield* PollChannel.makeBounded<number>(1)
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
export const makeBounded = <A>(capacity: number): Effect.Effect<PollChannel<A>, PollerError, Registrar | Scope.Scope> =>
  Effect.suspend(() =>
    Number.isInteger(capacity) && capacity >= 1 && capacity <= 0x7fff_ffff
      ? open<A>(capacity)
      : Effect.fail(invalidArgument(`the capacity ${String(capacity)} is none: give a whole number of 1 or more`))
  )

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
 *   const { receiver, sender } = yield* PollChannel.make<string>()
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
export const fromHandle = Effect.fnUntraced(function* <A>(
  handle: SenderHandle
): Effect.fn.Return<Sender<A>, PollerError, Scope.Scope> {
  if (!Schema.is(SenderHandle)(handle) || handle.shared.byteLength !== internal.sharedBytes) {
    return yield* invalidArgument("this is no handle of a sender: give what Sender.handle is in another thread")
  }
  const shared = new internal.Shared(handle.shared)
  if (internal.isUsed(handle.port)) {
    return yield* invalidArgument("this handle has made its sender already: ask for another one by Sender.handle")
  }
  if (shared.isReceiverGone || internal.isClosed(handle.port))
    return yield* closedBecause("the channel's receiver is gone")
  const event = yield* internalUserEvent.fromHandle(handle.event)
  const end = yield* Effect.acquireRelease(
    Effect.sync(() => new internal.SendingEnd<A>(shared, handle.port, event.triggerUnsafe)),
    (end) => Effect.sync(() => end.close())
  )
  return toSender(end, shared, handle.event)
})

const open = Effect.fnUntraced(function* <A>(
  capacity: number
): Effect.fn.Return<PollChannel<A>, PollerError, Registrar | Scope.Scope> {
  const registrar = yield* Registrar
  const event = internalUserEvent.implementation(yield* registrar.userEvent)
  const shared = internal.Shared.make(capacity)
  const { receiver, sender } = yield* Effect.acquireRelease(
    Effect.sync(() => {
      const { port1, port2 } = new MessageChannel()
      const receiver = new internal.ReceivingEnd<A>(shared, event, port1)
      return { receiver, sender: new internal.SendingEnd<A>(shared, port2, event.triggerUnsafe, receiver.adopt) }
    }),
    ({ receiver, sender }) =>
      Effect.sync(() => {
        receiver.close()
        sender.close()
      })
  )
  return {
    sender: toSender(sender, shared, event.handle),
    receiver: {
      id: event.id,
      tryReceive: receiver.tryReceive,
      receive: receiver.receive,
      stream: Stream.fromPull(Effect.succeed(Effect.catch(receiver.receiveAll, endIfClosed)))
    },
    stats: Effect.sync(() => ({ sent: shared.sent, pending: shared.pending, triggers: shared.triggers }))
  }
})

const endIfClosed = (error: PollerError): Effect.Effect<never, PollerError | Cause.Done> =>
  error.reason._tag === "Closed" ? Cause.done() : Effect.fail(error)

const toSender = <A>(
  end: internal.SendingEnd<A>,
  shared: internal.Shared,
  event: UserEvent.UserEventHandle
): Sender<A> => ({
  send: end.send,
  trySend: end.trySend,
  handle: Effect.suspend(() => {
    const port = end.fork()
    return isPollerError(port)
      ? Effect.fail(port)
      : Effect.succeed({ _tag: "effect-amy/SenderHandle", port, shared: shared.buffer, event } as const)
  }),
  close: Effect.sync(() => end.close())
})
