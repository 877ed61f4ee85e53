/**
 * One descriptor's readiness as effects: wait until it is readable or writable, or retry a call until it does not block.
 *
 * Reach for it where a descriptor comes from elsewhere, such as a C library called through koffi, an inotify or a pidfd
 * descriptor, a serial line; `Tcp`, `Udp` and `Unix` are made of the same.
 *
 * ## What it remembers
 *
 * The kernel reports a change once, so readiness that was reported is remembered, for reading and for writing each, until
 * an attempt shows that it is over: `readWhenReady` and `writeWhenReady` forget it when their attempt answers
 * `Option.none`, `read` and `write` when their call would block, and `Ready.clear` when you say so. Nothing else does;
 * in particular `readable` returns at once for as long as nobody has read everything. What is reported during an attempt
 * is not forgotten by it.
 *
 * A report may be out of date by the time it arrives: that something is readable means that it is worth a try.
 *
 * Any number of fibers may wait. Reading and writing do not affect each other. Fibers that read are served in turn. One
 * that is interrupted while it waits leaves nothing behind, and has read nothing; what a call that was made has brought is
 * gone with a fiber that is interrupted before its next step.
 *
 * The descriptor stays its owner's: it is neither closed nor made non-blocking. Close it after the scope of the `AsyncFd`,
 * not before: nobody is told that it was closed. What is asked of an `Fd` after that fails with `Closed`; a number that was given
 * is used, whoever has it by then.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type * as Sink from "effect/Sink"
import type * as Stream from "effect/Stream"
import type { Event } from "./Event.ts"
import * as internal from "./internal/bytes/asyncFd.ts"
import type { PollerError } from "./PollerError.ts"
import type { FdLike, Registrar } from "./Registrar.ts"

/**
 * What was reported of one direction.
 *
 * @category models
 * @since 0.1.0
 */
export interface Ready {
  /** The peer writes nothing more; there may still be something to read. */
  readonly readClosed: boolean
  /** The peer reads nothing more. */
  readonly writeClosed: boolean
  /** An error waits at the descriptor. */
  readonly error: boolean
  /** Forgets this readiness, unless more was reported meanwhile: for a call that was made elsewhere and would have blocked. */
  readonly clear: Effect.Effect<void>
}

/**
 * What is watched from the start.
 *
 * @category options
 * @since 0.1.0
 */
export interface AsyncFdOptions {
  /** What to watch for from the start, `"Both"` unless given. Waiting for something else has it watched too. */
  readonly event?: Event | undefined
  /** Watches for exceptional conditions from the start. */
  readonly priority?: boolean | undefined
}

/**
 * A descriptor that is waited for.
 *
 * **Details**
 *
 * Everything fails with `Closed` once the scope or the poller is closed, also for whoever waits by then; and with
 * `WorkerFailed` if the polling thread has died.
 *
 * @category models
 * @since 0.1.0
 */
export interface AsyncFd {
  readonly fd: number
  /** Returns once there is something to read, an end or an error. */
  readonly readable: Effect.Effect<Ready, PollerError>
  /** Returns once there is room to write, an end or an error. */
  readonly writable: Effect.Effect<Ready, PollerError>
  /** Returns once there is an exceptional condition, such as urgent data. */
  readonly priority: Effect.Effect<Ready, PollerError>

  /**
   * Retries an attempt, each time when there is something to read, until it answers something. `Option.none` is what would
   * block.
   */
  readonly readWhenReady: <A, E, R>(
    attempt: Effect.Effect<Option.Option<A>, E, R>
  ) => Effect.Effect<A, E | PollerError, R>

  /** As `readWhenReady`, each time when there is room to write. */
  readonly writeWhenReady: <A, E, R>(
    attempt: Effect.Effect<Option.Option<A>, E, R>
  ) => Effect.Effect<A, E | PollerError, R>

  /**
   * Waits for something to read, and reads: read(2). Answers how many bytes, 0 at the end.
   *
   * Fails with `InvalidArgument` if the offset or the length are outside the buffer, if there is no room for a byte, or if the
   * descriptor is in blocking mode, and as read(2) does. The mode is looked at once: one that is made blocking after that, also
   * by another process that shares the open file, as a terminal may be, blocks the thread.
   */
  readonly read: (buffer: Uint8Array, offset?: number, length?: number) => Effect.Effect<number, PollerError>

  /**
   * Waits for room to write, and writes what fits: write(2). Answers how many bytes. Fails as `Fd.write` does, its word on
   * SIGPIPE included.
   */
  readonly write: (buffer: Uint8Array, offset?: number, length?: number) => Effect.Effect<number, PollerError>

  /**
   * Writes all of it. What other fibers write meanwhile comes before or after it, never in between. The buffer is not to be
   * changed until it returns. Interrupted, it may have written a part.
   */
  readonly writeAll: (buffer: Uint8Array, offset?: number, length?: number) => Effect.Effect<void, PollerError>

  /**
   * Everything there is to read, until the end. Small chunks share memory, as Node's own buffers do: to transfer one to
   * another thread, transfer a copy, `chunk.slice()`. Where there are messages, an empty one is an end.
   */
  readonly stream: Stream.Stream<Uint8Array, PollerError>

  /** Writes every chunk by itself, so that each is a message where there are messages. */
  readonly sink: Sink.Sink<void, Uint8Array, never, PollerError>
}

/**
 * Watches a descriptor until the scope closes.
 *
 * **Details**
 *
 * Fails as `Registrar.register` does; in particular with `AlreadyRegistered` if the descriptor is registered already, and
 * with `NotPollable` if it is a regular file. It is not reported through `Poller.notifications`.
 *
 * **Example** (A call of one's own)
 *
 * ```ts
 * import { Effect, Fiber, Option } from "effect"
 * import { AsyncFd, Fd, Poller } from "effect-amy"
 *
 * // The attempt is one call that does not block: none is what would block.
 * const take = (counter: Fd.Fd) => {
 *   const count = new BigUint64Array(1)
 *   return Effect.map(
 *     counter.read(new Uint8Array(count.buffer)),
 *     Option.map(() => count[0])
 *   )
 * }
 *
 * const program = Effect.gen(function* () {
 *   const counter = yield* Fd.eventfd()
 *   const ready = yield* AsyncFd.make(counter, { event: "Read" })
 *   const waiting = yield* Effect.forkChild(ready.readWhenReady(take(counter)))
 *   yield* counter.write(new Uint8Array(new BigUint64Array([7n]).buffer))
 *   console.log(yield* Fiber.join(waiting))
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Poller.layerEventLoop()))) // => 7n
 * ```
 *
 * **Example** (A descriptor of a C library, here of inotify(7))
 *
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { AsyncFd, Fd, Poller } from "effect-amy"
 * import koffi from "koffi"
 * import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
 * import { tmpdir } from "node:os"
 * import { join } from "node:path"
 *
 * const library = koffi.load(null)
 * const inotify_init1 = library.func("int inotify_init1(int flags)") as (flags: number) => number
 * const inotify_add_watch = library.func("int inotify_add_watch(int fd, const char *path, uint32_t mask)") as (
 *   fd: number,
 *   path: string,
 *   mask: number
 * ) => number
 * const IN_NONBLOCK = 0o4000
 * const IN_CREATE = 0x100
 *
 * const directory = mkdtempSync(join(tmpdir(), "watched-"))
 *
 * const program = Effect.gen(function* () {
 *   // It is ours to close. One that stays the library's is given to AsyncFd.make as its number.
 *   const inotify = yield* Fd.own(inotify_init1(IN_NONBLOCK))
 *   inotify_add_watch(inotify.fd, directory, IN_CREATE)
 *   const events = yield* AsyncFd.make(inotify, { event: "Read" })
 *   writeFileSync(join(directory, "new"), "")
 *   yield* events.stream.pipe(
 *     Stream.take(1),
 *     // `struct inotify_event`: 16 bytes, and the name.
 *     Stream.runForEach((event) => Effect.sync(() => console.log(Buffer.from(event.subarray(16)).toString().replace(/\0+$/, ""))))
 *   )
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Poller.layerEventLoop()))) // => new
 * rmSync(directory, { recursive: true })
 * ```
 *
 * **Example** (A stream of what comes)
 *
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { AsyncFd, Fd, Poller } from "effect-amy"
 *
 * const program = Effect.gen(function* () {
 *   const { reader, writer } = yield* Fd.pipe
 *   yield* writer.write(new TextEncoder().encode("one\ntwo\n"))
 *   yield* writer.close
 *   const pipe = yield* AsyncFd.make(reader, { event: "Read" })
 *   yield* pipe.stream.pipe(
 *     Stream.decodeText,
 *     Stream.splitLines,
 *     Stream.runForEach((line) => Effect.sync(() => console.log(line)))
 *   )
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Poller.layerEventLoop())))
 * // => one
 * // => two
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: (
  fd: FdLike,
  options?: AsyncFdOptions
) => Effect.Effect<AsyncFd, PollerError, Registrar | Scope.Scope> = (fd, options) => internal.make(fd, options)
