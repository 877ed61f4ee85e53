/**
 * The one error of the codecs, with a tagged `reason` that says what was wrong with the bytes.
 *
 * Match on the reason with `Effect.catchReason` and `Effect.catchReasons`, or, outside an effect, on `error.reason._tag`.
 *
 * @since 0.1.0
 */
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"

const TypeId = "~effect-amy/CodecError"

/**
 * A frame is longer than the limit. Nothing of its size was allocated.
 *
 * @category errors
 * @since 0.1.0
 */
export class FrameTooLong extends Schema.TaggedError<FrameTooLong>()("FrameTooLong", {
  /** Bytes of the frame, without the four of its length. */
  length: Schema.Int,
  /** Bytes that a frame may have. */
  limit: Schema.Int
}) {
  override get message(): string {
    return `a frame of ${this.length} bytes is longer than the limit of ${this.limit} bytes (raise maxLength on both sides if such frames are wanted)`
  }
}

/**
 * A line is longer than the limit. Nothing of its size was allocated.
 *
 * @category errors
 * @since 0.1.0
 */
export class LineTooLong extends Schema.TaggedError<LineTooLong>()("LineTooLong", {
  /**
   * Bytes that the line has at least, without its line end. It is given up as soon as it has one more than the limit, and
   * not when its end arrives, which may be never; so this is always that one more, however the bytes were cut.
   */
  length: Schema.Int,
  /** Bytes that a line may have, without its line end. */
  limit: Schema.Int
}) {
  override get message(): string {
    return `a line of at least ${this.length} bytes is longer than the limit of ${this.limit} bytes (raise maxLength if such lines are wanted)`
  }
}

/**
 * A line is not UTF-8.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidUtf8 extends Schema.TaggedError<InvalidUtf8>()("InvalidUtf8", {
  /** The first byte that does not belong to a whole character, counted from the start of the input, which is 0. */
  offset: Schema.Int,
  /** The same byte, counted from the start of its line. */
  offsetInLine: Schema.Int
}) {
  override get message(): string {
    return `the input is not UTF-8 from byte ${this.offset} on, which is byte ${this.offsetInLine} of its line (both counted from 0)`
  }
}

/**
 * The input ended in the middle of a frame.
 *
 * @category errors
 * @since 0.1.0
 */
export class IncompleteFrame extends Schema.TaggedError<IncompleteFrame>()("IncompleteFrame", {
  /** Bytes of the whole frame with the four of its length; 4 if not even these had arrived. */
  expected: Schema.Int,
  /** Bytes of it that had arrived, those of its length counted too. */
  received: Schema.Int
}) {
  override get message(): string {
    const expected = this.received < 4 ? "the 4 bytes of its length" : `its ${this.expected} bytes, length included`
    return `the input ended within a frame, after ${this.received} of ${expected} (the sender closed early, or sends no frames)`
  }
}

/**
 * A string that was to be sent as one line has a line end in it, and would arrive as something else.
 *
 * @category errors
 * @since 0.1.0
 */
export class LineEndInLine extends Schema.TaggedError<LineEndInLine>()("LineEndInLine", {
  /** Where in the string the line end stands. */
  index: Schema.Int
}) {
  override get message(): string {
    return `there is a line end at index ${this.index} of a line (split the text into lines first, or escape it)`
  }
}

/**
 * Everything that a `CodecError` may be about.
 *
 * @category schemas
 * @since 0.1.0
 */
export const CodecErrorReason = Schema.Union([FrameTooLong, LineTooLong, InvalidUtf8, IncompleteFrame, LineEndInLine])

/**
 * Everything that a `CodecError` may be about.
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
export class CodecError extends Schema.TaggedError<CodecError>()("CodecError", { reason: CodecErrorReason }) {
  readonly [TypeId]: typeof TypeId = TypeId

  override get message(): string {
    return this.reason.message
  }
}

/**
 * Whether a value is a `CodecError`.
 *
 * @category guards
 * @since 0.1.0
 */
export const isCodecError = (u: unknown): u is CodecError => Predicate.hasProperty(u, TypeId)
