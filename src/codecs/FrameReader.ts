/**
 * Cuts bytes into frames, however the bytes were cut on their way.
 *
 * A frame is a length of four bytes, big-endian, and that many bytes.
 *
 * There are two ways to use it. Over a stream: `decode`, whose other direction is `FrameWriter.encode`. By hand, with
 * whatever a descriptor gave: `feed` what has arrived, and take with `next` or `takeAll` the frames that are complete.
 * Nothing in here waits or does any input or output.
 *
 * @since 0.1.0
 */
import type * as Option from "effect/Option"
import type * as Result from "effect/Result"
import type * as Stream from "effect/Stream"
import type { CodecError } from "./CodecError.ts"
import { defaultMaxLength, longestFrame } from "../internal/codecs/frame.ts"
import { FrameReaderImpl, type TypeId } from "../internal/codecs/frameReader.ts"
import { maxLengthOf } from "../internal/codecs/options.ts"
import * as internal from "../internal/codecs/stream.ts"

/**
 * A reader, and what it has of a frame that is not complete. It belongs to one input.
 *
 * @category models
 * @since 0.1.0
 */
export interface FrameReader {
  readonly [TypeId]: typeof TypeId
  /** Bytes that a frame may have, without the four of its length. */
  readonly maxLength: number
  /** Bytes kept of a frame that is not complete, those of its length counted too. */
  readonly pendingBytes: number
}

/**
 * How frames are read. What is out of range throws a `RangeError`.
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

const maxLengthFrom = (options: Options | undefined): number => maxLengthOf(options, defaultMaxLength, longestFrame)

const impl = (self: FrameReader): FrameReaderImpl => self as FrameReaderImpl

/**
 * Makes a reader.
 *
 * **When to use**
 *
 * Use for bytes that you read yourself, each time a descriptor is readable. For a stream there is `decode`.
 *
 * **Details**
 *
 * What is kept of an incomplete frame grows as it arrives: a peer that announces 16 MiB and sends ten bytes costs no more
 * than those ten.
 *
 * **Gotchas**
 *
 * A `maxLength` that is out of range is a mistake in the program, and throws a `RangeError`.
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
export const make = (options?: Options): FrameReader => new FrameReaderImpl(maxLengthFrom(options))

/**
 * Takes in what has arrived.
 *
 * **Details**
 *
 * Nothing of the chunk is referred to afterwards, so the next read may go into the same buffer; each frame has memory of
 * its own.
 *
 * **Gotchas**
 *
 * Complete frames wait in the reader until they are taken, as many as were fed: take them before you feed more.
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
export const feed = (self: FrameReader, chunk: Uint8Array): void => impl(self).feed(chunk)

/**
 * Says that the input is over: if a frame is begun, `IncompleteFrame` is what comes in its place.
 *
 * **Details**
 *
 * What is fed afterwards is a new input. A frame that was too long has been reported already, and is not reported again
 * for having been cut off.
 *
 * **Example** (Cut off)
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
export const end = (self: FrameReader): void => impl(self).end()

/**
 * Takes the next frame that is complete, or the error that stands in its place.
 *
 * **Details**
 *
 * A frame longer than the limit is `FrameTooLong` as soon as its length has arrived. Its bytes are passed over, and the
 * frames after it come as if nothing had been.
 *
 * **Gotchas**
 *
 * Whoever does not send frames at all is seen first by a `FrameTooLong`: the first four bytes of any text are a length of
 * more than 500 million. It is usually better to close the connection than to go on.
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
  impl(self).next()

/**
 * Takes all frames that are complete, in order, with errors in their places.
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
 * ```
 *
 * @category reading
 * @since 0.1.0
 */
export const takeAll = (self: FrameReader): Array<Result.Result<Uint8Array<ArrayBuffer>, CodecError>> =>
  impl(self).takeAll()

/**
 * Cuts a stream of bytes into frames, and fails at the first one that is too long, or at the end if that cuts one off.
 *
 * **Details**
 *
 * The frames before a bad one are emitted before it fails.
 *
 * **Gotchas**
 *
 * A `maxLength` that is out of range throws a `RangeError` at once.
 *
 * **Example**
 *
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { FrameReader } from "effect-amy"
 *
 * const frames = Stream.make(Uint8Array.of(0, 0), Uint8Array.of(0, 2, 7), Uint8Array.of(8)).pipe(FrameReader.decode())
 *
 * console.log(await Effect.runPromise(Stream.runCollect(frames))) // => [ Uint8Array(2) [ 7, 8 ] ]
 * ```
 *
 * @category streams
 * @since 0.1.0
 */
export const decode = (
  options?: Options
): (<E, R>(self: Stream.Stream<Uint8Array, E, R>) => Stream.Stream<Uint8Array<ArrayBuffer>, E | CodecError, R>) => {
  const maxLength = maxLengthFrom(options)
  return internal.decode(() => new FrameReaderImpl(maxLength))
}

/**
 * Cuts a stream of bytes into frames, and goes on after one that is too long.
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
export const decodeResults = (
  options?: Options
): (<E, R>(
  self: Stream.Stream<Uint8Array, E, R>
) => Stream.Stream<Result.Result<Uint8Array<ArrayBuffer>, CodecError>, E, R>) => {
  const maxLength = maxLengthFrom(options)
  return internal.decodeResults(() => new FrameReaderImpl(maxLength))
}
