/**
 * A program on a terminal of its own: its output as a stream, its input as a sink, its size, and
 * its end.
 *
 * Reach for it to run what behaves differently on a terminal: shells, editors, `ssh`, `sudo`,
 * programs with colors, progress bars or prompts. A program that reads and writes pipes is started
 * with `node:child_process`, or the `ChildProcess` of Effect.
 *
 * The program leads a session of its own, and the terminal is its controlling terminal. So job
 * control works, and the byte `0x03`, Ctrl-C, interrupts what runs in the foreground. The bytes are
 * those of the terminal: what is written is echoed, and a line ends with `\r\n`, unless the program
 * changes that.
 *
 * ## The end
 *
 * All output comes before the end of the stream, also if the program ends at once. The stream ends
 * when no process has the terminal open any more, or when the program itself ends. A program that
 * has ended is reaped at once: no zombie is left.
 *
 * When the scope closes, the terminal hangs up: the kernel sends SIGHUP to the program, and to the
 * process group in the foreground. What is left of the two after 100 milliseconds is killed. The
 * scope is closed once the program is gone. A program that is to survive starts a session of its
 * own, with `setsid`.
 *
 * **Example** (A program that asks for the size of its terminal)
 *
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { Poller, Pty } from "effect-amy"
 *
 * const program = Effect.gen(function* () {
 *   const pty = yield* Pty.spawn("sh", ["-c", "stty size; read line; echo got $line; exit 3"], { cols: 120, rows: 40 })
 *   yield* pty.writeAll(new TextEncoder().encode("hello\n"))
 *   const output = yield* Stream.mkString(Stream.decodeText(pty.stream))
 *   console.log(output.includes("40 120"), output.includes("got hello"))
 *   console.log(yield* pty.exit)
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Poller.layerEventLoop())))
 * // => true true
 * // => { _tag: 'Exited', code: 3 }
 * ```
 *
 * It works on Linux, with a kernel from version 5.3 on.
 *
 * @since 0.2.0
 */
import type * as Effect from "effect/Effect"
import type { Inspectable } from "effect/Inspectable"
import type * as Scope from "effect/Scope"
import type * as Sink from "effect/Sink"
import type * as Stream from "effect/Stream"
import * as internal from "../internal/system/pty.ts"
import type { PollerError } from "../PollerError.ts"
import type { Registrar } from "../Registrar.ts"
import type { Exit } from "./ProcessExit.ts"

declare const TypeId: "~effect-amy/Pty"

/**
 * The options of {@link spawn}.
 *
 * @category options
 * @since 0.2.0
 */
export interface SpawnOptions {
  /** The width of the terminal, 1 to 65,535. Defaults to 80. */
  readonly cols?: number | undefined
  /** The height of the terminal, 1 to 65,535. Defaults to 24. */
  readonly rows?: number | undefined
  /** The working directory of the program. Defaults to the one of this process. */
  readonly cwd?: string | undefined
  /**
   * The whole environment of the program. Its `PATH` is where the program is looked for. Defaults to
   * the environment of this process, without `COLUMNS` and `LINES`.
   */
  readonly env?: { readonly [name: string]: string | undefined } | undefined
  /**
   * The kind of the terminal, `TERM` in the environment. Defaults to the one that is in the
   * environment already, and otherwise to `xterm-256color`.
   */
  readonly name?: string | undefined
}

/**
 * A program on a terminal.
 *
 * **Details**
 *
 * Reading and writing (`read`, `write`, `writeAll`, `stream` and `sink`):
 *
 * - Fails with `Closed` once the scope or the poller is closed, also while it waits.
 * - Fails with `WorkerFailed` if the thread that polls has died.
 * - Fails with `LimitReached` if the kernel cannot watch one more descriptor.
 * - Fails with `AlreadyRegistered` if you have registered the descriptor yourself.
 *
 * Its methods can be passed on. It prints as `Pty(21, pid 4711)`.
 *
 * @category models
 * @since 0.2.0
 */
export interface Pty extends Inspectable {
  readonly [TypeId]: typeof TypeId

  /** The descriptor of this end of the terminal, or -1 once the scope is closed. */
  readonly fd: number

  /** The process id of the program. Once it has ended, the number may have been reused. */
  readonly pid: number

  /**
   * Returns how the program ended, once it has: `Exited` with a code, or `Signaled` with a signal.
   * There may be output left to read.
   *
   * It is `Unknown` only if another part of this process has waited for the program, on a Linux
   * before 6.15.
   *
   * - Fails with `Closed` if the poller closes before, or the scope.
   * - Fails with `WorkerFailed` if the thread that polls has died.
   */
  readonly exit: Effect.Effect<Exit, PollerError>

  /**
   * Waits for output, and reads it into the buffer: read(2). Returns the number of bytes, 0 at the
   * end.
   *
   * - Fails with `InvalidArgument` if the offset or the length is outside the buffer, or if there is
   *   no room for a byte.
   * - Fails with `SystemError` if read(2) fails otherwise.
   */
  readonly read: (buffer: Uint8Array, offset?: number, length?: number) => Effect.Effect<number, PollerError>

  /**
   * The output, until no process has the terminal open any more. It reads only what is pulled: the
   * program waits while a few kilobytes are not read.
   *
   * - Fails with `SystemError` if read(2) fails.
   */
  readonly stream: Stream.Stream<Uint8Array, PollerError>

  /**
   * Waits for room, and writes as many bytes as fit: write(2). Returns their number.
   *
   * - Fails with `BrokenPipe` if no process has the terminal open any more.
   * - Fails with `InvalidArgument` if the offset or the length is outside the buffer.
   * - Fails with `SystemError` if write(2) fails otherwise.
   */
  readonly write: (buffer: Uint8Array, offset?: number, length?: number) => Effect.Effect<number, PollerError>

  /**
   * Writes all bytes. The bytes of other fibers come before them or after them, never in between.
   *
   * - Fails with `BrokenPipe` if no process has the terminal open any more.
   * - Fails with `InvalidArgument` if the offset or the length is outside the buffer.
   * - Fails with `SystemError` if write(2) fails otherwise.
   *
   * While the program reads by the line, the kernel drops what is longer than 4,095 bytes without a
   * line's end.
   */
  readonly writeAll: (buffer: Uint8Array, offset?: number, length?: number) => Effect.Effect<void, PollerError>

  /**
   * Writes every chunk. It does not end the program's input: that is the byte `0x04`, Ctrl-D, at the
   * beginning of a line.
   *
   * - Fails with `BrokenPipe` if no process has the terminal open any more.
   * - Fails with `SystemError` if write(2) fails otherwise.
   */
  readonly sink: Sink.Sink<void, Uint8Array, never, PollerError>

  /**
   * Changes the size of the terminal: ioctl(2) with `TIOCSWINSZ`. The kernel sends SIGWINCH to the
   * process group in the foreground, if the size differs from the one before.
   *
   * - Fails with `InvalidArgument` if a number is not an integer from 1 to 65,535.
   * - Fails with `Closed` once the scope is closed.
   */
  readonly resize: (cols: number, rows: number) => Effect.Effect<void, PollerError>

  /**
   * Sends the program a signal, by its name or its number: pidfd_send_signal(2). Defaults to
   * `SIGTERM`. Does nothing if the program has ended, so that no other process can be hit.
   *
   * - Fails with `InvalidArgument` if there is no such signal.
   * - Fails with `PermissionDenied` if the program runs as another user by now.
   * - Fails with `Closed` once the scope is closed.
   */
  readonly kill: (signal?: NodeJS.Signals | number) => Effect.Effect<void, PollerError>
}

/**
 * Returns whether a value is a {@link Pty}.
 *
 * @category guards
 * @since 0.2.0
 */
export const isPty: (u: unknown) => u is Pty = internal.isPty

/**
 * Starts a program on a new terminal: posix_openpt(3) and posix_spawn(3). Returns once it runs. It
 * ends with the scope, or by itself before.
 *
 * **Details**
 *
 * A command without a `/` is looked for in the `PATH`. The program inherits the terminal as its
 * standard input, output and error, and no other descriptor. Signals have their default meaning for
 * it.
 *
 * - Fails with `NotFound` if there is no such program, or no such working directory.
 * - Fails with `PermissionDenied` if the process must not execute the program, or `node
 *   --permission` forbids child processes.
 * - Fails with `InvalidArgument` if the command, an argument or an option is invalid, or the file is
 *   not a program.
 * - Fails with `LimitReached` if no descriptor, process or terminal is left.
 * - Fails with `Closed` if the poller is closed.
 * - Fails with `WorkerFailed` if the thread that polls has died.
 * - Fails with `UnsupportedPlatform` on systems other than Linux, and with kernels before 5.3.
 * - Fails with `SystemError` if a call fails otherwise.
 *
 * **Example** (Interrupting a program)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Poller, Pty } from "effect-amy"
 *
 * const program = Effect.gen(function* () {
 *   const pty = yield* Pty.spawn("sleep", ["1000"])
 *   yield* pty.writeAll(Uint8Array.of(0x03))
 *   console.log(yield* pty.exit)
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Poller.layerEventLoop())))
 * // => { _tag: 'Signaled', signal: 'SIGINT', coreDumped: false }
 * ```
 *
 * @category constructors
 * @since 0.2.0
 */
export const spawn: {
  (
    command: string,
    args: ReadonlyArray<string>,
    options?: SpawnOptions
  ): Effect.Effect<Pty, PollerError, Registrar | Scope.Scope>
  (command: string, options?: SpawnOptions): Effect.Effect<Pty, PollerError, Registrar | Scope.Scope>
} = (
  command: string,
  args: ReadonlyArray<string> | SpawnOptions = [],
  options?: SpawnOptions
): Effect.Effect<Pty, PollerError, Registrar | Scope.Scope> =>
  Array.isArray(args)
    ? internal.spawn(command, args, options ?? {})
    : internal.spawn(command, [], options ?? (args as SpawnOptions))
