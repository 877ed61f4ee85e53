/**
 * Cuts bytes into lines of text, however the bytes were cut on their way.
 *
 * A line ends with a line feed, or with a carriage return and a line feed. A carriage return alone
 * is a character. Lines are UTF-8, and a byte order mark is a character like any other.
 *
 * There are two ways to use it. Over a stream: {@link decode} and {@link encode}. By hand, with the
 * bytes of a descriptor: {@link feed} what has arrived, and take the complete lines with
 * {@link next} or {@link takeAll}. Nothing in this module waits, or does any input or output.
 *
 * @since 0.1.0
 */
import type { Inspectable } from "effect/Inspectable"
import type * as Option from "effect/Option"
import type * as Result from "effect/Result"
import type * as Stream from "effect/Stream"
import type { CodecError } from "./CodecError.ts"
import { LineReaderImpl } from "../internal/codecs/lineReader.ts"
import { encodeLines, lineEndOf } from "../internal/codecs/lines.ts"
import { maxLengthOf } from "../internal/codecs/options.ts"
import * as internal from "../internal/codecs/stream.ts"

declare const TypeId: "~effect-amy/LineReader"

/**
 * A reader, with what it keeps of an incomplete line. It belongs to one input.
 *
 * @category models
 * @since 0.1.0
 */
export interface LineReader extends Inspectable {
  readonly [TypeId]: typeof TypeId
  /** The most bytes that a line may have, without its line end. */
  readonly maxLength: number
  /** Bytes kept of a line whose end has not arrived: never more than `maxLength` and one. */
  readonly pendingBytes: number
}

/**
 * Returns whether a value is a line reader.
 *
 * @category guards
 * @since 0.2.0
 */
export const isLineReader: (u: unknown) => u is LineReader = LineReaderImpl.is

/**
 * How lines are read.
 *
 * @category options
 * @since 0.2.0
 */
export interface MakeOptions {
  /**
   * The most bytes, not characters, that a line may have without its line end: 0 to 268,435,456.
   * Defaults to 65,536.
   */
  readonly maxLength?: number | undefined
}

/**
 * How lines are written.
 *
 * @category options
 * @since 0.1.0
 */
export interface EncodeOptions {
  /** What ends each line. Defaults to a line feed. */
  readonly lineEnd?: "\n" | "\r\n" | undefined
}

/** Less than the longest possible string, so that every line within the limit is a string. */
const longest = 0x1000_0000

const maxLengthFrom = (options: MakeOptions | undefined): number => maxLengthOf(options, 65_536, longest)

const readerFrom = (options: MakeOptions | undefined): (() => LineReaderImpl) => {
  const maxLength = maxLengthFrom(options)
  return () => new LineReaderImpl(maxLength)
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
 * What is kept of an incomplete line grows as it arrives, up to `maxLength`. Nothing is allocated
 * in advance.
 *
 * **Gotchas**
 *
 * A `maxLength` out of range is a mistake in the program, and throws a `RangeError`.
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
 * console.log(reader) // => LineReader(maxLength 1024, 0 pending)
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options?: MakeOptions): LineReader => readerFrom(options)()

/**
 * Takes in what has arrived.
 *
 * **Details**
 *
 * Each byte is looked at once. The reader keeps no reference to the chunk, so the next read can go
 * into the same buffer.
 *
 * **Gotchas**
 *
 * Complete lines wait in the reader until they are taken, however many they are. Take them before
 * you feed more.
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
export const feed = (self: LineReader, chunk: Uint8Array): void => LineReaderImpl.of(self, "feed").feed(chunk)

/**
 * Ends the input. What is left of it is a line, although it has no line end.
 *
 * **Details**
 *
 * After a line end nothing is left, and there is no empty last line. What is fed afterwards is a
 * new input, whose offsets count from 0 again.
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
export const end = (self: LineReader): void => LineReaderImpl.of(self, "end").end()

/**
 * Takes the next complete line, or the error in its place. Returns `None` if there is neither.
 *
 * **Details**
 *
 * An error concerns one line only. The lines after it follow as if nothing had happened: of a line
 * that is too long, everything up to its end is passed over.
 *
 * - Fails with `InvalidUtf8` if the line is not UTF-8
 * - Fails with `LineTooLong` if the line is longer than `maxLength`
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
export const next = (self: LineReader): Option.Option<Result.Result<string, CodecError>> =>
  LineReaderImpl.of(self, "next").next()

/**
 * Takes all complete lines, in order, with errors in their places.
 *
 * **Details**
 *
 * - Fails with `InvalidUtf8` if a line is not UTF-8
 * - Fails with `LineTooLong` if a line is longer than `maxLength`
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
export const takeAll = (self: LineReader): Array<Result.Result<string, CodecError>> =>
  LineReaderImpl.of(self, "takeAll").takeAll()

/**
 * Cuts a stream of bytes into lines, up to the first error.
 *
 * **Details**
 *
 * The lines before an error are emitted before the stream fails. When the input ends, an
 * unterminated last line is emitted too. When the input fails, it is not.
 *
 * - Fails with `InvalidUtf8` if a line is not UTF-8
 * - Fails with `LineTooLong` if a line is longer than `maxLength`
 *
 * **Gotchas**
 *
 * A `maxLength` out of range throws a `RangeError` at once.
 *
 * **Example**
 *
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { LineReader } from "effect-amy"
 *
 * const bytes = Stream.make("PING\r", "\nQU", "IT").pipe(Stream.encodeText)
 * const lines = bytes.pipe(LineReader.decode)
 * const shortLines = bytes.pipe(LineReader.decode({ maxLength: 512 }))
 *
 * console.log(await Effect.runPromise(Stream.runCollect(lines))) // => [ 'PING', 'QUIT' ]
 * console.log(await Effect.runPromise(Stream.runCollect(shortLines))) // => [ 'PING', 'QUIT' ]
 * ```
 *
 * @category streams
 * @since 0.1.0
 */
export const decode: <Arg extends Stream.Stream<Uint8Array, unknown, unknown> | MakeOptions | undefined = MakeOptions>(
  streamOrOptions?: Arg,
  options?: MakeOptions
) => [Arg] extends [Stream.Stream<Uint8Array, infer E, infer R>]
  ? Stream.Stream<string, E | CodecError, R>
  : <E, R>(self: Stream.Stream<Uint8Array, E, R>) => Stream.Stream<string, E | CodecError, R> =
  internal.decode(readerFrom)

/**
 * Cuts a stream of bytes into lines, with errors in their places. It continues after an error.
 *
 * **When to use**
 *
 * Use where the program replies to a bad line, or counts it, and reads the next.
 *
 * **Details**
 *
 * The errors are those of {@link next}. The stream itself fails only if its input fails.
 *
 * **Example**
 *
 * ```ts
 * import { Effect, Result, Stream } from "effect"
 * import { LineReader } from "effect-amy"
 *
 * const program = Stream.make(Uint8Array.of(0xc3, 0x0a, 0x6f, 0x6b, 0x0a)).pipe(
 *   LineReader.decodeResults,
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
export const decodeResults: <
  Arg extends Stream.Stream<Uint8Array, unknown, unknown> | MakeOptions | undefined = MakeOptions
>(
  streamOrOptions?: Arg,
  options?: MakeOptions
) => [Arg] extends [Stream.Stream<Uint8Array, infer E, infer R>]
  ? Stream.Stream<Result.Result<string, CodecError>, E, R>
  : <E, R>(self: Stream.Stream<Uint8Array, E, R>) => Stream.Stream<Result.Result<string, CodecError>, E, R> =
  internal.decodeResults(readerFrom)

/**
 * Turns a stream of lines into bytes, with a line end after each line.
 *
 * **Details**
 *
 * The lines before an error are emitted before the stream fails. Lines that come together go out
 * together, in pieces of about 64 KiB.
 *
 * - Fails with `LineEndInLine` if there is a line end in a line
 * - Fails with `LineEndInLine` if a line ends with a carriage return and `lineEnd` is a line feed
 *
 * A line with a line end in it would arrive as two lines, and the second could be a command that an
 * attacker has smuggled in. A carriage return before the line feed would be read as part of the
 * line end.
 *
 * **Gotchas**
 *
 * A lone surrogate is not a character; it becomes U+FFFD, as in `TextEncoder`. An invalid `lineEnd`
 * throws a `RangeError` at once.
 *
 * **Example**
 *
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { LineReader } from "effect-amy"
 *
 * const text = Stream.make("GET / HTTP/1.0", "").pipe(LineReader.encode({ lineEnd: "\r\n" }), Stream.decodeText)
 *
 * console.log(JSON.stringify(await Effect.runPromise(Stream.mkString(text)))) // => "GET / HTTP/1.0\r\n\r\n"
 * ```
 *
 * @category streams
 * @since 0.1.0
 */
export const encode: <Arg extends Stream.Stream<string, unknown, unknown> | EncodeOptions | undefined = EncodeOptions>(
  streamOrOptions?: Arg,
  options?: EncodeOptions
) => [Arg] extends [Stream.Stream<string, infer E, infer R>]
  ? Stream.Stream<Uint8Array<ArrayBuffer>, E | CodecError, R>
  : <E, R>(self: Stream.Stream<string, E, R>) => Stream.Stream<Uint8Array<ArrayBuffer>, E | CodecError, R> =
  internal.encode((options: EncodeOptions | undefined) => {
    const lineEnd = lineEndOf(options)
    return (lines: ReadonlyArray<string>) => encodeLines(lines, lineEnd)
  })
