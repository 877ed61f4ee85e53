/**
 * Waits for the end of any process, not only of children of this one, and sends signals that, on
 * Linux, cannot hit another process.
 *
 * A process is watched by a descriptor of the kernel's: a pidfd of Linux, or a kqueue. It belongs to
 * the process that has the id at the moment of the call. If that process ends, and the system gives
 * its id to another one, the descriptor still belongs to the first.
 *
 * What is known about the end depends on the process, and on the system:
 *
 * - A child of this process: code and signal, as long as it has not been reaped. Looking does not
 *   reap it, so its owner, such as `node:child_process`, gets its own report as always.
 * - A process that its parent has reaped, be it this one or another: code and signal, since Linux
 *   6.15. Node reaps children of `node:child_process` at once. On an older Linux their end may be
 *   `Unknown` here, and the child's own `"exit"` event has it.
 * - A process that its parent has not reaped yet: code and signal, if it runs as the user of this
 *   process, or this process is privileged, and `/proc` is there.
 *
 * In other cases the end is reported as well, as `Unknown`.
 *
 * That is Linux, from version 5.3 on. On macOS, FreeBSD and OpenBSD a kqueue reports the end with
 * code and signal, whether the process is reaped or not. macOS tells them to the parent alone, and
 * macOS and OpenBSD tell nothing of a process that had ended before the call.
 *
 * @since 0.2.0
 */
import type * as Effect from "effect/Effect"
import type { Inspectable } from "effect/Inspectable"
import type * as Scope from "effect/Scope"
import * as internal from "../internal/system/processExit.ts"
import type { PollerError } from "../PollerError.ts"
import type { Registrar } from "../Registrar.ts"

declare const TypeId: "~effect-amy/ProcessHandle"

/**
 * How a process ended.
 *
 * **Details**
 *
 * - `Exited`: it returned or called exit(3), with a code from 0 to 255.
 * - `Signaled`: a signal ended it. It is a number if it has no name, as a real-time signal.
 * - `Unknown`: it has ended, and the system does not tell how.
 *
 * @category models
 * @since 0.2.0
 */
export type Exit =
  | { readonly _tag: "Exited"; readonly code: number }
  | { readonly _tag: "Signaled"; readonly signal: NodeJS.Signals | number; readonly coreDumped: boolean }
  | { readonly _tag: "Unknown" }

/**
 * A process, held by a descriptor until the scope closes.
 *
 * **Details**
 *
 * Its methods can be passed on: `const { signal } = handle`. It prints as `ProcessHandle(4711)`.
 *
 * @category models
 * @since 0.2.0
 */
export interface ProcessHandle extends Inspectable {
  readonly [TypeId]: typeof TypeId

  /** The id of the process. Once it has been reaped, another process may have this id. */
  readonly pid: number

  /**
   * Returns once the process has ended, and how. Any number of fibers may wait, at any time.
   *
   * - Fails with `LimitReached` if the kernel can watch no more.
   * - Fails with `Closed` once the scope or the poller is closed.
   * - Fails with `WorkerFailed` once the polling thread has died.
   */
  readonly exit: Effect.Effect<Exit, PollerError>

  /**
   * Sends a signal to this process. On Linux it cannot reach another one that was given its id. The
   * signal 0 only checks whether the process can be sent a signal.
   *
   * A system without pidfds has no such call. There, this looks whether the process has ended, and
   * then calls kill(2). If the process ends in between, is reaped, and its id is given away at once,
   * the signal reaches the process that has the id by then.
   *
   * - Fails with `NotFound` if the process has ended, and has been reaped. On a system without
   *   pidfds, once it has ended.
   * - Fails with `PermissionDenied` if this process may not send it that signal.
   * - Fails with `InvalidArgument` if there is no such signal.
   * - Fails with `Closed` once the scope is closed.
   */
  readonly signal: (signal: NodeJS.Signals | number) => Effect.Effect<void, PollerError>
}

/**
 * Returns whether a value is a {@link ProcessHandle}.
 *
 * @category guards
 * @since 0.2.0
 */
export const isProcessHandle: (u: unknown) => u is ProcessHandle = internal.isProcessHandle

/**
 * Waits for the end of the process that has this id now, and returns how it ended. Also exported as
 * `ProcessExit.await`.
 *
 * **Details**
 *
 * An interruption closes the descriptor, and the process goes on.
 *
 * - Fails with `NotFound` if there is no such process.
 * - Fails with `InvalidArgument` if the id is not an integer of at least 1, or is that of a thread.
 * - Fails with `PermissionDenied` if a sandbox forbids pidfd_open(2).
 * - Fails with `LimitReached` if the process has too many descriptors open, or the kernel can watch
 *   no more.
 * - Fails with `UnsupportedPlatform` on a Linux that has no pidfds.
 * - Fails with `Closed` or `WorkerFailed` if the poller ends before.
 *
 * **Example** (How a process ended)
 *
 * ```ts
 * import { Effect, Fiber } from "effect"
 * import { Poller, ProcessExit } from "effect-amy"
 * import { spawn } from "node:child_process"
 *
 * const child = spawn("sh", ["-c", "read line; exit 7"])
 * const program = Effect.gen(function* () {
 *   const fiber = yield* Effect.forkChild(ProcessExit.await(child.pid!), { startImmediately: true })
 *   child.stdin.end("\n")
 *   console.log(yield* Fiber.join(fiber))
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.provide(Poller.layerEventLoop())))
 * // => { _tag: 'Exited', code: 7 }
 * ```
 *
 * @category waiting
 * @since 0.2.0
 */
export const awaitExit: (pid: number) => Effect.Effect<Exit, PollerError, Registrar> = internal.awaitExit

export {
  /**
   * As {@link awaitExit}.
   *
   * @category waiting
   * @since 0.2.0
   */
  awaitExit as await
}

/**
 * Opens the process that has this id now, to wait for its end and to send it signals.
 *
 * **Details**
 *
 * The scope closes the descriptor. The process goes on.
 *
 * - Fails with `NotFound` if there is no such process.
 * - Fails with `InvalidArgument` if the id is not an integer of at least 1, or is that of a thread.
 * - Fails with `PermissionDenied` if a sandbox forbids pidfd_open(2).
 * - Fails with `LimitReached` if the process has too many descriptors open.
 * - Fails with `UnsupportedPlatform` on a Linux that has no pidfds.
 *
 * **Example** (A signal, and the end)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Poller, ProcessExit } from "effect-amy"
 * import { spawn } from "node:child_process"
 *
 * const child = spawn("sleep", ["60"])
 * const program = Effect.gen(function* () {
 *   const handle = yield* ProcessExit.open(child.pid!)
 *   yield* handle.signal("SIGTERM")
 *   console.log(yield* handle.exit)
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Poller.layerEventLoop())))
 * // => { _tag: 'Signaled', signal: 'SIGTERM', coreDumped: false }
 * ```
 *
 * @category constructors
 * @since 0.2.0
 */
export const open: (pid: number) => Effect.Effect<ProcessHandle, PollerError, Registrar | Scope.Scope> = internal.open
