/**
 * The one error of the codecs. Its tagged `reason` says what is wrong with the bytes.
 *
 * Match on the reason with `Effect.catchReason` and `Effect.catchReasons`, or, outside an effect,
 * on `error.reason._tag`.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { isMarked } from "../internal/objects/guards.ts"

const TypeId = "~effect-amy/CodecError"

/**
 * A frame is longer than the limit. Nothing of its size was allocated.
 *
 * @category errors
 * @since 0.1.0
 */
export class FrameTooLong extends Schema.TaggedError<FrameTooLong>("effect-amy/CodecError/FrameTooLong")(
  "FrameTooLong",
  {
    /** Bytes of the frame, without the four of its length. */
    length: Schema.Int,
    /** The most bytes that a frame may have. */
    limit: Schema.Int
  }
) {
  override get message(): string {
    return `a frame of ${this.length} bytes is longer than the limit of ${this.limit} bytes (if you want such frames, raise maxLength on both sides)`
  }
}

/**
 * A line is longer than the limit. Nothing of its size was allocated.
 *
 * @category errors
 * @since 0.1.0
 */
export class LineTooLong extends Schema.TaggedError<LineTooLong>("effect-amy/CodecError/LineTooLong")("LineTooLong", {
  /**
   * The least bytes that the line has, without its line end: always one more than the limit,
   * however the bytes were cut. The reader gives a line up as soon as it has that many. It does not
   * wait for its end, which may never arrive.
   */
  length: Schema.Int,
  /** The most bytes that a line may have, without its line end. */
  limit: Schema.Int
}) {
  override get message(): string {
    return `a line of at least ${this.length} bytes is longer than the limit of ${this.limit} bytes (if you want such lines, raise maxLength)`
  }
}

/**
 * A line is not UTF-8.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidUtf8 extends Schema.TaggedError<InvalidUtf8>("effect-amy/CodecError/InvalidUtf8")("InvalidUtf8", {
  /**
   * The first byte that does not belong to a whole character, counted from the start of the input,
   * which is 0.
   */
  offset: Schema.Int,
  /** The same byte, counted from the start of its line. */
  offsetInLine: Schema.Int
}) {
  override get message(): string {
    return `the input is not UTF-8 from byte ${this.offset} on, which is byte ${this.offsetInLine} of its line (both counted from 0)`
  }
}

/**
 * The input ended within a frame.
 *
 * @category errors
 * @since 0.1.0
 */
export class IncompleteFrame extends Schema.TaggedError<IncompleteFrame>("effect-amy/CodecError/IncompleteFrame")(
  "IncompleteFrame",
  {
    /** Bytes of the whole frame including the four of its length, or 4 if these had not arrived. */
    expected: Schema.Int,
    /** Bytes of the frame that had arrived, including those of its length. */
    received: Schema.Int
  }
) {
  override get message(): string {
    const expected = this.received < 4 ? "the 4 bytes of its length" : `its ${this.expected} bytes, length included`
    return `the input ended within a frame, after ${this.received} of ${expected} (the sender closed early, or does not send frames)`
  }
}

/**
 * A string to be sent as one line has a line end in it, and would not arrive as one line.
 *
 * @category errors
 * @since 0.1.0
 */
export class LineEndInLine extends Schema.TaggedError<LineEndInLine>("effect-amy/CodecError/LineEndInLine")(
  "LineEndInLine",
  {
    /** Where in the string the line end is. */
    index: Schema.Int
  }
) {
  override get message(): string {
    return `there is a line end at index ${this.index} of a line (split the text into lines first, or escape it)`
  }
}

/**
 * Every reason of a {@link CodecError}.
 *
 * @category schemas
 * @since 0.1.0
 */
export const CodecErrorReason = Schema.Union([FrameTooLong, LineTooLong, InvalidUtf8, IncompleteFrame, LineEndInLine])

/**
 * Every reason of a {@link CodecError}.
 *
 * @category models
 * @since 0.1.0
 */
export type CodecErrorReason = typeof CodecErrorReason.Type

/**
 * The error of every codec of this library.
 *
 * **Example**
 *
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { LineReader } from "effect-amy"
 *
 * const program = Stream.make(new TextEncoder().encode("a line of many bytes\n")).pipe(
 *   LineReader.decode({ maxLength: 10 }),
 *   Stream.runDrain,
 *   Effect.catchReason("CodecError", "LineTooLong", (reason) =>
 *     Effect.sync(() => console.log(`${reason.length} bytes or more, ${reason.limit} allowed`))
 *   )
 * )
 *
 * await Effect.runPromise(program) // => 11 bytes or more, 10 allowed
 * ```
 *
 * @category errors
 * @since 0.1.0
 */
export class CodecError extends Schema.TaggedError<CodecError>("effect-amy/CodecError")("CodecError", {
  reason: CodecErrorReason
}) {
  readonly [TypeId]: typeof TypeId = TypeId

  override get message(): string {
    return this.reason.message
  }
}

/**
 * Returns whether a value is a {@link CodecError}.
 *
 * @category guards
 * @since 0.1.0
 */
export const isCodecError = (u: unknown): u is CodecError => isMarked(u, TypeId)
