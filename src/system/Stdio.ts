/**
 * Standard input, output and error on the poller: as a stream and sinks, for pipes, terminals,
 * sockets, files and devices.
 *
 * A process shares these three with its parent and its siblings: they have the same open file. So
 * its mode is left as it is. Node's `process.stdin` makes the open file of a pipe non-blocking, for
 * all of them. This module does not use Node's streams, and does not start them.
 *
 * Calls do not block, each in its own way:
 *
 * - On a socket, each call says that it must not block.
 * - On a pipe, each call says so as well, since Linux 6.4.
 * - A terminal, a FIFO, or a pipe of an older Linux, is opened once more, through `/proc/self/fd`.
 *   That open file is this process's own, and non-blocking.
 * - What cannot be polled, such as a file or `/dev/null`, is read and written by Node's thread pool.
 * - In other cases, and on other systems, the poller waits until the descriptor is ready. Node's
 *   thread pool then makes the call. If another process has been faster, that blocks a thread of the
 *   pool, and not the program.
 *
 * Things to know:
 *
 * - What was read and not emitted is there for the next consumer in this thread. What an operator
 *   such as `Stream.splitLines` holds back is that operator's.
 * - If several processes read one terminal or pipe, each gets a part.
 * - A job in the background that reads its terminal is stopped (SIGTTIN), as any program is.
 * - Node opens `/dev/null` in place of a standard descriptor that is closed when the process starts.
 * - `console.log` and `process.stdin` are Node's. Use either those or this module for a descriptor.
 *
 * @since 0.2.0
 */
import type * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as Sink from "effect/Sink"
import type { Stdio } from "effect/Stdio"
import type * as Stream from "effect/Stream"
import * as internal from "../internal/system/stdio.ts"
import type { PollerError } from "../PollerError.ts"
import type { Registrar } from "../Registrar.ts"

/**
 * The bytes of standard input, as they arrive. One chunk is read for each pull, of 64 KiB at most.
 *
 * **Details**
 *
 * It ends at the end of the file, when all writers have closed the pipe, when the user types ^D, or
 * when the terminal is hung up. It can be run again, and goes on where the last run has ended.
 *
 * - Fails with `BadDescriptor` if the program has closed standard input.
 * - Fails with `ConnectionReset` or `TimedOut` if it is a socket whose connection breaks.
 * - Fails with `LimitReached` if the process has too many descriptors open, or the kernel can watch
 *   no more.
 * - Fails with `InvalidArgument` if the `Registrar` is of `TestPoller`, or was not made by this
 *   library.
 * - Fails with `SystemError` if it is a directory, or the device fails.
 * - Fails with `Closed` or `WorkerFailed` if the poller ends before.
 *
 * **Example** (Lines of standard input)
 *
 * ```ts
 * import { Console, Effect, Stream } from "effect"
 * import { Poller, Stdio } from "effect-amy"
 *
 * const program = Stdio.stdin.pipe(
 *   Stream.decodeText(),
 *   Stream.splitLines,
 *   Stream.runForEach((line) => Console.log(line.toUpperCase()))
 * )
 *
 * // The time is limited here, because an input may never end.
 * await Effect.runPromise(
 *   program.pipe(Effect.timeoutOption("10 millis"), Effect.provide(Poller.layerEventLoop()))
 * )
 * ```
 *
 * @category streams
 * @since 0.2.0
 */
export const stdin: Stream.Stream<Uint8Array, PollerError, Registrar> = internal.stdin

/**
 * Writes strings, as UTF-8, and bytes to standard output. The sink takes the next chunk once the one
 * before is written. The descriptor stays open.
 *
 * **Details**
 *
 * Chunks of several fibers with the same poller do not mix. An interruption may leave a part of a chunk
 * written.
 *
 * - Fails with `BrokenPipe` if nothing reads the pipe or the socket any more.
 * - Fails with `ConnectionReset` or `TimedOut` if it is a socket whose connection breaks.
 * - Fails with `BadDescriptor` if the program has closed the descriptor.
 * - Fails with `LimitReached` if the disk is full, the process has too many descriptors open, or the
 *   kernel can watch no more.
 * - Fails with `InvalidArgument` if a chunk is neither a string nor a `Uint8Array`, or if the
 *   `Registrar` is of `TestPoller`, or was not made by this library.
 * - Fails with `SystemError` if the terminal is hung up, or the device fails.
 * - Fails with `Closed` or `WorkerFailed` if the poller ends before.
 *
 * **Example** (A stream to standard output)
 *
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { Poller, Stdio } from "effect-amy"
 *
 * const program = Stream.make("one\n", "two\n").pipe(Stream.run(Stdio.stdout))
 *
 * await Effect.runPromise(program.pipe(Effect.provide(Poller.layerEventLoop())))
 * // => one
 * // => two
 * ```
 *
 * @category sinks
 * @since 0.2.0
 */
export const stdout: Sink.Sink<void, string | Uint8Array, never, PollerError, Registrar> = internal.stdout

/**
 * Writes strings, as UTF-8, and bytes to standard error, as {@link stdout} does to standard output.
 *
 * **Details**
 *
 * - Fails with `BrokenPipe` if nothing reads the pipe or the socket any more.
 * - Fails with `ConnectionReset` or `TimedOut` if it is a socket whose connection breaks.
 * - Fails with `BadDescriptor` if the program has closed the descriptor.
 * - Fails with `LimitReached` if the disk is full, the process has too many descriptors open, or the
 *   kernel can watch no more.
 * - Fails with `InvalidArgument` if a chunk is neither a string nor a `Uint8Array`, or if the
 *   `Registrar` is of `TestPoller`, or was not made by this library.
 * - Fails with `SystemError` if the terminal is hung up, or the device fails.
 * - Fails with `Closed` or `WorkerFailed` if the poller ends before.
 *
 * @category sinks
 * @since 0.2.0
 */
export const stderr: Sink.Sink<void, string | Uint8Array, never, PollerError, Registrar> = internal.stderr

/**
 * Writes one chunk to standard output or standard error, in one piece. A string is written as UTF-8.
 *
 * **Details**
 *
 * - Fails with `BrokenPipe` if nothing reads the pipe or the socket any more.
 * - Fails with `ConnectionReset` or `TimedOut` if it is a socket whose connection breaks.
 * - Fails with `BadDescriptor` if the program has closed the descriptor.
 * - Fails with `LimitReached` if the disk is full, the process has too many descriptors open, or the
 *   kernel can watch no more.
 * - Fails with `InvalidArgument` if the target is invalid, if the chunk is neither a string nor a
 *   `Uint8Array`, or if the `Registrar` is of `TestPoller`, or was not made by this library.
 * - Fails with `SystemError` if the terminal is hung up, or the device fails.
 * - Fails with `Closed` or `WorkerFailed` if the poller ends before.
 *
 * **Example** (A line to standard output)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Poller, Stdio } from "effect-amy"
 *
 * await Effect.runPromise(
 *   Stdio.write("stdout", "hello\n").pipe(Effect.provide(Poller.layerEventLoop()))
 * ) // => hello
 * ```
 *
 * @category writing
 * @since 0.2.0
 */
export const write: (
  target: "stdout" | "stderr",
  chunk: string | Uint8Array
) => Effect.Effect<void, PollerError, Registrar> = internal.write

/**
 * Provides the service of `effect/Stdio` on the poller, for Effect's command-line programs.
 *
 * **Details**
 *
 * Its errors are `PlatformError`s, with the `PollerError` as the cause. The option `endOnDone` has
 * no effect: the descriptors stay open.
 *
 * @category layers
 * @since 0.2.0
 */
export const layer: Layer.Layer<Stdio, never, Registrar> = internal.layer
