/**
 * Descriptors that are owned: open until they are closed, or until their scope closes, and closed exactly once.
 *
 * Reach for it where Node has no function: pipes, eventfds, FIFOs and devices that must not block, descriptors that a
 * native library gave away. Each call is one system call; one that would block answers `Option.none` and can be retried
 * with `AsyncFd.readWhenReady` and `AsyncFd.writeWhenReady`.
 *
 * A descriptor that was closed is never touched again, though its number may be another one's by then: everything fails
 * with `Closed`, and `fd` is -1.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as internal from "./internal/descriptor/fd.ts"
import type { PollerError } from "./PollerError.ts"

/**
 * An open descriptor.
 *
 * @category models
 * @since 0.1.0
 */
export interface Fd {
  /** Its number, or -1 once it is closed. */
  readonly fd: number

  /**
   * read(2): how many bytes were read into the buffer, 0 at the end, or none if it would block. A descriptor in blocking
   * mode blocks the thread.
   *
   * Fails with `InvalidArgument` if the offset or the length are outside the buffer, with `Closed`, `ConnectionReset` or
   * `SystemError`.
   */
  readonly read: (
    buffer: Uint8Array,
    offset?: number,
    length?: number
  ) => Effect.Effect<Option.Option<number>, PollerError>

  /**
   * write(2): how many bytes were taken from the buffer, or none if it would block.
   *
   * Fails as `read` does, and with `BrokenPipe` if nobody can read it any more. Node ignores `SIGPIPE`; a program that
   * had a listener for it and took it away is killed by that signal instead, unless the descriptor is a socket of `Tcp` or
   * `Unix`.
   */
  readonly write: (
    buffer: Uint8Array,
    offset?: number,
    length?: number
  ) => Effect.Effect<Option.Option<number>, PollerError>

  /** readv(2): as `read`, into up to 1,024 buffers, one after the other, with room for a byte at least. */
  readonly readv: (buffers: ReadonlyArray<Uint8Array>) => Effect.Effect<Option.Option<number>, PollerError>

  /** writev(2): as `write`, from up to 1,024 buffers, one after the other. */
  readonly writev: (buffers: ReadonlyArray<Uint8Array>) => Effect.Effect<Option.Option<number>, PollerError>

  /** Sets or clears `O_NONBLOCK`: fcntl(2). It is shared with every duplicate of the descriptor. */
  readonly setNonblocking: (nonblocking: boolean) => Effect.Effect<void, PollerError>

  /** A second descriptor for the same open file: fcntl(2) with `F_DUPFD_CLOEXEC`. Fails with `LimitReached` and `Closed`. */
  readonly dup: Effect.Effect<Fd, PollerError, Scope.Scope>

  /** close(2), before the scope does. Fails with `Closed` if it is closed already. */
  readonly close: Effect.Effect<void, PollerError>

  /** Gives the number away without closing it: from here on whoever gets it closes it. Fails with `Closed`. */
  readonly take: Effect.Effect<number, PollerError>
}

/**
 * Takes over a descriptor that somebody else has opened and gives away.
 *
 * **Details**
 *
 * Fails with `BadDescriptor` if the number is not open, with `InvalidArgument` if it is no whole number. To use a descriptor that stays somebody else's, give its number
 * to `AsyncFd.make` or to the `Registrar` instead.
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
 *   console.log(fd.fd, error.reason._tag)
 * })
 *
 * await Effect.runPromise(Effect.scoped(program)) // => -1 Closed
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const own: (fd: number) => Effect.Effect<Fd, PollerError, Scope.Scope> = internal.own

/**
 * Opens a FIFO, a device or a terminal without waiting for anything: open(2) with `O_NONBLOCK`.
 *
 * **Details**
 *
 * A FIFO opened to write fails with `SystemError` (ENXIO) while nobody reads it; opened for `"both"` it is never at its
 * end. What does not exist, or is not permitted, fails with `NotFound` or `PermissionDenied`, and with `LimitReached` if no
 * descriptor is left. Nothing is created.
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
 * Makes a pipe, both ends non-blocking: pipe2(2). Fails with `LimitReached` if no descriptor is left.
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
 *   console.log(Option.isNone(yield* reader.read(buffer)))
 *   yield* writer.writev([Uint8Array.of(1, 2), Uint8Array.of(3)])
 *   console.log(Option.getOrThrow(yield* reader.read(buffer)), buffer[2])
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
 * Makes a counter of the kernel's that is readable while it is not zero: eventfd(2). Elsewhere than
 * on Linux it fails with `UnsupportedPlatform`.
 *
 * **Details**
 *
 * Eight bytes are read and written at a time: a number in the byte order of the machine. Fails with `InvalidArgument` unless
 * the initial count is a whole number from 0 to 4,294,967,295, with `LimitReached` if no descriptor is left.
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
 *   yield* counter.read(new Uint8Array(count.buffer))
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
