/**
 * The public types of the codecs: what this file says is checked by the compiler, not at run time.
 */
import { describe, expect, expectTypeOf, it } from "@effect/vitest"
import { type Option, type Result, Stream } from "effect"
import { CodecError, FrameReader, FrameWriter, LineReader } from "effect-amy"
import { type Loose, type Members, same, type Same } from "../support/types.ts"

type Bytes = Uint8Array<ArrayBuffer>
type Failed = CodecError.CodecError
type Decoded<A> = Result.Result<A, Failed>
type Service = { readonly _: unique symbol }

declare const input: Stream.Stream<Uint8Array, "broken", Service>
declare const texts: Stream.Stream<string, "broken", Service>

/** Functions of any stream of bytes. */
const decoded = <E, R>(stream: Stream.Stream<Uint8Array, E, R>): Stream.Stream<string, E | Failed, R> =>
  LineReader.decode(stream)

const piped = <E, R>(stream: Stream.Stream<Uint8Array, E, R>): Stream.Stream<Bytes, E | Failed, R> =>
  stream.pipe(FrameReader.decode)

/** Takes what only the compiler looks at. */
const never = (_look: () => void): void => {}

describe("readers and writers", () => {
  it("have a limit, and what is pending", () => {
    type Reader = { readonly maxLength: number; readonly pendingBytes: number }
    same<Same<Members<LineReader.LineReader>, Reader>>(true)
    same<Same<Members<FrameReader.FrameReader>, Reader>>(true)
    same<
      Same<
        Members<FrameWriter.FrameWriter>,
        { readonly maxLength: number; readonly pendingBytes: number; readonly isWritable: boolean }
      >
    >(true)
    expectTypeOf<Loose<typeof LineReader>>().toBeNever()
    expectTypeOf<Loose<typeof FrameReader>>().toBeNever()
    expectTypeOf<Loose<typeof FrameWriter>>().toBeNever()
    expectTypeOf<Loose<typeof CodecError>>().toBeNever()
  })

  it("are made by options of one name, and recognised", () => {
    expectTypeOf(LineReader.make).toEqualTypeOf<(options?: LineReader.MakeOptions) => LineReader.LineReader>()
    expectTypeOf(FrameReader.make).toEqualTypeOf<(options?: FrameReader.MakeOptions) => FrameReader.FrameReader>()
    expectTypeOf(FrameWriter.make).toEqualTypeOf<(options?: FrameWriter.MakeOptions) => FrameWriter.FrameWriter>()
    expectTypeOf(LineReader.isLineReader).guards.toEqualTypeOf<LineReader.LineReader>()
    expectTypeOf(FrameReader.isFrameReader).guards.toEqualTypeOf<FrameReader.FrameReader>()
    expectTypeOf(FrameWriter.isFrameWriter).guards.toEqualTypeOf<FrameWriter.FrameWriter>()
    expectTypeOf(LineReader.next).returns.toEqualTypeOf<Option.Option<Decoded<string>>>()
    expectTypeOf(FrameReader.takeAll).returns.toEqualTypeOf<Array<Decoded<Bytes>>>()
    expect([LineReader, FrameReader, FrameWriter, CodecError].map((module) => Object.keys(module).toSorted())).toEqual([
      ["decode", "decodeResults", "encode", "end", "feed", "isLineReader", "make", "next", "takeAll"],
      ["decode", "decodeResults", "end", "feed", "isFrameReader", "make", "next", "takeAll"],
      ["encode", "isFrameWriter", "make", "push", "write"],
      [
        "CodecError",
        "CodecErrorReason",
        "FrameTooLong",
        "IncompleteFrame",
        "InvalidUtf8",
        "LineEndInLine",
        "LineTooLong",
        "isCodecError"
      ]
    ])
  })

  it("are refused if they only look like it", () => {
    const reader = { maxLength: 1, pendingBytes: 0 }
    never(() => {
      // @ts-expect-error a reader has more than its figures
      LineReader.feed(reader, new Uint8Array(1))
      // @ts-expect-error a reader of another kind
      FrameReader.feed(LineReader.make(), new Uint8Array(1))
      // @ts-expect-error a writer has more than its figures
      FrameWriter.push({ ...reader, isWritable: true }, new Uint8Array(1))
    })
  })
})

describe("operators on streams", () => {
  type Lines = Stream.Stream<string, "broken" | Failed, Service>
  type LineResults = Stream.Stream<Decoded<string>, "broken", Service>
  type Frames = Stream.Stream<Bytes, "broken" | Failed, Service>
  type FrameResults = Stream.Stream<Decoded<Bytes>, "broken", Service>

  it("take the stream first", () => {
    never(() => {
      expectTypeOf(LineReader.decode(input)).toEqualTypeOf<Lines>()
      expectTypeOf(LineReader.decode(input, { maxLength: 10 })).toEqualTypeOf<Lines>()
      expectTypeOf(LineReader.decodeResults(input)).toEqualTypeOf<LineResults>()
      expectTypeOf(LineReader.decodeResults(input, { maxLength: 10 })).toEqualTypeOf<LineResults>()
      expectTypeOf(LineReader.encode(texts)).toEqualTypeOf<Frames>()
      expectTypeOf(LineReader.encode(texts, { lineEnd: "\r\n" })).toEqualTypeOf<Frames>()
      expectTypeOf(FrameReader.decode(input)).toEqualTypeOf<Frames>()
      expectTypeOf(FrameReader.decode(input, { maxLength: 10 })).toEqualTypeOf<Frames>()
      expectTypeOf(FrameReader.decodeResults(input)).toEqualTypeOf<FrameResults>()
      expectTypeOf(FrameWriter.encode(input)).toEqualTypeOf<Frames>()
      expectTypeOf(FrameWriter.encode(input, { maxLength: 10 })).toEqualTypeOf<Frames>()
    })
  })

  it("are piped to as they are", () => {
    never(() => {
      expectTypeOf(input.pipe(LineReader.decode)).toEqualTypeOf<Lines>()
      expectTypeOf(input.pipe(LineReader.decodeResults)).toEqualTypeOf<LineResults>()
      expectTypeOf(texts.pipe(LineReader.encode)).toEqualTypeOf<Frames>()
      expectTypeOf(input.pipe(FrameReader.decode)).toEqualTypeOf<Frames>()
      expectTypeOf(input.pipe(FrameReader.decodeResults)).toEqualTypeOf<FrameResults>()
      expectTypeOf(input.pipe(FrameWriter.encode)).toEqualTypeOf<Frames>()
      // Within a chain, what comes before and after is inferred as well.
      expectTypeOf(
        Stream.make("a").pipe(
          Stream.encodeText,
          LineReader.decode,
          Stream.map((line) => line.length)
        )
      ).toEqualTypeOf<Stream.Stream<number, Failed>>()
    })
  })

  it("are piped to with options", () => {
    never(() => {
      expectTypeOf(input.pipe(LineReader.decode({ maxLength: 10 }))).toEqualTypeOf<Lines>()
      expectTypeOf(input.pipe(LineReader.decode())).toEqualTypeOf<Lines>()
      expectTypeOf(input.pipe(LineReader.decode(undefined))).toEqualTypeOf<Lines>()
      expectTypeOf(input.pipe(LineReader.decodeResults({ maxLength: 10 }))).toEqualTypeOf<LineResults>()
      expectTypeOf(texts.pipe(LineReader.encode({ lineEnd: "\r\n" }))).toEqualTypeOf<Frames>()
      expectTypeOf(input.pipe(FrameReader.decode({ maxLength: 10 }))).toEqualTypeOf<Frames>()
      expectTypeOf(input.pipe(FrameReader.decodeResults({}))).toEqualTypeOf<FrameResults>()
      expectTypeOf(input.pipe(FrameWriter.encode({ maxLength: 10 }))).toEqualTypeOf<Frames>()
      expectTypeOf(
        Stream.make(new Uint8Array(1)).pipe(
          FrameReader.decodeResults({ maxLength: 10 }),
          Stream.map((result) => result._tag)
        )
      ).toEqualTypeOf<Stream.Stream<"Success" | "Failure">>()
    })
  })

  it("keep the error and the services of a stream that a function is generic in", () => {
    expectTypeOf(decoded<"broken", Service>).toEqualTypeOf<(stream: typeof input) => Lines>()
    expectTypeOf(piped<"broken", Service>).toEqualTypeOf<(stream: typeof input) => Frames>()
  })

  it("refuse streams and options of another kind", () => {
    never(() => {
      // @ts-expect-error lines are made of bytes
      LineReader.decode(texts)
      // @ts-expect-error lines are made of bytes
      texts.pipe(LineReader.decode)
      // @ts-expect-error there is no such option
      LineReader.decode({ maxlength: 10 })
      // @ts-expect-error an option of reading
      LineReader.encode({ maxLength: 10 })
      // @ts-expect-error there is no such line end
      LineReader.encode(texts, { lineEnd: "\r" })
      // @ts-expect-error a limit is a number
      FrameWriter.encode(input, { maxLength: "10" })
    })
  })
})
