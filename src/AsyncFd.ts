/**
 * The readiness of one descriptor as effects: wait until it is readable or writable, or retry a
 * call until it does not block.
 *
 * Use it for a descriptor that comes from elsewhere: from a C library called through koffi, from
 * inotify or pidfd, from a serial line. `Tcp`, `Udp` and `Unix` are built of the same parts.
 *
 * ## What it remembers
 *
 * The kernel reports a change once. So the report is remembered, for reading and for writing each,
 * until an attempt shows that it is out of date:
 *
 * - `readWhenReady` and `writeWhenReady` forget it when their attempt returns `Option.none`,
 * - `read`, `write`, `tryRead` and `tryWrite` when their call would block,
 * - `Ready.clear` when the program says so.
 *
 * Nothing else forgets it. In particular, `readable` returns at once until something has read
 * everything. A report that arrives during an attempt is not forgotten by that attempt.
 *
 * By the time a report arrives, it may be out of date: readable means that an attempt is
 * worthwhile.
 *
 * ## Fibers
 *
 * Any number of fibers may wait. Reading and writing do not affect each other. Fibers that read are
 * served in turn. A fiber that is interrupted while it waits leaves nothing behind, and has read
 * nothing. If a fiber is interrupted between a call and its own next step, the call's result is
 * lost.
 *
 * ## The descriptor
 *
 * It stays its owner's: it is neither closed nor made non-blocking. Close it after the scope of the
 * `AsyncFd`, not before, because no system reports that a descriptor was closed. If it was given as
 * an `Fd` and was closed too early, every call fails with `Closed`. If it was given as a number,
 * the number is used, even if it has been reused by then.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type { Inspectable } from "effect/Inspectable"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type * as Sink from "effect/Sink"
import type * as Stream from "effect/Stream"
import type { Event } from "./Event.ts"
import * as internal from "./internal/bytes/asyncFd.ts"
import type { PollerError } from "./PollerError.ts"
import type { FdLike, Registrar } from "./Registrar.ts"

declare const TypeId: "~effect-amy/AsyncFd"

/**
 * The reports of one direction that {@link AsyncFd.readable} and its like return.
 *
 * @category models
 * @since 0.1.0
 */
export interface Ready extends Inspectable {
  /** The peer writes nothing more. There may still be something to read. */
  readonly readClosed: boolean
  /** The peer reads nothing more. */
  readonly writeClosed: boolean
  /** An error is pending at the descriptor. */
  readonly error: boolean
  /**
   * Forgets this readiness, unless more was reported meanwhile. For a program that made its call
   * itself and found that it would block.
   */
  readonly clear: Effect.Effect<void>
}

/**
 * Options of {@link make}.
 *
 * @category options
 * @since 0.2.0
 */
export interface MakeOptions {
  /**
   * What to watch from the start. Defaults to `"Both"`. A direction that is waited for later is
   * watched from then on.
   */
  readonly event?: Event | undefined
  /** Whether to watch for exceptional conditions from the start. Defaults to false. */
  readonly priority?: boolean | undefined
}

/**
 * A descriptor that is watched.
 *
 * **Details**
 *
 * Its methods can be passed on: `const { read } = watched`. It prints as `AsyncFd(7)`.
 *
 * Every operation, and every fiber that waits:
 *
 * - Fails with `Closed` once the scope or the poller is closed.
 * - Fails with `WorkerFailed` once the polling thread has died.
 *
 * @category models
 * @since 0.1.0
 */
export interface AsyncFd extends Inspectable {
  readonly [TypeId]: typeof TypeId

  /** The number of the descriptor. */
  readonly fd: number

  /** Returns once there is something to read, an end or an error. */
  readonly readable: Effect.Effect<Ready, PollerError>

  /** Returns once there is room to write, an end or an error. */
  readonly writable: Effect.Effect<Ready, PollerError>

  /** Returns once there is an exceptional condition, such as urgent data. */
  readonly priority: Effect.Effect<Ready, PollerError>

  /**
   * Retries an attempt each time there is something to read, until it returns a value. An attempt
   * that would block returns `Option.none`.
   *
   * - Fails as the attempt does.
   */
  readonly readWhenReady: <A, E, R>(
    attempt: Effect.Effect<Option.Option<A>, E, R>
  ) => Effect.Effect<A, E | PollerError, R>

  /**
   * Retries an attempt each time there is room to write, until it returns a value. An attempt that
   * would block gives `Option.none`.
   *
   * - Fails as the attempt does.
   */
  readonly writeWhenReady: <A, E, R>(
    attempt: Effect.Effect<Option.Option<A>, E, R>
  ) => Effect.Effect<A, E | PollerError, R>

  /**
   * Waits for something to read, and reads: read(2). Returns the number of bytes, 0 at the end.
   *
   * The descriptor's blocking mode is checked at the first call. If it is made blocking after that,
   * the call blocks the thread. A process that shares the open file, such as a terminal, can do
   * that.
   *
   * - Fails with `InvalidArgument` if the offset or the length is outside the buffer, if there is
   *   no room for a byte, or if the descriptor is in blocking mode.
   * - Fails with `BadDescriptor` if the descriptor is not open for reading.
   * - Fails with `ConnectionReset` if the peer has broken the connection off.
   * - Fails with `SystemError` if read(2) fails otherwise.
   */
  readonly read: (buffer: Uint8Array, offset?: number, length?: number) => Effect.Effect<number, PollerError>

  /**
   * Reads now, if there may be something to read. Returns the number of bytes, 0 at the end. Returns
   * none if the call would block, if nothing was reported since it would have, or if another fiber
   * waits to read.
   *
   * If reading is not watched yet, it is from then on. The first call then returns none.
   *
   * - Fails with `InvalidArgument` if the offset or the length is outside the buffer, if there is
   *   no room for a byte, or if the descriptor is in blocking mode.
   * - Fails with `BadDescriptor` if the descriptor is not open for reading.
   * - Fails with `ConnectionReset` if the peer has broken the connection off.
   * - Fails with `SystemError` if read(2) fails otherwise.
   *
   * @since 0.2.0
   */
  readonly tryRead: (
    buffer: Uint8Array,
    offset?: number,
    length?: number
  ) => Effect.Effect<Option.Option<number>, PollerError>

  /**
   * Waits for room to write, and writes what fits: write(2). Returns the number of bytes.
   *
   * Node ignores SIGPIPE. A program that has installed a listener for that signal and removed it
   * again is killed by it, in place of `BrokenPipe`.
   *
   * - Fails with `InvalidArgument` if the offset or the length is outside the buffer, or if the
   *   descriptor is in blocking mode.
   * - Fails with `BadDescriptor` if the descriptor is not open for writing.
   * - Fails with `BrokenPipe` if the reading end is closed.
   * - Fails with `ConnectionReset` if the peer has broken the connection off.
   * - Fails with `SystemError` if write(2) fails otherwise.
   */
  readonly write: (buffer: Uint8Array, offset?: number, length?: number) => Effect.Effect<number, PollerError>

  /**
   * Writes now, if there may be room. Returns the number of bytes. Returns none if the call would
   * block, if nothing was reported since it would have, or if another fiber waits to write.
   *
   * If writing is not watched yet, it is from then on. The first call then returns none.
   *
   * - Fails with `InvalidArgument` if the offset or the length is outside the buffer, or if the
   *   descriptor is in blocking mode.
   * - Fails with `BadDescriptor` if the descriptor is not open for writing.
   * - Fails with `BrokenPipe` if the reading end is closed.
   * - Fails with `ConnectionReset` if the peer has broken the connection off.
   * - Fails with `SystemError` if write(2) fails otherwise.
   *
   * @since 0.2.0
   */
  readonly tryWrite: (
    buffer: Uint8Array,
    offset?: number,
    length?: number
  ) => Effect.Effect<Option.Option<number>, PollerError>

  /**
   * Writes all of the bytes. Bytes that other fibers write meanwhile come before or after, never in
   * between. Do not change the buffer until it returns. If it is interrupted, a part may be
   * written.
   *
   * - Fails with `InvalidArgument` if the offset or the length is outside the buffer, or if the
   *   descriptor is in blocking mode.
   * - Fails with `BadDescriptor` if the descriptor is not open for writing.
   * - Fails with `BrokenPipe` if the reading end is closed.
   * - Fails with `ConnectionReset` if the peer has broken the connection off.
   * - Fails with `SystemError` if write(2) fails otherwise.
   */
  readonly writeAll: (buffer: Uint8Array, offset?: number, length?: number) => Effect.Effect<void, PollerError>

  /**
   * Reads until the end. On a descriptor of messages, an empty one is an end.
   *
   * Small chunks share memory, as the buffers of Node do. The memory of a larger one may go beyond
   * its end, and is not cleared there: it may hold bytes of other descriptors. To clone or transfer
   * a chunk to another thread, pass a copy, which has no other bytes: `chunk.slice()`.
   *
   * - Fails with `InvalidArgument` if the descriptor is in blocking mode.
   * - Fails with `BadDescriptor` if the descriptor is not open for reading.
   * - Fails with `ConnectionReset` if the peer has broken the connection off.
   * - Fails with `SystemError` if read(2) fails otherwise.
   */
  readonly stream: Stream.Stream<Uint8Array, PollerError>

  /**
   * Writes each chunk by a call of its own: on a descriptor of messages, each is a message.
   *
   * - Fails with `InvalidArgument` if the descriptor is in blocking mode.
   * - Fails with `BadDescriptor` if the descriptor is not open for writing.
   * - Fails with `BrokenPipe` if no process can read the bytes any more.
   * - Fails with `ConnectionReset` if the peer has broken the connection off.
   * - Fails with `SystemError` if write(2) fails otherwise.
   */
  readonly sink: Sink.Sink<void, Uint8Array, never, PollerError>
}

/**
 * Returns whether a value is an {@link AsyncFd}.
 *
 * @category guards
 * @since 0.2.0
 */
export const isAsyncFd: (u: unknown) => u is AsyncFd = internal.isAsyncFd

/**
 * Watches a descriptor until the scope closes.
 *
 * **Details**
 *
 * Its readiness is not reported through `Poller.notifications`.
 *
 * - Fails with `AlreadyRegistered` if the descriptor is registered already.
 * - Fails with `NotPollable` if it is a regular file or a directory.
 * - Fails with `BadDescriptor` if it is not open.
 * - Fails with `InvalidArgument` if it is not an integer, or if an option is invalid.
 * - Fails with `LimitReached` if the kernel can watch no more.
 * - Fails with `Closed` or `WorkerFailed` if the poller has ended.
 *
 * **Example** (An attempt of your own)
 *
 * ```ts
 * import { Effect, Fiber, Option } from "effect"
 * import { AsyncFd, Fd, Poller } from "effect-amy"
 *
 * // An attempt is one call that does not block. It returns none if it would.
 * const take = (counter: Fd.Fd) => {
 *   const count = new BigUint64Array(1)
 *   return Effect.map(
 *     counter.tryRead(new Uint8Array(count.buffer)),
 *     Option.map(() => count[0])
 *   )
 * }
 *
 * const program = Effect.gen(function* () {
 *   const counter = yield* Fd.eventfd()
 *   const ready = yield* AsyncFd.make(counter, { event: "Read" })
 *   const waiting = yield* Effect.forkChild(ready.readWhenReady(take(counter)))
 *   yield* counter.tryWrite(new Uint8Array(new BigUint64Array([7n]).buffer))
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
 *   // The program owns it. If the library keeps it, pass its number to AsyncFd.make instead.
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
 * **Example** (The bytes as a stream)
 *
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { AsyncFd, Fd, Poller } from "effect-amy"
 *
 * const program = Effect.gen(function* () {
 *   const { reader, writer } = yield* Fd.pipe
 *   yield* writer.tryWrite(new TextEncoder().encode("one\ntwo\n"))
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
export const make: (fd: FdLike, options?: MakeOptions) => Effect.Effect<AsyncFd, PollerError, Registrar | Scope.Scope> =
  internal.make
