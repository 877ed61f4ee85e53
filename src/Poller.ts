/**
 * Waits in the kernel for any number of descriptors, and reports which have become ready.
 *
 * A layer of this module provides two services: the `Poller`, which reports, and the `Registrar`, which says what to
 * watch. Choose the layer by where the wait shall happen:
 *
 * - `layerWorker`, the default: on a thread of its own. For programs whose work is done on several threads.
 * - `layerEventLoop`: nowhere; this thread's event loop watches the kernel's poller along with everything else. For
 *   programs of one thread, and where latency matters.
 * - `layerBlocking`: on the calling thread, inside `wait`. For a thread that does nothing but poll.
 * - `layerAttach`: in another thread's poller, which this thread joins by its handle.
 *
 * **Example** (The notifications of one descriptor)
 *
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { Fd, Poller, Registrar } from "effect-amy"
 *
 * const program = Effect.gen(function* () {
 *   const poller = yield* Poller.Poller
 *   const { reader, writer } = yield* Fd.pipe
 *   const id = yield* Registrar.registerScoped(reader, "Read")
 *   yield* writer.write(new TextEncoder().encode("hello"))
 *
 *   const first = yield* poller.notifications.pipe(
 *     Stream.filter((notification) => notification.id === id),
 *     Stream.runHead
 *   )
 *   console.log(first._tag, first._tag === "Some" && first.value.event)
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Poller.layerEventLoop()))) // => Some Read
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
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import { PollerMemory } from "./internal/shared/pollerMemory.ts"
import { invalidArgument } from "./internal/errors/pollerErrors.ts"
import * as internalMetrics from "./internal/layers/metrics.ts"
import * as internal from "./internal/layers/pollerService.ts"
import * as Attach from "./internal/layers/attach.ts"
import type { Attachment } from "./internal/delivery/attachment.ts"
import * as Blocking from "./internal/layers/blocking.ts"
import type { BlockingOptions } from "./internal/layers/blocking.ts"
import * as EventLoop from "./internal/layers/eventLoop.ts"
import type { Options } from "./internal/layers/options.ts"
import * as Worker from "./internal/layers/worker.ts"
import * as internalRegistrar from "./internal/delivery/registrar.ts"
import type { Notification } from "./Notification.ts"
import type { PollerError } from "./PollerError.ts"
import { Registrar } from "./Registrar.ts"

export type { BlockingOptions, Options }

/**
 * What another thread of the same process needs to join a poller. It is plain data: send it with `postMessage`, or give
 * it as `workerData`.
 *
 * @category schemas
 * @since 0.1.0
 */
export const PollerHandle = Schema.Struct({
  _tag: Schema.tag("effect-amy/PollerHandle"),
  memory: Schema.instanceOf(SharedArrayBuffer),
  selector: Schema.Struct({ fd: Schema.Int, wake: Schema.Int })
})

/**
 * What another thread of the same process needs to join a poller.
 *
 * **Gotchas**
 *
 * It means nothing in another process, and nothing once the poller is closed.
 *
 * @category models
 * @since 0.1.0
 */
export type PollerHandle = typeof PollerHandle.Type

/**
 * Figures of a poller, counted since its layer was built. The same are Effect metrics, named `effect_amy_notifications`
 * and so on, with the poller as an attribute.
 *
 * @category models
 * @since 0.1.0
 */
export interface PollerStats {
  /** Notifications given to the consumers of this thread. */
  readonly notifications: number
  /** Reports that were merged into a notification which nobody had taken yet, on this thread. */
  readonly merged: number
  /** Batches in which the notifications came to this thread. */
  readonly batches: number
  /** Waits in the kernel, by whichever thread polls. */
  readonly waits: number
  /** Wake-ups sent to threads that slept; the fewer for so many notifications, the better. */
  readonly wakeups: number
  /** Reports that the polling thread kept back because a thread's mailbox was full. Nothing of it is lost. */
  readonly overflows: number
  /**
   * Registrations of all threads. A descriptor that is closed, or taken over or deregistered by another thread, still
   * counts for the one that registered it until that one registers the same number again.
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
     * Everything that is ready now, or what becomes ready first, or nothing once the timeout is over. Never early. A
     * timeout of zero polls: it returns whatever is ready at the time of the call.
     *
     * Fails with `InvalidArgument` if the timeout is negative or not a number, with `Closed` once the poller is closed,
     * with `WorkerFailed` once the thread that polls has died.
     */
    readonly wait: (timeout: Duration.Input) => Effect.Effect<ReadonlyArray<Notification>, PollerError>
    /**
     * What is reported to this thread. Takers compete: each notification goes to one of them. Ends when the poller
     * closes, after what had been reported by then; fails with `WorkerFailed` if the thread that polls has died.
     */
    readonly queue: Queue.Dequeue<Notification, PollerError | Cause.Done>
    /** The same queue as a stream, one chunk for each batch. Ends, and fails, as the queue does. */
    readonly notifications: Stream.Stream<Notification, PollerError>
    /** With it another thread joins this poller, by `layerAttach`. */
    readonly handle: PollerHandle
    /** The figures as they are now. */
    readonly stats: Effect.Effect<PollerStats>
  }
>()("effect-amy/Poller") {}

const fromAttachment = (
  name: string,
  open: Effect.Effect<Attachment, PollerError, Scope.Scope>
): Layer.Layer<Poller | Registrar, PollerError> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const attachment = yield* open
      yield* internalMetrics.register(name, () => internal.statsOf(attachment))
      const handle: PollerHandle = {
        _tag: "effect-amy/PollerHandle",
        memory: attachment.memory.buffer,
        selector: attachment.origin
      }
      return Context.make(Poller, internal.make(attachment, handle)).pipe(
        Context.add(Registrar, internalRegistrar.make(attachment))
      )
    })
  )

/**
 * A dedicated thread waits in the kernel, and a scoped fiber watches over it. Its reports come to the thread that builds
 * the layer, and to each thread that attaches.
 *
 * **When to use**
 *
 * Use when several threads do the work, or when the thread that registers is often busy for long.
 *
 * **Details**
 *
 * Closing the scope joins the thread, closes every descriptor that the library has opened, and ends all consumers.
 * While the layer is built it keeps the process alive, as a listening server does.
 *
 * Fails with `LimitReached`, `InvalidArgument`, `WorkerFailed` or `UnsupportedPlatform`.
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
export const layerWorker = (options?: Options): Layer.Layer<Poller | Registrar, PollerError> =>
  fromAttachment("worker", Worker.open(options))

/**
 * This thread's event loop watches the kernel's poller along with its timers and sockets: there is no other thread, and
 * no hop between threads.
 *
 * **When to use**
 *
 * Use when one thread does it all, and when latency matters.
 *
 * **Details**
 *
 * One turn of the loop takes one batch (`batchSize`), or, where one or two notifications come at a time and lead to the
 * next at once, up to 16 of those in 0.25 milliseconds: so timers and other input and output get their turn too. While the
 * layer is built it keeps the process alive.
 *
 * Fails with `LimitReached`, `InvalidArgument` or `UnsupportedPlatform`.
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
export const layerEventLoop = (options?: Options): Layer.Layer<Poller | Registrar, PollerError> =>
  fromAttachment("event-loop", EventLoop.open(options))

/**
 * The calling thread itself blocks in the kernel, inside `wait`, or while someone takes from the empty `queue`.
 *
 * **When to use**
 *
 * Use on a thread that does nothing but poll, for the threads that attach to it or for itself.
 *
 * **Details**
 *
 * Whatever else runs on this thread has a turn at least once a second. Timeouts are real time, whatever `Clock` the
 * program is given. Refused with `InvalidArgument` on the main thread, unless `allowMainThread`; fails with `LimitReached`
 * or `UnsupportedPlatform`, too.
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
export const layerBlocking = (options?: BlockingOptions): Layer.Layer<Poller | Registrar, PollerError> =>
  fromAttachment("blocking", Blocking.open(options))

/**
 * Joins the poller of another thread of this process: what is registered here is reported here, directly.
 *
 * **Details**
 *
 * Closing the scope leaves the poller and this thread's registrations as they are; their reports are dropped until
 * another thread takes them over with `Registrar.reregister`. While the layer is built it keeps its thread alive.
 *
 * Fails with `Closed`, with `LimitReached` if `maxThreads` are attached already, with `InvalidArgument` if it is given
 * something other than a handle.
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
  fromAttachment(
    "attached",
    Effect.suspend(() =>
      !Schema.is(PollerHandle)(handle) || !PollerMemory.isPollerMemory(handle.memory)
        ? Effect.fail(invalidArgument("this is no handle of a poller: give what Poller.handle is in the other thread"))
        : handle.selector.fd === -1
          ? Effect.fail(invalidArgument("nobody can attach to a TestPoller: there is no kernel behind it"))
          : Attach.open(handle.memory, handle.selector)
    )
  )

/**
 * The default: `layerWorker` without options.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<Poller | Registrar, PollerError> = layerWorker()
