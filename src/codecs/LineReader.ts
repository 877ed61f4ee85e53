/**
 * Cuts bytes into lines of text, however the bytes were cut on their way.
 *
 * A line ends with a line feed, or with a carriage return and a line feed; a carriage return alone is a character. Lines
 * are UTF-8, and a byte order mark is a character like any other.
 *
 * There are two ways to use it. Over a stream: `decode` and `encode`. By hand, with whatever a descriptor gave: `feed`
 * what has arrived, and take with `next` or `takeAll` the lines that are complete. Nothing in here waits or does any input
 * or output.
 *
 * @since 0.1.0
 */
import type * as Option from "effect/Option"
import type * as Result from "effect/Result"
import type * as Stream from "effect/Stream"
import type { CodecError } from "./CodecError.ts"
import { LineReaderImpl, type TypeId } from "../internal/codecs/lineReader.ts"
import { encodeLines, lineEndOf } from "../internal/codecs/lines.ts"
import { maxLengthOf } from "../internal/codecs/options.ts"
import * as internal from "../internal/codecs/stream.ts"

/**
 * A reader, and what it has of a line that is not complete. It belongs to one input.
 *
 * @category models
 * @since 0.1.0
 */
export interface LineReader {
  readonly [TypeId]: typeof TypeId
  /** Bytes that a line may have, without its line end. */
  readonly maxLength: number
  /** Bytes kept of a line whose end has not arrived: never more than `maxLength` and one. */
  readonly pendingBytes: number
}

/**
 * How lines are read. What is out of range throws a `RangeError`.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  /** Bytes, not characters, that a line may have without its line end. 65,536 unless given; 268,435,456 at the most. */
  readonly maxLength?: number | undefined
}

/**
 * How lines are written.
 *
 * @category options
 * @since 0.1.0
 */
export interface EncodeOptions {
  /** What is put behind each line: a line feed, unless given. */
  readonly lineEnd?: "\n" | "\r\n" | undefined
}

/** Below the longest string there can be, so that every line within the limit is one. */
const longest = 0x1000_0000

const maxLengthFrom = (options: Options | undefined): number => maxLengthOf(options, 65_536, longest)

const impl = (self: LineReader): LineReaderImpl => self as LineReaderImpl

/**
 * Makes a reader.
 *
 * **When to use**
 *
 * Use for bytes that you read yourself, each time a descriptor is readable. For a stream there is `decode`.
 *
 * **Details**
 *
 * What is kept of an incomplete line grows as it arrives, up to `maxLength`. Nothing is allocated in advance.
 *
 * **Gotchas**
 *
 * A `maxLength` that is out of range is a mistake in the program, and throws a `RangeError`.
 *
 * **Example** (Lines that arrive in pieces)
 *
 * ```ts
 * import { Option, Result } from "effect"
 * import { LineReader } from "effect-amy"
 *
 * const reader = LineReader.make({ maxLength: 1024 })
 * const bytes = new TextEncoder().encode("first\r\nsec")
 *
 * LineReader.feed(reader, bytes)
 * console.log(Option.map(LineReader.next(reader), Result.getOrThrow)) // => { _id: 'Option', _tag: 'Some', value: 'first' }
 * console.log(Option.isNone(LineReader.next(reader)), reader.pendingBytes) // => true 3
 *
 * LineReader.feed(reader, new TextEncoder().encode("ond\n"))
 * console.log(LineReader.takeAll(reader).map(Result.getOrThrow)) // => [ 'second' ]
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options?: Options): LineReader => new LineReaderImpl(maxLengthFrom(options))

/**
 * Takes in what has arrived.
 *
 * **Details**
 *
 * Each byte is looked at once. Nothing of the chunk is referred to afterwards, so the next read may go into the same
 * buffer.
 *
 * **Gotchas**
 *
 * Complete lines wait in the reader until they are taken, as many as were fed: take them before you feed more.
 *
 * **Example** (One buffer for all reads)
 *
 * ```ts
 * import { Result } from "effect"
 * import { LineReader } from "effect-amy"
 *
 * const reader = LineReader.make()
 * const buffer = new Uint8Array(4)
 *
 * for (const text of ["ab\nc", "d\nef"]) {
 *   new TextEncoder().encodeInto(text, buffer)
 *   LineReader.feed(reader, buffer)
 * }
 *
 * console.log(LineReader.takeAll(reader).map(Result.getOrThrow)) // => [ 'ab', 'cd' ]
 * ```
 *
 * @category reading
 * @since 0.1.0
 */
export const feed = (self: LineReader, chunk: Uint8Array): void => impl(self).feed(chunk)

/**
 * Says that the input is over: what is left is a line, though nothing ends it.
 *
 * **Details**
 *
 * After a line end nothing is left, and there is no empty last line. What is fed afterwards is a new input, whose offsets
 * count from 0 again.
 *
 * **Example** (A last line without an end)
 *
 * ```ts
 * import { Result } from "effect"
 * import { LineReader } from "effect-amy"
 *
 * const reader = LineReader.make()
 * LineReader.feed(reader, new TextEncoder().encode("one\ntwo"))
 * LineReader.end(reader)
 *
 * console.log(LineReader.takeAll(reader).map(Result.getOrThrow)) // => [ 'one', 'two' ]
 * ```
 *
 * @category reading
 * @since 0.1.0
 */
export const end = (self: LineReader): void => impl(self).end()

/**
 * Takes the next line that is complete, or the error that stands in its place.
 *
 * **Details**
 *
 * The error is `InvalidUtf8` or `LineTooLong`. Either concerns one line only, and the lines after it come as if nothing
 * had been: of a line that is too long, everything up to its end is passed over.
 *
 * **Example** (A bad line among good ones)
 *
 * ```ts
 * import { Option, Result } from "effect"
 * import { LineReader } from "effect-amy"
 *
 * const reader = LineReader.make()
 * LineReader.feed(reader, Uint8Array.of(0x61, 0x0a, 0x62, 0xff, 0x0a, 0x63, 0x0a))
 *
 * for (let line = LineReader.next(reader); Option.isSome(line); line = LineReader.next(reader)) {
 *   console.log(Result.match(line.value, { onSuccess: (text) => text, onFailure: (error) => error.message }))
 * }
 * // => a
 * // => the input is not UTF-8 from byte 3 on, which is byte 1 of its line (both counted from 0)
 * // => c
 * ```
 *
 * @category reading
 * @since 0.1.0
 */
export const next = (self: LineReader): Option.Option<Result.Result<string, CodecError>> => impl(self).next()

/**
 * Takes all lines that are complete, in order, with errors in their places.
 *
 * **Example** (What one read has completed)
 *
 * ```ts
 * import { Result } from "effect"
 * import { LineReader } from "effect-amy"
 *
 * const reader = LineReader.make({ maxLength: 3 })
 * LineReader.feed(reader, new TextEncoder().encode("one\ntwo\nthree\n"))
 *
 * console.log(LineReader.takeAll(reader).map(Result.isSuccess)) // => [ true, true, false ]
 * ```
 *
 * @category reading
 * @since 0.1.0
 */
export const takeAll = (self: LineReader): Array<Result.Result<string, CodecError>> => impl(self).takeAll()

/**
 * Cuts a stream of bytes into lines, and fails at the first one that is not UTF-8 or too long.
 *
 * **Details**
 *
 * The lines before a bad one are emitted before it fails. When the stream ends, an unterminated last line is emitted too;
 * when it fails instead, it is not.
 *
 * **Gotchas**
 *
 * A `maxLength` that is out of range throws a `RangeError` at once.
 *
 * **Example**
 *
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { LineReader } from "effect-amy"
 *
 * const lines = Stream.make("PING\r", "\nQU", "IT").pipe(Stream.encodeText, LineReader.decode({ maxLength: 512 }))
 *
 * console.log(await Effect.runPromise(Stream.runCollect(lines))) // => [ 'PING', 'QUIT' ]
 * ```
 *
 * @category streams
 * @since 0.1.0
 */
export const decode = (
  options?: Options
): (<E, R>(self: Stream.Stream<Uint8Array, E, R>) => Stream.Stream<string, E | CodecError, R>) => {
  const maxLength = maxLengthFrom(options)
  return internal.decode(() => new LineReaderImpl(maxLength))
}

/**
 * Cuts a stream of bytes into lines, and goes on after one that is not UTF-8 or too long.
 *
 * **When to use**
 *
 * Use where a bad line is to be answered or counted, and the next one read.
 *
 * **Example**
 *
 * ```ts
 * import { Effect, Result, Stream } from "effect"
 * import { LineReader } from "effect-amy"
 *
 * const program = Stream.make(Uint8Array.of(0xc3, 0x0a, 0x6f, 0x6b, 0x0a)).pipe(
 *   LineReader.decodeResults(),
 *   Stream.map(Result.getOrElse((error) => error.reason._tag)),
 *   Stream.runCollect
 * )
 *
 * console.log(await Effect.runPromise(program)) // => [ 'InvalidUtf8', 'ok' ]
 * ```
 *
 * @category streams
 * @since 0.1.0
 */
export const decodeResults = (
  options?: Options
): (<E, R>(self: Stream.Stream<Uint8Array, E, R>) => Stream.Stream<Result.Result<string, CodecError>, E, R>) => {
  const maxLength = maxLengthFrom(options)
  return internal.decodeResults(() => new LineReaderImpl(maxLength))
}

/**
 * Turns a stream of lines into bytes, with a line end behind each.
 *
 * **Details**
 *
 * A line with a line end in it would arrive as two, and could be an instruction that someone has smuggled in: it fails
 * with `LineEndInLine`, after the lines before it. So does a carriage return at the end of a line, where the line end is a
 * line feed, for it would be taken as half of one. Lines that come together go out together, in pieces of about 64 KiB.
 *
 * **Gotchas**
 *
 * A lone surrogate is no character; it becomes U+FFFD, as `TextEncoder` has it. A line end that is none of the two throws
 * a `RangeError` at once.
 *
 * **Example**
 *
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { LineReader } from "effect-amy"
 *
 * const text = Stream.make("GET / HTTP/1.0", "").pipe(LineReader.encode({ lineEnd: "\r\n" }), Stream.decodeText())
 *
 * console.log(JSON.stringify(await Effect.runPromise(Stream.mkString(text)))) // => "GET / HTTP/1.0\r\n\r\n"
 * ```
 *
 * @category streams
 * @since 0.1.0
 */
export const encode = (
  options?: EncodeOptions
): (<E, R>(self: Stream.Stream<string, E, R>) => Stream.Stream<Uint8Array<ArrayBuffer>, E | CodecError, R>) => {
  const lineEnd = lineEndOf(options)
  return internal.encode((lines: ReadonlyArray<string>) => encodeLines(lines, lineEnd))
}
