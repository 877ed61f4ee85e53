/**
 * Makes a call of a C function through koffi an effect: its result, or a `PollerError` with the
 * reason that its errno stands for.
 *
 * For functions that a program declares itself, beside the sockets and descriptors of this library.
 *
 * @since 0.2.0
 */
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as internal from "./internal/foreign/syscall.ts"
import type { PollerError } from "./PollerError.ts"

/**
 * Options of {@link call} and {@link unlessBlocked}.
 *
 * @category options
 * @since 0.2.0
 */
export interface CallOptions<in A> {
  /** The descriptor of the call, which an error names. */
  readonly fd?: number | undefined
  /** The address or the path of the call, which an error names. */
  readonly address?: string | undefined
  /** Whether a result means a failure. Defaults to whether it is -1. */
  readonly hasFailed?: ((result: A) => boolean) | undefined
}

/**
 * Makes a call, and makes it again for as long as a signal interrupts it.
 *
 * **Details**
 *
 * The error has the reason that the call's errno stands for.
 *
 * - Fails with `BadDescriptor` for EBADF, with `InvalidArgument` for EINVAL, and so on.
 * - Fails with `SystemError` for an errno that no reason stands for.
 * - Fails with `UnsupportedPlatform` if koffi cannot be loaded.
 *
 * **Example** (A new descriptor of eventfd(2))
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Fd, Syscall } from "effect-amy"
 * import koffi from "koffi"
 *
 * const eventfd = koffi.load(null).func("int eventfd(unsigned int initval, int flags)") as (
 *   initval: number,
 *   flags: number
 * ) => number
 *
 * const program = Effect.gen(function* () {
 *   const counter = yield* Effect.flatMap(Syscall.call("eventfd", () => eventfd(0, 0)), Fd.own)
 *   console.log(counter.fd > 2)
 *   const error = yield* Effect.flip(Syscall.call("eventfd", () => eventfd(0, -1)))
 *   console.log(error.reason._tag)
 * })
 *
 * await Effect.runPromise(Effect.scoped(program))
 * // => true
 * // => InvalidArgument
 * ```
 *
 * @category calls
 * @since 0.2.0
 */
export const call: <A>(name: string, attempt: () => A, options?: CallOptions<A>) => Effect.Effect<A, PollerError> =
  internal.call

/**
 * Makes a call, and returns none if it would block (EAGAIN). It fits `AsyncFd.readWhenReady` and
 * `AsyncFd.writeWhenReady`.
 *
 * **Details**
 *
 * - Fails with `BadDescriptor` and other reasons as {@link call} does.
 *
 * **Example** (A read of one's own)
 *
 * ```ts
 * import { Effect, Fiber } from "effect"
 * import { AsyncFd, Fd, Poller, Syscall } from "effect-amy"
 * import koffi from "koffi"
 *
 * const read = koffi.load(null).func("intptr_t read(int fd, void *buffer, size_t count)") as (
 *   fd: number,
 *   buffer: Uint8Array,
 *   count: number
 * ) => number
 *
 * const program = Effect.gen(function* () {
 *   const { reader, writer } = yield* Fd.pipe
 *   const watched = yield* AsyncFd.make(reader, { event: "Read" })
 *   const buffer = new Uint8Array(8)
 *   const attempt = Syscall.unlessBlocked("read", () => read(reader.fd, buffer, 8), { fd: reader.fd })
 *   const waiting = yield* Effect.forkChild(watched.readWhenReady(attempt))
 *   yield* writer.tryWrite(new TextEncoder().encode("bytes"))
 *   console.log(yield* Fiber.join(waiting))
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Poller.layerEventLoop()))) // => 5
 * ```
 *
 * @category calls
 * @since 0.2.0
 */
export const unlessBlocked: <A>(
  name: string,
  attempt: () => A,
  options?: CallOptions<A>
) => Effect.Effect<Option.Option<A>, PollerError> = internal.unlessBlocked
