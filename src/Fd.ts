/**
 * Owned descriptors: open until they are closed, or until their scope closes, and closed exactly
 * once.
 *
 * Use it where Node has no function: pipes, eventfds, FIFOs and devices that must not block,
 * descriptors that a native library gave away. Each call is one system call. A call that would
 * block returns `Option.none` at once; `AsyncFd` waits until it does not.
 *
 * A descriptor that was closed is never touched again, because its number may have been reused by
 * then: every call fails with `Closed`, and `fd` is -1.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type { Inspectable } from "effect/Inspectable"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as internal from "./internal/descriptor/fd.ts"
import type { PollerError } from "./PollerError.ts"
import type { FdLike } from "./Registrar.ts"

declare const TypeId: "~effect-amy/Fd"

/**
 * An open descriptor.
 *
 * **Details**
 *
 * Its methods can be passed on: `const { tryRead } = fd`. It prints as `Fd(7)`, or as `Fd(closed)`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Fd extends Inspectable {
  readonly [TypeId]: typeof TypeId

  /** The number, or -1 once it is closed. */
  readonly fd: number

  /**
   * Reads into the buffer: read(2). Returns the number of bytes, 0 at the end, or none if the call
   * would block. On a descriptor in blocking mode, the call blocks the thread.
   *
   * - Fails with `InvalidArgument` if the offset or the length is outside the buffer, or if there
   *   is no room for a byte.
   * - Fails with `Closed` if the descriptor was closed.
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
   * Writes from the buffer: write(2). Returns the number of bytes, or none if the call would block.
   *
   * Node ignores SIGPIPE. A program that has installed a listener for that signal and removed it
   * again is killed by it, in place of `BrokenPipe`, unless the descriptor is a socket of `Tcp` or
   * `Unix`.
   *
   * - Fails with `InvalidArgument` if the offset or the length is outside the buffer.
   * - Fails with `Closed` if the descriptor was closed.
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
   * Reads into 1 to 1,024 buffers, one after the other: readv(2). Returns the number of bytes, 0 at
   * the end, or none if the call would block.
   *
   * - Fails with `InvalidArgument` if the buffers are too few or too many, or have no room for a
   *   byte.
   * - Fails with `Closed` if the descriptor was closed.
   * - Fails with `BadDescriptor` if the descriptor is not open for reading.
   * - Fails with `ConnectionReset` if the peer has broken the connection off.
   * - Fails with `SystemError` if readv(2) fails otherwise.
   *
   * @since 0.2.0
   */
  readonly tryReadv: (buffers: ReadonlyArray<Uint8Array>) => Effect.Effect<Option.Option<number>, PollerError>

  /**
   * Writes from 1 to 1,024 buffers, one after the other: writev(2). Returns the number of bytes, or
   * none if the call would block.
   *
   * - Fails with `InvalidArgument` if the buffers are too few or too many.
   * - Fails with `Closed` if the descriptor was closed.
   * - Fails with `BadDescriptor` if the descriptor is not open for writing.
   * - Fails with `BrokenPipe` if the reading end is closed.
   * - Fails with `ConnectionReset` if the peer has broken the connection off.
   * - Fails with `SystemError` if writev(2) fails otherwise.
   *
   * @since 0.2.0
   */
  readonly tryWritev: (buffers: ReadonlyArray<Uint8Array>) => Effect.Effect<Option.Option<number>, PollerError>

  /**
   * Sets or clears `O_NONBLOCK`: fcntl(2). Every duplicate of the descriptor shares it.
   *
   * - Fails with `Closed` if the descriptor was closed.
   */
  readonly setNonblocking: (nonblocking: boolean) => Effect.Effect<void, PollerError>

  /**
   * Makes a second descriptor for the same open file: fcntl(2) with `F_DUPFD_CLOEXEC`.
   *
   * - Fails with `Closed` if the descriptor was closed.
   * - Fails with `LimitReached` if the process has no descriptor left.
   */
  readonly dup: Effect.Effect<Fd, PollerError, Scope.Scope>

  /**
   * Closes the descriptor before its scope does: close(2).
   *
   * - Fails with `Closed` if it was closed before.
   */
  readonly close: Effect.Effect<void, PollerError>

  /**
   * Gives the number away without closing it. From then on its new owner has to close it.
   *
   * - Fails with `Closed` if the descriptor was closed.
   */
  readonly take: Effect.Effect<number, PollerError>
}

/**
 * Returns whether a value is an {@link Fd}.
 *
 * @category guards
 * @since 0.2.0
 */
export const isFd: (u: unknown) => u is Fd = internal.isFd

/**
 * Takes over a descriptor that its previous owner gives away.
 *
 * **Details**
 *
 * To use a descriptor that its owner keeps, pass its number to `AsyncFd.make` or to the
 * `Registrar`.
 *
 * - Fails with `BadDescriptor` if the number is not an open descriptor.
 * - Fails with `InvalidArgument` if it is not an integer.
 *
 * **Example**
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Fd } from "effect-amy"
 * import { openSync } from "node:fs"
 *
 * const program = Effect.gen(function* () {
 *   const fd = yield* Fd.own(openSync("/dev/null", "r"))
 *   yield* fd.close
 *   const error = yield* Effect.flip(fd.close)
 *   console.log(String(fd), error.reason._tag)
 * })
 *
 * await Effect.runPromise(Effect.scoped(program)) // => Fd(closed) Closed
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const own: (fd: number) => Effect.Effect<Fd, PollerError, Scope.Scope> = internal.own

/**
 * Opens a FIFO, a device or a terminal without waiting for anything: open(2) with `O_NONBLOCK`.
 * Creates nothing.
 *
 * **Details**
 *
 * A FIFO that is opened for `"both"` is never at its end.
 *
 * - Fails with `NotFound` if the path does not exist.
 * - Fails with `PermissionDenied` if the process must not open it, or `node --permission` forbids it.
 * - Fails with `LimitReached` if the process has no descriptor left.
 * - Fails with `InvalidArgument` if the path or the access is invalid.
 * - Fails with `SystemError` if open(2) fails otherwise: with ENXIO for a FIFO to write that no
 *   process reads.
 *
 * **Example**
 *
 * ```ts
 * import { Effect } from "effect"
 * import { AsyncFd, Fd, Poller } from "effect-amy"
 * import { execFileSync } from "node:child_process"
 * import { mkdtempSync, rmSync } from "node:fs"
 * import { tmpdir } from "node:os"
 * import { join } from "node:path"
 *
 * const directory = mkdtempSync(join(tmpdir(), "fifo-"))
 * const path = join(directory, "fifo")
 * execFileSync("mkfifo", [path])
 *
 * const program = Effect.gen(function* () {
 *   const fifo = yield* AsyncFd.make(yield* Fd.open(path, "both"))
 *   yield* fifo.writeAll(new TextEncoder().encode("hello"))
 *   const buffer = new Uint8Array(64)
 *   const length = yield* fifo.read(buffer)
 *   console.log(new TextDecoder().decode(buffer.subarray(0, length)))
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Poller.layerEventLoop()))) // => hello
 * rmSync(directory, { recursive: true })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const open: (path: string, access: "read" | "write" | "both") => Effect.Effect<Fd, PollerError, Scope.Scope> =
  internal.open

/**
 * Makes a pipe with two non-blocking ends: pipe2(2).
 *
 * **Details**
 *
 * - Fails with `LimitReached` if the process has no descriptor left.
 *
 * **Example**
 *
 * ```ts
 * import { Effect, Option } from "effect"
 * import { Fd } from "effect-amy"
 *
 * const program = Effect.gen(function* () {
 *   const { reader, writer } = yield* Fd.pipe
 *   const buffer = new Uint8Array(8)
 *   console.log(Option.isNone(yield* reader.tryRead(buffer)))
 *   yield* writer.tryWritev([Uint8Array.of(1, 2), Uint8Array.of(3)])
 *   console.log(Option.getOrThrow(yield* reader.tryRead(buffer)), buffer[2])
 * })
 *
 * await Effect.runPromise(Effect.scoped(program))
 * // => true
 * // => 3 3
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const pipe: Effect.Effect<{ readonly reader: Fd; readonly writer: Fd }, PollerError, Scope.Scope> = internal.pipe

/**
 * Makes a descriptor non-blocking, or blocking again: fcntl(2) with `O_NONBLOCK`. For a descriptor
 * that is not an {@link Fd}, which has a method of this name.
 *
 * **Gotchas**
 *
 * Every duplicate of the descriptor shares its mode, also in other processes, so this is for the
 * owner of the open file to decide. No other part of this library changes the mode of a descriptor
 * that it did not open.
 *
 * - Fails with `BadDescriptor` if the number is not that of an open descriptor.
 * - Fails with `InvalidArgument` if it is not an integer.
 * - Fails with `UnsupportedPlatform` if koffi cannot be loaded.
 *
 * **Example** (A descriptor that something else has opened)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { AsyncFd, Fd, Poller } from "effect-amy"
 *
 * const program = Effect.gen(function* () {
 *   const { reader, writer } = yield* Fd.pipe
 *   yield* Fd.setNonblocking(reader.fd, false)
 *   yield* writer.tryWrite(Uint8Array.of(1, 2, 3))
 *
 *   const watched = yield* AsyncFd.make(reader.fd, { event: "Read" })
 *   yield* Fd.setNonblocking(reader.fd, true)
 *   console.log(yield* watched.read(new Uint8Array(8)))
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Poller.layerEventLoop()))) // => 3
 * ```
 *
 * @category modes
 * @since 0.2.0
 */
export const setNonblocking: (fd: FdLike, nonblocking: boolean) => Effect.Effect<void, PollerError> =
  internal.setNonblocking

/**
 * Makes a counter in the kernel that is readable while it is not zero: eventfd(2). Its initial
 * count defaults to 0.
 *
 * **Details**
 *
 * Each read and each write is eight bytes: a number in the byte order of the machine.
 *
 * - Fails with `InvalidArgument` if the count is not an integer from 0 to 4,294,967,295.
 * - Fails with `LimitReached` if the process has no descriptor left.
 * - Fails with `UnsupportedPlatform` on systems other than Linux.
 *
 * **Example**
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Fd } from "effect-amy"
 *
 * const program = Effect.gen(function* () {
 *   const counter = yield* Fd.eventfd(5)
 *   const count = new BigUint64Array(1)
 *   yield* counter.tryRead(new Uint8Array(count.buffer))
 *   console.log(count[0])
 * })
 *
 * await Effect.runPromise(Effect.scoped(program)) // => 5n
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const eventfd: (initial?: number) => Effect.Effect<Fd, PollerError, Scope.Scope> = (initial = 0) =>
  internal.eventfd(initial)
