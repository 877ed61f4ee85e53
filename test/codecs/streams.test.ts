/** The codecs as operators on streams, in both directions. */
import { describe, expect, it } from "@effect/vitest"
import { Arbitrary, Effect, Exit, Fiber, Queue, Result, Stream } from "effect"
import { type CodecError, FrameReader, FrameWriter, LineReader } from "effect-amy"
import { anyBytes, anyCuts, between, bytesOf, concat, cut } from "./bytes.ts"

/** Returns what a stream emits, and the error that it ends with. */
const run = <A, E>(stream: Stream.Stream<A, E>) =>
  Effect.gen(function* () {
    const emitted: Array<A> = []
    const exit = yield* Effect.exit(
      Stream.runForEach(stream, (value) =>
        Effect.sync(() => {
          emitted.push(value)
        })
      )
    )
    const error = Exit.isSuccess(exit) ? undefined : yield* Effect.flip(exit)
    return { emitted, error }
  })

const reasonOf = (error: unknown): unknown => ({ ...(error as CodecError.CodecError).reason })

/**
 * A line of characters of every kind but line feeds. It can end with a carriage return, which LF as
 * a line end excludes.
 */
const anyLine = Arbitrary.array(between(0, 6), { maxLength: 12 }).pipe(
  Arbitrary.map((letters) => letters.map((letter) => ["a", "é", "€", "😀", "\r", "\0", "\uFEFF"][letter]!).join(""))
)

describe("promise 14: streams of lines", () => {
  it.effect.prop(
    "any lines are the same after encoding and decoding, however cut",
    [Arbitrary.array(anyLine, { maxLength: 10 }), anyCuts, between(0, 1), between(1, 4)],
    ([lines, cuts, kind, batch]) =>
      Effect.gen(function* () {
        const lineEnd = kind === 0 ? "\n" : "\r\n"
        const sent = lineEnd === "\n" ? lines.map((line) => line.replace(/\r+$/, "")) : lines
        const back = yield* Stream.fromIterable(sent).pipe(
          Stream.rechunk(batch),
          LineReader.encode({ lineEnd }),
          Stream.flatMap((bytes) => Stream.fromIterable(cut(bytes, cuts))),
          LineReader.decode,
          Stream.runCollect
        )
        expect(back).toEqual(sent)
      }),
    { arbitrary: { runs: 200 } }
  )

  it.effect.prop("decodeResults emits what the reader returns", [anyBytes, anyCuts], ([bytes, cuts]) =>
    Effect.gen(function* () {
      const reader = LineReader.make({ maxLength: 8 })
      LineReader.feed(reader, bytes)
      LineReader.end(reader)
      const results = yield* Stream.fromIterable(cut(bytes, cuts)).pipe(
        LineReader.decodeResults({ maxLength: 8 }),
        Stream.runCollect
      )
      expect(results).toEqual(LineReader.takeAll(reader))
    })
  )

  it.effect.prop(
    "decode emits the same up to the first error, and fails with it",
    [anyBytes, anyCuts],
    ([bytes, cuts]) =>
      Effect.gen(function* () {
        const pieces = Stream.fromIterable(cut(bytes, cuts))
        const results = yield* Stream.runCollect(LineReader.decodeResults(pieces, { maxLength: 8 }))
        const { emitted, error } = yield* run(LineReader.decode(pieces, { maxLength: 8 }))
        const first = results.findIndex(Result.isFailure)
        expect(emitted).toEqual((first === -1 ? results : results.slice(0, first)).map(Result.getOrThrow))
        expect(error).toEqual(first === -1 ? undefined : Result.merge(results[first]!))
      })
  )

  it.effect("a line is emitted before the next chunk is pulled", () =>
    Effect.gen(function* () {
      const chunks = yield* Queue.unbounded<Uint8Array>()
      const lines = yield* Queue.unbounded<string>()
      const fiber = yield* Stream.fromQueue(chunks).pipe(
        LineReader.decode,
        Stream.runForEach((line) => Queue.offer(lines, line)),
        Effect.forkChild
      )
      yield* Queue.offer(chunks, bytesOf("one\ntw"))
      expect(yield* Queue.take(lines)).toBe("one")
      yield* Queue.offer(chunks, bytesOf("o\n"))
      expect(yield* Queue.take(lines)).toBe("two")
      yield* Fiber.interrupt(fiber)
    })
  )

  it.effect("an input that fails does not complete its last line", () =>
    Effect.gen(function* () {
      const input = Stream.concat(Stream.make(bytesOf("whole\nhal")), Stream.fail("reset"))
      expect(yield* run(LineReader.decode(input))).toEqual({ emitted: ["whole"], error: "reset" })
      expect(yield* run(LineReader.decodeResults(input))).toEqual({
        emitted: [Result.succeed("whole")],
        error: "reset"
      })
    })
  )

  it.effect("runs of the same stream share no state", () =>
    Effect.gen(function* () {
      const lines = LineReader.decode(Stream.make(bytesOf("a\nb")))
      expect(yield* Stream.runCollect(lines)).toEqual(["a", "b"])
      expect(yield* Stream.runCollect(lines)).toEqual(["a", "b"])
      expect(yield* Stream.runCollect(Stream.take(lines, 1))).toEqual(["a"])
      expect(yield* Stream.runCollect(lines)).toEqual(["a", "b"])
    })
  )

  it.effect("an empty input, and one of empty chunks, emits nothing", () =>
    Effect.gen(function* () {
      expect(yield* Stream.runCollect(LineReader.decode(Stream.empty))).toEqual([])
      expect(yield* Stream.runCollect(LineReader.decode(Stream.make(new Uint8Array(0))))).toEqual([])
      expect(yield* Stream.runCollect(LineReader.encode(Stream.empty))).toEqual([])
    })
  )

  it.effect("catchReason catches an error by its reason", () =>
    Effect.gen(function* () {
      const caught = yield* Stream.make(Uint8Array.of(0x61, 0xff)).pipe(
        LineReader.decode,
        Stream.runDrain,
        Effect.as("none" as unknown),
        Effect.catchReason("CodecError", "InvalidUtf8", ({ offset }) => Effect.succeed(offset))
      )
      expect(caught).toBe(1)
    })
  )
})

describe("LineReader.encode", () => {
  it.effect.each([
    ["a line feed within it", "GET /\nHost: evil", "\n", 5],
    ["a line feed at its end", "a\n", "\r\n", 1],
    ["both line ends within it", "a\r\nb", "\r\n", 2],
    ["a carriage return before the line feed that ends it", "ab\r", "\n", 2]
  ] as const)("fails after the lines before one with %s", ([, line, lineEnd, index]) =>
    Effect.gen(function* () {
      const { emitted, error } = yield* run(LineReader.encode(Stream.make("before", line, "after"), { lineEnd }))
      expect(concat(emitted)).toEqual(bytesOf(`before${lineEnd}`))
      expect(reasonOf(error)).toEqual({ _tag: "LineEndInLine", index })
    })
  )

  it("refuses an invalid line end", () => {
    expect(() => LineReader.encode({ lineEnd: "\r" as "\n" })).toThrow(RangeError)
  })

  it.effect("puts lines together, in pieces", () =>
    Effect.gen(function* () {
      const lines = Array.from({ length: 10_000 }, (_, i) => `line number ${i}`)
      const pieces = yield* Stream.runCollect(Stream.fromArray(lines).pipe(LineReader.encode))
      expect(concat(pieces)).toEqual(bytesOf(`${lines.join("\n")}\n`))
      expect(pieces.length).toBeGreaterThan(1)
      expect(pieces.length).toBeLessThan(10)
    })
  )
})

describe("promise 14: streams of frames", () => {
  it.effect.prop(
    "any frames are the same after encoding and decoding, however cut",
    [Arbitrary.array(anyBytes, { maxLength: 10 }), anyCuts, between(1, 4)],
    ([frames, cuts, batch]) =>
      Effect.gen(function* () {
        const back = yield* Stream.fromIterable(frames).pipe(
          Stream.rechunk(batch),
          FrameWriter.encode,
          Stream.flatMap((bytes) => Stream.fromIterable(cut(bytes, cuts))),
          FrameReader.decode,
          Stream.runCollect
        )
        expect(back).toEqual(frames)
      }),
    { arbitrary: { runs: 200 } }
  )

  it.effect("frames of any size are the same after encoding and decoding", () =>
    Effect.gen(function* () {
      const frames = [1, 65_531, 65_532, 65_536, 0, 300_000, 2].map((length, i) => new Uint8Array(length).fill(i))
      const bytes = yield* Stream.fromArray(frames).pipe(FrameWriter.encode, Stream.runCollect)
      expect(bytes.every((each) => each.buffer.byteLength === each.length)).toBe(true)
      expect(yield* Stream.fromArray(bytes).pipe(FrameReader.decode, Stream.runCollect)).toEqual(frames)
    })
  )

  it.effect("small frames are put together, in pieces", () =>
    Effect.gen(function* () {
      const frames = Array.from({ length: 20_000 }, () => Uint8Array.of(1, 2, 3))
      const pieces = yield* Stream.runCollect(Stream.fromArray(frames).pipe(FrameWriter.encode))
      expect(concat(pieces)).toHaveLength(140_000)
      expect(pieces.length).toBeLessThan(10)
      expect(Math.max(...pieces.map(({ length }) => length))).toBeLessThanOrEqual(66_000)
    })
  )

  it.effect("a frame that is too long fails after the frames before it", () =>
    Effect.gen(function* () {
      const frames = Stream.make(Uint8Array.of(1), Uint8Array.of(2, 3, 4), Uint8Array.of(5))
      const reason = { _tag: "FrameTooLong", length: 3, limit: 2 }

      const written = yield* run(FrameWriter.encode(frames, { maxLength: 2 }))
      expect(concat(written.emitted)).toEqual(Uint8Array.of(0, 0, 0, 1, 1))
      expect(reasonOf(written.error)).toEqual(reason)

      const read = yield* run(frames.pipe(FrameWriter.encode, FrameReader.decode({ maxLength: 2 })))
      expect(read.emitted).toEqual([Uint8Array.of(1)])
      expect(reasonOf(read.error)).toEqual(reason)

      const results = yield* frames.pipe(
        FrameWriter.encode,
        FrameReader.decodeResults({ maxLength: 2 }),
        Stream.map((result) => (Result.isSuccess(result) ? Array.from(result.success) : reasonOf(result.failure))),
        Stream.runCollect
      )
      expect(results).toEqual([[1], reason, [5]])
    })
  )

  it.effect("an input that ends within a frame fails after the frames before it", () =>
    Effect.gen(function* () {
      const input = Stream.make(Uint8Array.of(0, 0, 0, 1, 1), Uint8Array.of(0, 0, 0, 9, 1))
      const { emitted, error } = yield* run(FrameReader.decode(input))
      expect(emitted).toEqual([Uint8Array.of(1)])
      expect(reasonOf(error)).toEqual({ _tag: "IncompleteFrame", expected: 13, received: 5 })
    })
  )

  it.effect("an input that fails keeps its own error", () =>
    Effect.gen(function* () {
      const input = Stream.concat(Stream.make(Uint8Array.of(0, 0, 0)), Stream.fail("reset"))
      expect(yield* run(FrameReader.decode(input))).toEqual({ emitted: [], error: "reset" })
    })
  )
})

/** Checks that all streams do the same, and returns what that is. */
const same = <A, E>(streams: ReadonlyArray<Stream.Stream<A, E>>) =>
  Effect.gen(function* () {
    const [first, ...others] = yield* Effect.forEach(streams, (stream) => run(stream))
    expect(first!.emitted.length).toBeGreaterThan(0)
    for (const other of others) expect(other).toEqual(first)
    return first!
  })

describe("operators that take a stream first, or options first", () => {
  const bytes = Stream.make(Uint8Array.of(0, 0, 0, 2, 0x61, 0x0a, 0, 0, 0, 1, 0x62))
  const text = Stream.make("a", "bc")

  it.effect("do the same in each form", () =>
    Effect.gen(function* () {
      for (const operator of [LineReader.decode, LineReader.decodeResults, FrameReader.decode, FrameWriter.encode]) {
        const first = operator as typeof LineReader.decode
        yield* same([
          first(bytes),
          bytes.pipe(first),
          bytes.pipe(first()),
          bytes.pipe(first(undefined)),
          first(bytes, {})
        ])
      }
      yield* same([
        FrameReader.decodeResults(bytes),
        bytes.pipe(FrameReader.decodeResults),
        bytes.pipe(FrameReader.decodeResults({}))
      ])
      yield* same([LineReader.encode(text), text.pipe(LineReader.encode), text.pipe(LineReader.encode({}))])
    })
  )

  it.effect("use the options in each form", () =>
    Effect.gen(function* () {
      const { error } = yield* same([
        FrameReader.decode(Stream.make(Uint8Array.of(0, 0, 0, 1, 1, 0, 0, 0, 2)), { maxLength: 1 }),
        Stream.make(Uint8Array.of(0, 0, 0, 1, 1, 0, 0, 0, 2)).pipe(FrameReader.decode({ maxLength: 1 }))
      ])
      expect(reasonOf(error)).toEqual({ _tag: "FrameTooLong", length: 2, limit: 1 })
      const lineEnd = "\r\n"
      const { emitted } = yield* same([LineReader.encode(text, { lineEnd }), text.pipe(LineReader.encode({ lineEnd }))])
      expect(concat(emitted)).toEqual(bytesOf("a\r\nbc\r\n"))
    })
  )

  it("throw for invalid options at once in each form", () => {
    const maxLength = -1
    for (const operator of [LineReader.decode, LineReader.decodeResults, FrameReader.decode, FrameWriter.encode]) {
      expect(() => operator({ maxLength })).toThrow(RangeError)
      expect(() => operator(bytes, { maxLength })).toThrow(RangeError)
    }
    expect(() => LineReader.encode(text, { lineEnd: "\r" as "\n" })).toThrow(RangeError)
  })
})
