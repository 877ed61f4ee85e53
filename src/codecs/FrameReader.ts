/**
 * Cuts bytes into frames, however the bytes were cut on their way.
 *
 * A frame is a length of four bytes, big-endian, and that many bytes.
 *
 * There are two ways to use it. Over a stream: {@link decode}, the inverse of `FrameWriter.encode`.
 * By hand, with the bytes of a descriptor: {@link feed} what has arrived, and take the complete
 * frames with {@link next} or {@link takeAll}. Nothing in this module waits, or does any input or
 * output.
 *
 * @since 0.1.0
 */
import type { Inspectable } from "effect/Inspectable"
import type * as Option from "effect/Option"
import type * as Result from "effect/Result"
import type * as Stream from "effect/Stream"
import type { CodecError } from "./CodecError.ts"
import { defaultMaxLength, longestFrame } from "../internal/codecs/frame.ts"
import { FrameReaderImpl } from "../internal/codecs/frameReader.ts"
import { maxLengthOf } from "../internal/codecs/options.ts"
import * as internal from "../internal/codecs/stream.ts"

declare const TypeId: "~effect-amy/FrameReader"

/**
 * A reader, with what it keeps of an incomplete frame. It belongs to one input.
 *
 * @category models
 * @since 0.1.0
 */
export interface FrameReader extends Inspectable {
  readonly [TypeId]: typeof TypeId
  /** The most bytes that a frame may have, without the four of its length. */
  readonly maxLength: number
  /** Bytes kept of an incomplete frame, including those of its length. */
  readonly pendingBytes: number
}

/**
 * Returns whether a value is a frame reader.
 *
 * @category guards
 * @since 0.2.0
 */
export const isFrameReader: (u: unknown) => u is FrameReader = FrameReaderImpl.is

/**
 * How frames are read.
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

const readerFrom = (options: MakeOptions | undefined): (() => FrameReaderImpl) => {
  const maxLength = maxLengthOf(options, defaultMaxLength, longestFrame)
  return () => new FrameReaderImpl(maxLength)
}

/**
 * Makes a reader.
 *
 * **When to use**
 *
 * Use for bytes that you read yourself, each time a descriptor is readable. For a stream there is
 * {@link decode}.
 *
 * **Details**
 *
 * What is kept of an incomplete frame grows as it arrives. A peer that announces 16 MiB and sends
 * ten bytes costs no more than those ten.
 *
 * **Gotchas**
 *
 * A `maxLength` out of range is a mistake in the program, and throws a `RangeError`.
 *
 * **Example** (A frame that arrives in pieces)
 *
 * ```ts
 * import { Option, Result } from "effect"
 * import { FrameReader } from "effect-amy"
 *
 * const reader = FrameReader.make({ maxLength: 1024 })
 *
 * FrameReader.feed(reader, Uint8Array.of(0, 0, 0, 3, 7))
 * console.log(Option.isNone(FrameReader.next(reader)), reader.pendingBytes) // => true 5
 *
 * FrameReader.feed(reader, Uint8Array.of(8, 9, 0, 0, 0, 0))
 * console.log(FrameReader.takeAll(reader).map(Result.getOrThrow)) // => [ Uint8Array(3) [ 7, 8, 9 ], Uint8Array(0) [] ]
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options?: MakeOptions): FrameReader => readerFrom(options)()

/**
 * Takes in what has arrived.
 *
 * **Details**
 *
 * The reader keeps no reference to the chunk, so the next read can go into the same buffer. Each
 * frame has memory of its own.
 *
 * **Gotchas**
 *
 * Complete frames wait in the reader until they are taken, however many they are. Take them before
 * you feed more.
 *
 * **Example** (One buffer for all reads)
 *
 * ```ts
 * import { Result } from "effect"
 * import { FrameReader } from "effect-amy"
 *
 * const reader = FrameReader.make()
 * const buffer = Uint8Array.of(0, 0, 0, 1, 1)
 *
 * FrameReader.feed(reader, buffer)
 * buffer[4] = 2
 * FrameReader.feed(reader, buffer)
 *
 * console.log(FrameReader.takeAll(reader).map((frame) => Result.getOrThrow(frame)[0])) // => [ 1, 2 ]
 * ```
 *
 * @category reading
 * @since 0.1.0
 */
export const feed = (self: FrameReader, chunk: Uint8Array): void => FrameReaderImpl.of(self, "feed").feed(chunk)

/**
 * Ends the input. If a frame has begun, `IncompleteFrame` comes in its place.
 *
 * **Details**
 *
 * What is fed afterwards is a new input. A frame that was too long has been reported already, and
 * is not reported again for being incomplete.
 *
 * **Example** (A frame that is cut off)
 *
 * ```ts
 * import { Result } from "effect"
 * import { FrameReader } from "effect-amy"
 *
 * const reader = FrameReader.make()
 * FrameReader.feed(reader, Uint8Array.of(0, 0, 0, 10, 1, 2))
 * FrameReader.end(reader)
 *
 * const [cutOff] = FrameReader.takeAll(reader).flatMap((frame) => (Result.isFailure(frame) ? [frame.failure.reason] : []))
 * if (cutOff?._tag === "IncompleteFrame") console.log(cutOff.received, "of", cutOff.expected) // => 6 of 14
 * ```
 *
 * @category reading
 * @since 0.1.0
 */
export const end = (self: FrameReader): void => FrameReaderImpl.of(self, "end").end()

/**
 * Takes the next complete frame, or the error in its place. Returns `None` if there is neither.
 *
 * **Details**
 *
 * - Fails with `FrameTooLong` if the frame is longer than `maxLength`
 * - Fails with `IncompleteFrame` if the input ended within the frame
 *
 * `FrameTooLong` comes as soon as the length has arrived. The bytes of the frame are passed over,
 * and the frames after it follow as if nothing had happened.
 *
 * **Gotchas**
 *
 * A peer that does not send frames at all usually shows first as a `FrameTooLong`. The first four
 * bytes of any text are a length of more than 500 million. It is usually better to close the
 * connection than to continue.
 *
 * **Example** (Frame by frame)
 *
 * ```ts
 * import { Option, Result } from "effect"
 * import { FrameReader } from "effect-amy"
 *
 * const reader = FrameReader.make({ maxLength: 2 })
 * FrameReader.feed(reader, Uint8Array.of(0, 0, 0, 3, 1, 2, 3, 0, 0, 0, 1, 4))
 *
 * for (let frame = FrameReader.next(reader); Option.isSome(frame); frame = FrameReader.next(reader)) {
 *   console.log(Result.isSuccess(frame.value) ? frame.value.success : frame.value.failure.reason._tag)
 * }
 * // => FrameTooLong
 * // => Uint8Array(1) [ 4 ]
 * ```
 *
 * @category reading
 * @since 0.1.0
 */
export const next = (self: FrameReader): Option.Option<Result.Result<Uint8Array<ArrayBuffer>, CodecError>> =>
  FrameReaderImpl.of(self, "next").next()

/**
 * Takes all complete frames, in order, with errors in their places.
 *
 * **Details**
 *
 * - Fails with `FrameTooLong` if a frame is longer than `maxLength`
 * - Fails with `IncompleteFrame` if the input ended within a frame
 *
 * **Example** (What one read has completed)
 *
 * ```ts
 * import { Result } from "effect"
 * import { FrameReader } from "effect-amy"
 *
 * const reader = FrameReader.make()
 * FrameReader.feed(reader, Uint8Array.of(0, 0, 0, 1, 4, 0, 0, 0, 2, 5, 6, 0, 0))
 *
 * console.log(FrameReader.takeAll(reader).map((frame) => Result.getOrThrow(frame).length)) // => [ 1, 2 ]
 * console.log(reader) // => FrameReader(maxLength 16777216, 2 pending)
 * ```
 *
 * @category reading
 * @since 0.1.0
 */
export const takeAll = (self: FrameReader): Array<Result.Result<Uint8Array<ArrayBuffer>, CodecError>> =>
  FrameReaderImpl.of(self, "takeAll").takeAll()

/**
 * Cuts a stream of bytes into frames, up to the first error.
 *
 * **Details**
 *
 * The frames before an error are emitted before the stream fails.
 *
 * - Fails with `FrameTooLong` if a frame is longer than `maxLength`
 * - Fails with `IncompleteFrame` if the input ends within a frame
 *
 * **Gotchas**
 *
 * A `maxLength` out of range throws a `RangeError` at once.
 *
 * **Example**
 *
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { FrameReader } from "effect-amy"
 *
 * const frames = Stream.make(Uint8Array.of(0, 0), Uint8Array.of(0, 2, 7), Uint8Array.of(8)).pipe(FrameReader.decode)
 *
 * console.log(await Effect.runPromise(Stream.runCollect(frames))) // => [ Uint8Array(2) [ 7, 8 ] ]
 * ```
 *
 * @category streams
 * @since 0.1.0
 */
export const decode: <Arg extends Stream.Stream<Uint8Array, unknown, unknown> | MakeOptions | undefined = MakeOptions>(
  streamOrOptions?: Arg,
  options?: MakeOptions
) => [Arg] extends [Stream.Stream<Uint8Array, infer E, infer R>]
  ? Stream.Stream<Uint8Array<ArrayBuffer>, E | CodecError, R>
  : <E, R>(self: Stream.Stream<Uint8Array, E, R>) => Stream.Stream<Uint8Array<ArrayBuffer>, E | CodecError, R> =
  internal.decode(readerFrom)

/**
 * Cuts a stream of bytes into frames, with errors in their places. It continues after a frame that
 * is too long.
 *
 * **Details**
 *
 * The errors are those of {@link next}. The stream itself fails only if its input fails.
 *
 * **Example**
 *
 * ```ts
 * import { Effect, Result, Stream } from "effect"
 * import { FrameReader } from "effect-amy"
 *
 * const program = Stream.make(Uint8Array.of(0, 0, 0, 3, 1, 2, 3, 0, 0, 0, 1, 4)).pipe(
 *   FrameReader.decodeResults({ maxLength: 2 }),
 *   Stream.map(Result.match({ onSuccess: (frame) => frame.length, onFailure: (error) => error.reason._tag })),
 *   Stream.runCollect
 * )
 *
 * console.log(await Effect.runPromise(program)) // => [ 'FrameTooLong', 1 ]
 * ```
 *
 * @category streams
 * @since 0.1.0
 */
export const decodeResults: <
  Arg extends Stream.Stream<Uint8Array, unknown, unknown> | MakeOptions | undefined = MakeOptions
>(
  streamOrOptions?: Arg,
  options?: MakeOptions
) => [Arg] extends [Stream.Stream<Uint8Array, infer E, infer R>]
  ? Stream.Stream<Result.Result<Uint8Array<ArrayBuffer>, CodecError>, E, R>
  : <E, R>(
      self: Stream.Stream<Uint8Array, E, R>
    ) => Stream.Stream<Result.Result<Uint8Array<ArrayBuffer>, CodecError>, E, R> = internal.decodeResults(readerFrom)
