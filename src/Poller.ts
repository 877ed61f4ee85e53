/**
 * Waits in the kernel for any number of descriptors, and reports which of them have become ready.
 *
 * A layer of this module provides two services: the {@link Poller}, which reports, and the
 * `Registrar`, which says what to watch. Choose the layer by where the wait happens:
 *
 * - {@link layerWorker}, the default: on a thread of its own. For programs whose work is done on
 *   several threads.
 * - {@link layerEventLoop}: nowhere; the event loop of this thread watches the kernel's poller
 *   along with everything else. For programs of one thread, and where latency matters.
 * - {@link layerBlocking}: on the calling thread, inside `wait`. For a thread that does nothing but
 *   poll.
 * - {@link layerAttach}: in the poller of another thread, which this thread joins by its handle.
 *
 * **Example** (The notifications of one descriptor)
 *
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { Fd, Poller, Registrar } from "effect-amy"
 *
 * const program = Effect.gen(function* () {
 *   const { reader, writer } = yield* Fd.pipe
 *   yield* writer.tryWrite(new TextEncoder().encode("hello"))
 *
 *   // Registered while the stream runs; its notifications come to nothing else.
 *   yield* Registrar.watch(reader, "Read").pipe(
 *     Stream.take(1),
 *     Stream.runForEach((notification) => Effect.sync(() => console.log(notification.event)))
 *   )
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Poller.layerEventLoop()))) // => Read
 * ```
 *
 * **Example** (The notifications of all descriptors, taken by one consumer)
 *
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { Fd, Poller, Registrar } from "effect-amy"
 *
 * const program = Effect.gen(function* () {
 *   const counters = yield* Effect.forEach([1, 2, 3], Fd.eventfd)
 *   for (const counter of counters) yield* Registrar.registerScoped(counter, "Read")
 *   yield* Poller.notifications.pipe(
 *     Stream.take(3),
 *     Stream.runForEach(({ event, id }) => Effect.sync(() => console.log(id, event)))
 *   )
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Poller.layerEventLoop())))
 * // => 1 Read
 * // => 2 Read
 * // => 3 Read
 * ```
 *
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Attachment } from "./internal/delivery/attachment.ts"
import * as internalRegistrar from "./internal/delivery/registrar.ts"
import * as Attach from "./internal/layers/attach.ts"
import * as Blocking from "./internal/layers/blocking.ts"
import * as EventLoop from "./internal/layers/eventLoop.ts"
import * as Handle from "./internal/layers/pollerHandle.ts"
import * as internal from "./internal/layers/pollerService.ts"
import * as Worker from "./internal/layers/worker.ts"
import type { Notification } from "./Notification.ts"
import type { PollerError } from "./PollerError.ts"
import { Registrar } from "./Registrar.ts"

declare const HandleTypeId: "~effect-amy/PollerHandle"

/**
 * How {@link layerWorker} and {@link layerEventLoop} open a poller.
 *
 * @category options
 * @since 0.2.0
 */
export interface LayerOptions {
  /**
   * How many entries the mailbox of one thread holds in shared memory: 1 to 1,048,576, rounded up
   * to a power of two. Defaults to 4,096. The polling thread keeps what does not fit, so this is a
   * matter of speed and not of loss. An entry takes eight bytes.
   */
  readonly mailboxSize?: number | undefined
  /**
   * How many threads may use the poller at the same time, with the one that builds it: 1 to 2,047.
   * Defaults to 64. Each takes its memory when it attaches.
   */
  readonly maxThreads?: number | undefined
  /** How many entries one wait in the kernel reports at most: 1 to 65,536. Defaults to 1,024. */
  readonly batchSize?: number | undefined
}

/**
 * How {@link layerBlocking} opens a poller.
 *
 * @category options
 * @since 0.2.0
 */
export interface LayerBlockingOptions extends LayerOptions {
  /**
   * Allows the main thread to block, which keeps it from everything else it does. Defaults to
   * `false`.
   */
  readonly allowMainThread?: boolean | undefined
}

/**
 * With a handle, another thread of the same process joins a poller: see {@link layerAttach}. It is
 * plain data: send it with `postMessage`, or pass it as `workerData`.
 *
 * **Gotchas**
 *
 * It means nothing in another process, and nothing once the poller is closed.
 *
 * @category models
 * @since 0.1.0
 */
export interface PollerHandle {
  readonly [HandleTypeId]: typeof HandleTypeId
}

/**
 * Returns whether a value is the handle of a poller, also after it has crossed a thread.
 *
 * @category guards
 * @since 0.2.0
 */
export const isPollerHandle: (u: unknown) => u is PollerHandle = Handle.isPollerHandle

/**
 * Figures of a poller, counted since its layer was built. They are Effect metrics as well, named
 * `effect_amy_notifications` and so on, with the poller as an attribute.
 *
 * @category models
 * @since 0.1.0
 */
export interface PollerStats {
  /** Notifications given to the consumers of this thread. */
  readonly notifications: number
  /** Reports that were merged into a notification that had not been taken yet, on this thread. */
  readonly merged: number
  /** Batches in which the notifications came to this thread. */
  readonly batches: number
  /** Waits in the kernel, by the thread that polls. Looks that do not wait count as well. */
  readonly waits: number
  /** Wake-ups sent to threads that slept. The fewer for a number of notifications, the better. */
  readonly wakeups: number
  /**
   * Reports that the polling thread kept back because a thread's mailbox was full. They are
   * delivered later.
   */
  readonly overflows: number
  /**
   * Registrations of all threads. A descriptor that is closed, or taken over or deregistered by
   * another thread, still counts for the thread that registered it, until that thread registers the
   * same number again.
   */
  readonly registrations: number
}

/**
 * The service that waits in the kernel.
 *
 * @category services
 * @since 0.1.0
 */
export class Poller extends Context.Service<
  Poller,
  {
    /**
     * Returns everything that is ready now, or what becomes ready first, or nothing once the
     * timeout has passed. Never early. A timeout of zero polls: it returns what is ready at the
     * time of the call.
     *
     * - Fails with `InvalidArgument` if the timeout is negative or not a number
     * - Fails with `Closed` if the poller is closed
     * - Fails with `WorkerFailed` if the polling thread has died
     */
    readonly wait: (timeout: Duration.Input) => Effect.Effect<ReadonlyArray<Notification>, PollerError>
    /**
     * What is reported to this thread. Takers compete: each notification goes to one of them. Ends
     * when the poller closes, after what had been reported by then.
     *
     * - Fails with `WorkerFailed` if the polling thread has died
     */
    readonly queue: Queue.Dequeue<Notification, PollerError | Cause.Done>
    /**
     * The same queue as a stream, one notification a pull. What it has not emitted is still in the
     * queue. Ends as the queue does.
     *
     * - Fails with `WorkerFailed` if the polling thread has died
     */
    readonly notifications: Stream.Stream<Notification, PollerError>
    /**
     * The same queue as a stream of batches, for throughput: everything in the queue is one
     * element, and is taken when it is pulled. A consumer that is interrupted while it works on a
     * batch loses the rest of it. Ends as the queue does.
     *
     * - Fails with `WorkerFailed` if the polling thread has died
     */
    readonly batches: Stream.Stream<readonly [Notification, ...Array<Notification>], PollerError>
    /** With it another thread joins this poller, by {@link layerAttach}. */
    readonly handle: PollerHandle
    /** The figures as they are now. */
    readonly stats: Effect.Effect<PollerStats>
  }
>()("effect-amy/Poller") {}

/**
 * Returns everything that is ready now, or what becomes ready first, or nothing once the timeout
 * has passed. See {@link Poller.wait}.
 *
 * **Example**
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Fd, Poller, Registrar } from "effect-amy"
 *
 * const program = Effect.gen(function* () {
 *   const id = yield* Registrar.registerScoped(yield* Fd.eventfd(1), "Read")
 *   const [notification] = yield* Poller.wait("1 second")
 *   console.log(notification?.id === id)
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Poller.layer))) // => true
 * ```
 *
 * @category polling
 * @since 0.2.0
 */
export const wait = (timeout: Duration.Input): Effect.Effect<ReadonlyArray<Notification>, PollerError, Poller> =>
  Effect.flatMap(Poller, (poller) => poller.wait(timeout))

/**
 * Everything that is reported to this thread, as a stream. See {@link Poller.notifications}.
 *
 * **When to use**
 *
 * Use where one consumer takes the notifications of many registrations. For those of one
 * descriptor, there is `Registrar.watch`.
 *
 * @category polling
 * @since 0.2.0
 */
export const notifications: Stream.Stream<Notification, PollerError, Poller> = Stream.unwrap(
  Effect.map(Poller, (poller) => poller.notifications)
)

/**
 * Everything that is reported to this thread, as a stream of batches. See {@link Poller.batches}.
 *
 * **When to use**
 *
 * Use for throughput: a batch costs what one notification does in {@link notifications}.
 *
 * **Example**
 *
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { Fd, Poller, Registrar } from "effect-amy"
 *
 * const program = Effect.gen(function* () {
 *   const counters = yield* Effect.forEach([1, 1, 1], Fd.eventfd)
 *   for (const counter of counters) yield* Registrar.registerScoped(counter, "Read")
 *   let seen = 0
 *   yield* Poller.batches.pipe(
 *     Stream.takeUntil((batch) => (seen += batch.length) === counters.length),
 *     Stream.runDrain
 *   )
 *   console.log(seen)
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Poller.layer))) // => 3
 * ```
 *
 * @category polling
 * @since 0.2.0
 */
export const batches: Stream.Stream<readonly [Notification, ...Array<Notification>], PollerError, Poller> =
  Stream.unwrap(Effect.map(Poller, (poller) => poller.batches))

/**
 * The queue of everything that is reported to this thread. See {@link Poller.queue}.
 *
 * @category polling
 * @since 0.2.0
 */
export const queue: Effect.Effect<Queue.Dequeue<Notification, PollerError | Cause.Done>, never, Poller> = Effect.map(
  Poller,
  (poller) => poller.queue
)

/**
 * The handle with which another thread joins this poller. See {@link layerAttach}.
 *
 * @category threads
 * @since 0.2.0
 */
export const handle: Effect.Effect<PollerHandle, never, Poller> = Effect.map(Poller, (poller) => poller.handle)

/**
 * The figures of this poller as they are now. See {@link PollerStats}.
 *
 * @category metrics
 * @since 0.2.0
 */
export const stats: Effect.Effect<PollerStats, never, Poller> = Effect.flatMap(Poller, (poller) => poller.stats)

const fromAttachment = (
  name: string,
  open: Effect.Effect<Attachment, PollerError, Scope.Scope>
): Layer.Layer<Poller | Registrar, PollerError> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const attachment = yield* open
      return Context.make(Poller, yield* internal.make(name, attachment)).pipe(
        Context.add(Registrar, internalRegistrar.make(attachment))
      )
    })
  )

/**
 * Waits in the kernel on a dedicated thread, which a scoped fiber supervises. Its reports come to
 * the thread that builds the layer, and to each thread that attaches.
 *
 * **When to use**
 *
 * Use when several threads do the work, or when the thread that registers is often busy for a long
 * time.
 *
 * **Details**
 *
 * Closing the scope joins the thread, closes every descriptor that the library has opened, and ends
 * all consumers. While the layer is built it keeps the process alive, as a listening server does.
 *
 * - Fails with `LimitReached` if no descriptor is left, or no memory for the mailboxes
 * - Fails with `InvalidArgument` if an option is out of range
 * - Fails with `WorkerFailed` if the polling thread cannot be started
 * - Fails with `UnsupportedPlatform` if this system has no poller
 * - Fails with `PermissionDenied` if `node --permission` forbids native code, or threads
 *
 * **Example**
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Poller } from "effect-amy"
 *
 * const program = Effect.gen(function* () {
 *   const poller = yield* Poller.Poller
 *   const notifications = yield* poller.wait("10 millis")
 *   console.log(notifications.length)
 * })
 *
 * await Effect.runPromise(Effect.provide(program, Poller.layerWorker({ mailboxSize: 1024 }))) // => 0
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerWorker = (options?: LayerOptions): Layer.Layer<Poller | Registrar, PollerError> =>
  fromAttachment("worker", Worker.open(options))

/**
 * Lets the event loop of this thread watch the kernel's poller, along with its timers and sockets.
 * There is no other thread, and no hop between threads.
 *
 * **When to use**
 *
 * Use when one thread does all the work, and when latency matters.
 *
 * **Details**
 *
 * One turn of the loop takes one batch (`batchSize`). Where one or two notifications come at a
 * time, and lead to the next at once, it takes up to 16 batches in 0.25 milliseconds. So timers and
 * other I/O have their turn too. While the layer is built it keeps the process alive.
 *
 * - Fails with `LimitReached` if no descriptor is left, or no memory for the mailboxes
 * - Fails with `InvalidArgument` if an option is out of range
 * - Fails with `UnsupportedPlatform` if this system has no poller, or this runtime not the event loop of
 *   Node.js: in Bun and Deno, use {@link layerWorker}. The same holds on Windows, whose event loop cannot
 *   watch a poller
 * - Fails with `PermissionDenied` if `node --permission` forbids native code
 *
 * **Example**
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Poller } from "effect-amy"
 *
 * const program = Effect.gen(function* () {
 *   const poller = yield* Poller.Poller
 *   yield* poller.wait(0)
 *   console.log((yield* poller.stats).registrations)
 * })
 *
 * await Effect.runPromise(Effect.provide(program, Poller.layerEventLoop())) // => 0
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerEventLoop = (options?: LayerOptions): Layer.Layer<Poller | Registrar, PollerError> =>
  fromAttachment("event-loop", EventLoop.open(options))

/**
 * Blocks the calling thread in the kernel, inside `wait`, or while a fiber takes from the empty
 * `queue`.
 *
 * **When to use**
 *
 * Use on a thread that does nothing but poll, for the threads that attach to it or for itself.
 *
 * **Details**
 *
 * Everything else on this thread has a turn at least once a second. Timeouts are real time,
 * whichever `Clock` the program is given.
 *
 * - Fails with `InvalidArgument` if it is built on the main thread without `allowMainThread`, or an
 *   option is out of range
 * - Fails with `LimitReached` if no descriptor is left, or no memory for the mailboxes
 * - Fails with `UnsupportedPlatform` if this system has no poller
 * - Fails with `PermissionDenied` if `node --permission` forbids native code
 *
 * **Gotchas**
 *
 * Threads that are attached receive only while this one waits.
 *
 * **Example**
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Poller } from "effect-amy"
 *
 * const program = Effect.flatMap(Poller.Poller, (poller) => poller.wait("10 millis"))
 *
 * const refused = await Effect.runPromise(Effect.flip(Effect.provide(program, Poller.layerBlocking())))
 * console.log(refused.reason._tag) // => InvalidArgument
 *
 * const allowed = Poller.layerBlocking({ allowMainThread: true })
 * console.log(await Effect.runPromise(Effect.provide(program, allowed))) // => []
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerBlocking = (options?: LayerBlockingOptions): Layer.Layer<Poller | Registrar, PollerError> =>
  fromAttachment("blocking", Blocking.open(options))

/**
 * Joins the poller of another thread of this process. What this thread registers is reported to
 * this thread, directly.
 *
 * **Details**
 *
 * Closing the scope leaves the poller and this thread's registrations as they are; their reports
 * are dropped until another thread takes them over with `Registrar.reregister`. While the layer is
 * built it keeps its thread alive.
 *
 * - Fails with `Closed` if that poller is closed
 * - Fails with `WorkerFailed` if its polling thread has died
 * - Fails with `LimitReached` if `maxThreads` threads use it already, or no descriptor or memory is left
 * - Fails with `InvalidArgument` if the argument is not the handle of a poller, or is that of a
 *   `TestPoller`
 * - Fails with `UnsupportedPlatform` if this system has no poller
 * - Fails with `PermissionDenied` if `node --permission` forbids native code
 *
 * **Example**
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Fd, Poller, Registrar } from "effect-amy"
 * import { once } from "node:events"
 * import { isMainThread, Worker, workerData } from "node:worker_threads"
 *
 * const main = Effect.gen(function* () {
 *   const poller = yield* Poller.Poller
 *   const worker = new Worker(new URL(import.meta.url), { workerData: poller.handle })
 *   yield* Effect.promise(() => once(worker, "exit"))
 * })
 *
 * const attached = Effect.gen(function* () {
 *   const poller = yield* Poller.Poller
 *   const counter = yield* Fd.eventfd(1)
 *   // Registered by this thread, and so reported to it.
 *   const id = yield* Registrar.registerScoped(counter, "Read")
 *   const [notification] = yield* poller.wait("5 seconds")
 *   console.log(notification?.id === id)
 * })
 *
 * await Effect.runPromise(
 *   isMainThread
 *     ? Effect.provide(main, Poller.layerWorker())
 *     : attached.pipe(Effect.scoped, Effect.provide(Poller.layerAttach(workerData)))
 * ) // => true
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerAttach = (handle: PollerHandle): Layer.Layer<Poller | Registrar, PollerError> =>
  fromAttachment("attached", Attach.open(handle))

/**
 * The default: {@link layerWorker} without options.
 *
 * **Details**
 *
 * - Fails with `LimitReached` if no descriptor is left, or no memory for the mailboxes
 * - Fails with `WorkerFailed` if the polling thread cannot be started
 * - Fails with `UnsupportedPlatform` if this system has no poller
 * - Fails with `PermissionDenied` if `node --permission` forbids native code, or threads
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<Poller | Registrar, PollerError> = layerWorker()
