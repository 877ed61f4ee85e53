/**
 * Writes frames to a descriptor that takes only as much as it has room for.
 *
 * A frame is a length of four bytes, big-endian, and that many bytes. `FrameReader` reads them.
 *
 * There are two ways to use it. Over a stream: {@link encode}. By hand: {@link push} frames, and
 * {@link write} as much as the descriptor takes. When `write` returns `"blocked"`, register the
 * descriptor for writing, and `write` again when it is reported. The writer keeps the rest, even if
 * it begins within a frame.
 *
 * @since 0.1.0
 */
import type { Inspectable } from "effect/Inspectable"
import type * as Result from "effect/Result"
import type * as Stream from "effect/Stream"
import type { CodecError } from "./CodecError.ts"
import { defaultMaxLength, encodeFrames, longestFrame } from "../internal/codecs/frame.ts"
import { FrameWriterImpl } from "../internal/codecs/frameWriter.ts"
import { maxLengthOf } from "../internal/codecs/options.ts"
import * as internal from "../internal/codecs/stream.ts"

declare const TypeId: "~effect-amy/FrameWriter"

/**
 * A writer, with what it has not written yet. It belongs to one descriptor.
 *
 * @category models
 * @since 0.1.0
 */
export interface FrameWriter extends Inspectable {
  readonly [TypeId]: typeof TypeId
  /** The most bytes that a frame may have, without the four of its length. */
  readonly maxLength: number
  /** Bytes pushed and not written yet, including those of the lengths. */
  readonly pendingBytes: number
  /**
   * Whether an attempt to write is worthwhile: `false` from a `write` that was blocked until one
   * that is done. While it is `false`, only `push`, and `write` when the descriptor is reported.
   */
  readonly isWritable: boolean
}

/**
 * Returns whether a value is a frame writer.
 *
 * @category guards
 * @since 0.2.0
 */
export const isFrameWriter: (u: unknown) => u is FrameWriter = FrameWriterImpl.is

/**
 * How frames are written.
 *
 * @category options
 * @since 0.2.0
 */
export interface MakeOptions {
  /**
   * The most bytes that a frame may have, without the four of its length: 0 to 4,294,967,295, the
   * most that four bytes can announce. Defaults to 16,777,216 (16 MiB).
   */
  readonly maxLength?: number | undefined
}

/**
 * Tries to write. Returns how many bytes were taken, or -1 if the descriptor would block. The rest
 * is tried again.
 *
 * **Gotchas**
 *
 * The bytes are the writer's own memory. They are valid until the attempt returns, and not
 * afterwards.
 *
 * @category models
 * @since 0.1.0
 */
export type Attempt = (bytes: Uint8Array<ArrayBuffer>) => number

const maxLengthFrom = (options: MakeOptions | undefined): number => maxLengthOf(options, defaultMaxLength, longestFrame)

/**
 * Makes a writer.
 *
 * **When to use**
 *
 * Use for a descriptor that you write to yourself. For a stream there is {@link encode}.
 *
 * **Gotchas**
 *
 * A `maxLength` out of range is a mistake in the program, and throws a `RangeError`.
 *
 * **Example** (A descriptor with room for six bytes)
 *
 * ```ts
 * import { FrameWriter } from "effect-amy"
 *
 * let room = 6
 * const attempt = (bytes: Uint8Array) => {
 *   if (room === 0) return -1
 *   const taken = Math.min(room, bytes.length)
 *   room -= taken
 *   return taken
 * }
 *
 * const writer = FrameWriter.make()
 * FrameWriter.push(writer, new TextEncoder().encode("hello"))
 *
 * console.log(FrameWriter.write(writer, attempt), writer.pendingBytes, writer.isWritable) // => blocked 3 false
 * // Here the descriptor is registered for writing, and reported later on.
 * room = 100
 * console.log(FrameWriter.write(writer, attempt), writer.pendingBytes, writer.isWritable) // => done 0 true
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options?: MakeOptions): FrameWriter => new FrameWriterImpl(maxLengthFrom(options))

/**
 * Adds a frame to what is to be written.
 *
 * **Details**
 *
 * The frame is copied, so its memory can be used again.
 *
 * - Fails with `FrameTooLong` if the frame is longer than `maxLength`; then nothing was added,
 *   copied or allocated
 *
 * **Gotchas**
 *
 * It never blocks, and never refuses for want of room. Look at `pendingBytes`, and accept no more
 * work for a peer that does not read.
 *
 * **Example** (A frame that is too long)
 *
 * ```ts
 * import { Result } from "effect"
 * import { FrameWriter } from "effect-amy"
 *
 * const writer = FrameWriter.make({ maxLength: 4 })
 * const pushed = FrameWriter.push(writer, new Uint8Array(5))
 *
 * if (Result.isFailure(pushed)) console.log(pushed.failure.reason._tag, writer.pendingBytes) // => FrameTooLong 0
 * ```
 *
 * @category writing
 * @since 0.1.0
 */
export const push = (self: FrameWriter, frame: Uint8Array): Result.Result<void, CodecError> =>
  FrameWriterImpl.of(self, "push").push(frame)

/**
 * Writes as much as the descriptor takes.
 *
 * **Details**
 *
 * - Returns `"done"` if nothing is left
 * - Returns `"blocked"` if the attempt returned -1, or took nothing
 *
 * When it is blocked, register the descriptor for writing (or `reregister` it). Write again when it
 * is reported.
 *
 * Small frames go out together, up to 64 KiB in one attempt. After a short write it tries again: an
 * edge-triggered descriptor is reported only after an attempt that would block.
 *
 * **Gotchas**
 *
 * What the attempt throws passes through, and everything it had not taken is still there. An
 * impossible count (more than was given, or not an integer) throws a `RangeError`.
 *
 * **Example** (Two frames, one attempt)
 *
 * ```ts
 * import { FrameWriter } from "effect-amy"
 *
 * const writer = FrameWriter.make()
 * FrameWriter.push(writer, Uint8Array.of(7))
 * FrameWriter.push(writer, Uint8Array.of(8, 9))
 * console.log(writer) // => FrameWriter(maxLength 16777216, 11 pending)
 *
 * FrameWriter.write(writer, (bytes) => {
 *   console.log(bytes.join(" ")) // => 0 0 0 1 7 0 0 0 2 8 9
 *   return bytes.length
 * })
 * ```
 *
 * @category writing
 * @since 0.1.0
 */
export const write = (self: FrameWriter, attempt: Attempt): "done" | "blocked" =>
  FrameWriterImpl.of(self, "write").write(attempt)

/**
 * Turns a stream of frames into bytes, up to the first frame that is too long.
 *
 * **Details**
 *
 * The frames before an error are emitted before the stream fails. Small frames that come together
 * go out together, in pieces of about 64 KiB.
 *
 * - Fails with `FrameTooLong` if a frame is longer than `maxLength`
 *
 * **Gotchas**
 *
 * A `maxLength` out of range throws a `RangeError` at once.
 *
 * **Example** (There and back)
 *
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { FrameReader, FrameWriter } from "effect-amy"
 *
 * const words = Stream.make("one", "two").pipe(
 *   Stream.encodeText,
 *   FrameWriter.encode,
 *   FrameReader.decode,
 *   Stream.decodeText
 * )
 *
 * console.log(await Effect.runPromise(Stream.runCollect(words))) // => [ 'one', 'two' ]
 * ```
 *
 * @category streams
 * @since 0.1.0
 */
export const encode: <Arg extends Stream.Stream<Uint8Array, unknown, unknown> | MakeOptions | undefined = MakeOptions>(
  streamOrOptions?: Arg,
  options?: MakeOptions
) => [Arg] extends [Stream.Stream<Uint8Array, infer E, infer R>]
  ? Stream.Stream<Uint8Array<ArrayBuffer>, E | CodecError, R>
  : <E, R>(self: Stream.Stream<Uint8Array, E, R>) => Stream.Stream<Uint8Array<ArrayBuffer>, E | CodecError, R> =
  internal.encode((options: MakeOptions | undefined) => {
    const maxLength = maxLengthFrom(options)
    return (frames: ReadonlyArray<Uint8Array>) => encodeFrames(frames, maxLength)
  })
