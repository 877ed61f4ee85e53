/**
 * Writes frames to a descriptor that takes only as much as it has room for.
 *
 * A frame is a length of four bytes, big-endian, and that many bytes; `FrameReader` reads them.
 *
 * There are two ways to use it. Over a stream: `encode`. By hand: `push` frames, `write` as much as the descriptor takes,
 * and when it answers `"blocked"`, register the descriptor for writing and `write` again when it is reported. The writer
 * keeps the rest, in whatever middle of a frame that was.
 *
 * @since 0.1.0
 */
import type * as Result from "effect/Result"
import type * as Stream from "effect/Stream"
import type { CodecError } from "./CodecError.ts"
import { defaultMaxLength, encodeFrames, longestFrame } from "../internal/codecs/frame.ts"
import { FrameWriterImpl, type TypeId } from "../internal/codecs/frameWriter.ts"
import { maxLengthOf } from "../internal/codecs/options.ts"
import * as internal from "../internal/codecs/stream.ts"

/**
 * A writer, and what it has not written yet. It belongs to one descriptor.
 *
 * @category models
 * @since 0.1.0
 */
export interface FrameWriter {
  readonly [TypeId]: typeof TypeId
  /** Bytes that a frame may have, without the four of its length. */
  readonly maxLength: number
  /** Bytes pushed and not written yet, those of the lengths counted too. */
  readonly pendingBytes: number
  /**
   * Whether writing is worth an attempt: `false` from a `write` that was blocked until one that is done. While it is
   * `false`, only `push`; the notification of the descriptor is the time to `write`.
   */
  readonly isWritable: boolean
}

/**
 * How frames are written. What is out of range throws a `RangeError`.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  /**
   * Bytes that a frame may have, without the four of its length. 16,777,216 (16 MiB) unless given; 4,294,967,295 at the
   * most, for four bytes say no more.
   */
  readonly maxLength?: number | undefined
}

/**
 * Tries to write, and answers how many bytes were taken, or -1 if the descriptor would block. What is left is tried again.
 *
 * **Gotchas**
 *
 * The bytes are the writer's own memory: they mean what they say until the attempt returns, and not afterwards.
 *
 * @category models
 * @since 0.1.0
 */
export type Attempt = (bytes: Uint8Array<ArrayBuffer>) => number

const maxLengthFrom = (options: Options | undefined): number => maxLengthOf(options, defaultMaxLength, longestFrame)

const impl = (self: FrameWriter): FrameWriterImpl => self as FrameWriterImpl

/**
 * Makes a writer.
 *
 * **When to use**
 *
 * Use for a descriptor that you write to yourself. For a stream there is `encode`.
 *
 * **Gotchas**
 *
 * A `maxLength` that is out of range is a mistake in the program, and throws a `RangeError`.
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
export const make = (options?: Options): FrameWriter => new FrameWriterImpl(maxLengthFrom(options))

/**
 * Adds a frame to what is to be written.
 *
 * **Details**
 *
 * The frame is copied, so its memory may be used again. Fails with `FrameTooLong`, and then nothing was added, copied or
 * allocated.
 *
 * **Gotchas**
 *
 * It never blocks and never refuses for want of room: look at `pendingBytes`, and stop taking in work for a peer that does
 * not read.
 *
 * **Example** (Too long)
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
export const push = (self: FrameWriter, frame: Uint8Array): Result.Result<void, CodecError> => impl(self).push(frame)

/**
 * Writes as much as the descriptor takes.
 *
 * **Details**
 *
 * `"done"`: nothing is left. `"blocked"`: the attempt answered -1, or took nothing; register the descriptor for writing (or
 * `reregister` it), and write again when it is reported. Small frames go out together, up to 64 KiB in one attempt. After a
 * short write it tries again, for only an attempt that would block makes an edge-triggered descriptor report.
 *
 * **Gotchas**
 *
 * What the attempt throws passes through, and everything it had not taken is still there. An answer that cannot be
 * (more than was given, or no whole number) throws a `RangeError`.
 *
 * **Example** (Two frames, one attempt)
 *
 * ```ts
 * import { FrameWriter } from "effect-amy"
 *
 * const writer = FrameWriter.make()
 * FrameWriter.push(writer, Uint8Array.of(7))
 * FrameWriter.push(writer, Uint8Array.of(8, 9))
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
export const write = (self: FrameWriter, attempt: Attempt): "done" | "blocked" => impl(self).write(attempt)

/**
 * Turns a stream of frames into bytes, and fails at the first one that is too long.
 *
 * **Details**
 *
 * The frames before it are emitted before it fails. Small frames that come together go out together, in pieces of about
 * 64 KiB.
 *
 * **Gotchas**
 *
 * A `maxLength` that is out of range throws a `RangeError` at once.
 *
 * **Example** (There and back)
 *
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { FrameReader, FrameWriter } from "effect-amy"
 *
 * const words = Stream.make("one", "two").pipe(
 *   Stream.encodeText,
 *   FrameWriter.encode(),
 *   FrameReader.decode(),
 *   Stream.decodeText()
 * )
 *
 * console.log(await Effect.runPromise(Stream.runCollect(words))) // => [ 'one', 'two' ]
 * ```
 *
 * @category streams
 * @since 0.1.0
 */
export const encode = (
  options?: Options
): (<E, R>(self: Stream.Stream<Uint8Array, E, R>) => Stream.Stream<Uint8Array<ArrayBuffer>, E | CodecError, R>) => {
  const maxLength = maxLengthFrom(options)
  return internal.encode((frames: ReadonlyArray<Uint8Array>) => encodeFrames(frames, maxLength))
}
