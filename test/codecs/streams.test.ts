/** The codecs as operators on streams, in both directions. */
import { describe, expect, it } from "@effect/vitest"
import { Arbitrary, Effect, Exit, Fiber, Queue, Result, Stream } from "effect"
import { type CodecError, FrameReader, FrameWriter, LineReader } from "effect-amy"
import { anyBytes, anyCuts, between, bytesOf, concat, cut } from "./bytes.ts"

/** What a stream emits, and the reason that it ends with. */
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

/** A line with every kind of character in it but line ends; what ends in a carriage return is none of a line feed's. */
const anyLine = Arbitrary.array(between(0, 6), { maxLength: 12 }).pipe(
  Arbitrary.map((letters) => letters.map((letter) => ["a", "é", "€", "😀", "\r", "\0", "\uFEFF"][letter]!).join(""))
)

describe("promise 14: streams of lines", () => {
  it.effect.prop(
    "any lines, there and back, however cut",
    [Arbitrary.array(anyLine, { maxLength: 10 }), anyCuts, between(0, 1), between(1, 4)],
    ([lines, cuts, kind, batch]) =>
      Effect.gen(function* () {
        const lineEnd = kind === 0 ? "\n" : "\r\n"
        const sent = lineEnd === "\n" ? lines.map((line) => line.replace(/\r+$/, "")) : lines
        const back = yield* Stream.fromIterable(sent).pipe(
          Stream.rechunk(batch),
          LineReader.encode({ lineEnd }),
          Stream.flatMap((bytes) => Stream.fromIterable(cut(bytes, cuts))),
          LineReader.decode(),
          Stream.runCollect
        )
        expect(back).toEqual(sent)
      }),
    { arbitrary: { runs: 200 } }
  )

  it.effect.prop("decodeResults is what the reader gives", [anyBytes, anyCuts], ([bytes, cuts]) =>
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

  it.effect.prop("decode is the same up to the first failure, and then that", [anyBytes, anyCuts], ([bytes, cuts]) =>
    Effect.gen(function* () {
      const pieces = Stream.fromIterable(cut(bytes, cuts))
      const results = yield* Stream.runCollect(LineReader.decodeResults({ maxLength: 8 })(pieces))
      const { emitted, error } = yield* run(LineReader.decode({ maxLength: 8 })(pieces))
      const first = results.findIndex(Result.isFailure)
      expect(emitted).toEqual((first === -1 ? results : results.slice(0, first)).map(Result.getOrThrow))
      expect(error).toEqual(first === -1 ? undefined : Result.merge(results[first]!))
    })
  )

  it.effect("a line comes out before the next chunk goes in", () =>
    Effect.gen(function* () {
      const chunks = yield* Queue.unbounded<Uint8Array>()
      const lines = yield* Queue.unbounded<string>()
      const fiber = yield* Stream.fromQueue(chunks).pipe(
        LineReader.decode(),
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

  it.effect("an input that fails does not end its last line", () =>
    Effect.gen(function* () {
      const input = Stream.concat(Stream.make(bytesOf("whole\nhal")), Stream.fail("reset"))
      expect(yield* run(LineReader.decode()(input))).toEqual({ emitted: ["whole"], error: "reset" })
      expect(yield* run(LineReader.decodeResults()(input))).toEqual({
        emitted: [Result.succeed("whole")],
        error: "reset"
      })
    })
  )

  it.effect("runs of the same stream share nothing", () =>
    Effect.gen(function* () {
      const lines = LineReader.decode()(Stream.make(bytesOf("a\nb")))
      expect(yield* Stream.runCollect(lines)).toEqual(["a", "b"])
      expect(yield* Stream.runCollect(lines)).toEqual(["a", "b"])
      expect(yield* Stream.runCollect(Stream.take(lines, 1))).toEqual(["a"])
      expect(yield* Stream.runCollect(lines)).toEqual(["a", "b"])
    })
  )

  it.effect("of nothing, or of empty chunks, there are none", () =>
    Effect.gen(function* () {
      expect(yield* Stream.runCollect(LineReader.decode()(Stream.empty))).toEqual([])
      expect(yield* Stream.runCollect(LineReader.decode()(Stream.make(new Uint8Array(0))))).toEqual([])
      expect(yield* Stream.runCollect(LineReader.encode()(Stream.empty))).toEqual([])
    })
  )

  it.effect("its reasons are caught by their names", () =>
    Effect.gen(function* () {
      const caught = yield* Stream.make(Uint8Array.of(0x61, 0xff)).pipe(
        LineReader.decode(),
        Stream.runDrain,
        Effect.as("none" as unknown),
        Effect.catchReason("CodecError", "InvalidUtf8", ({ offset }) => Effect.succeed(offset))
      )
      expect(caught).toBe(1)
    })
  )
})

describe("lines that are none", () => {
  it.effect.each([
    ["a line feed within", "GET /\nHost: evil", "\n", 5],
    ["a line feed at the end", "a\n", "\r\n", 1],
    ["both", "a\r\nb", "\r\n", 2],
    ["a carriage return before the line feed that would follow", "ab\r", "\n", 2]
  ] as const)("%s is an error, after the lines before it", ([, line, lineEnd, index]) =>
    Effect.gen(function* () {
      const { emitted, error } = yield* run(LineReader.encode({ lineEnd })(Stream.make("before", line, "after")))
      expect(concat(emitted)).toEqual(bytesOf(`before${lineEnd}`))
      expect(reasonOf(error)).toEqual({ _tag: "LineEndInLine", index })
    })
  )

  it("a line end that is none is refused", () => {
    expect(() => LineReader.encode({ lineEnd: "\r" as "\n" })).toThrow(RangeError)
  })

  it.effect("lines that come together go out together, in pieces", () =>
    Effect.gen(function* () {
      const lines = Array.from({ length: 10_000 }, (_, i) => `line number ${i}`)
      const pieces = yield* Stream.runCollect(Stream.fromArray(lines).pipe(LineReader.encode()))
      expect(concat(pieces)).toEqual(bytesOf(`${lines.join("\n")}\n`))
      expect(pieces.length).toBeGreaterThan(1)
      expect(pieces.length).toBeLessThan(10)
    })
  )
})

describe("promise 14: streams of frames", () => {
  it.effect.prop(
    "any frames, there and back, however cut",
    [Arbitrary.array(anyBytes, { maxLength: 10 }), anyCuts, between(1, 4)],
    ([frames, cuts, batch]) =>
      Effect.gen(function* () {
        const back = yield* Stream.fromIterable(frames).pipe(
          Stream.rechunk(batch),
          FrameWriter.encode(),
          Stream.flatMap((bytes) => Stream.fromIterable(cut(bytes, cuts))),
          FrameReader.decode(),
          Stream.runCollect
        )
        expect(back).toEqual(frames)
      }),
    { arbitrary: { runs: 200 } }
  )

  it.effect("big ones and small ones", () =>
    Effect.gen(function* () {
      const frames = [1, 65_531, 65_532, 65_536, 0, 300_000, 2].map((length, i) => new Uint8Array(length).fill(i))
      const bytes = yield* Stream.fromArray(frames).pipe(FrameWriter.encode(), Stream.runCollect)
      expect(bytes.every((each) => each.buffer.byteLength === each.length)).toBe(true)
      expect(yield* Stream.fromArray(bytes).pipe(FrameReader.decode(), Stream.runCollect)).toEqual(frames)
    })
  )

  it.effect("frames that come together go out together, in pieces", () =>
    Effect.gen(function* () {
      const frames = Array.from({ length: 20_000 }, () => Uint8Array.of(1, 2, 3))
      const pieces = yield* Stream.runCollect(Stream.fromArray(frames).pipe(FrameWriter.encode()))
      expect(concat(pieces)).toHaveLength(140_000)
      expect(pieces.length).toBeLessThan(10)
      expect(Math.max(...pieces.map(({ length }) => length))).toBeLessThanOrEqual(66_000)
    })
  )

  it.effect("one that is too long fails, after the frames before it", () =>
    Effect.gen(function* () {
      const frames = Stream.make(Uint8Array.of(1), Uint8Array.of(2, 3, 4), Uint8Array.of(5))
      const reason = { _tag: "FrameTooLong", length: 3, limit: 2 }

      const written = yield* run(FrameWriter.encode({ maxLength: 2 })(frames))
      expect(concat(written.emitted)).toEqual(Uint8Array.of(0, 0, 0, 1, 1))
      expect(reasonOf(written.error)).toEqual(reason)

      const read = yield* run(frames.pipe(FrameWriter.encode(), FrameReader.decode({ maxLength: 2 })))
      expect(read.emitted).toEqual([Uint8Array.of(1)])
      expect(reasonOf(read.error)).toEqual(reason)

      const results = yield* frames.pipe(
        FrameWriter.encode(),
        FrameReader.decodeResults({ maxLength: 2 }),
        Stream.map((result) => (Result.isSuccess(result) ? Array.from(result.success) : reasonOf(result.failure))),
        Stream.runCollect
      )
      expect(results).toEqual([[1], reason, [5]])
    })
  )

  it.effect("an input that ends within a frame fails, after the frames before it", () =>
    Effect.gen(function* () {
      const input = Stream.make(Uint8Array.of(0, 0, 0, 1, 1), Uint8Array.of(0, 0, 0, 9, 1))
      const { emitted, error } = yield* run(FrameReader.decode()(input))
      expect(emitted).toEqual([Uint8Array.of(1)])
      expect(reasonOf(error)).toEqual({ _tag: "IncompleteFrame", expected: 13, received: 5 })
    })
  )

  it.effect("an input that fails keeps its own error", () =>
    Effect.gen(function* () {
      const input = Stream.concat(Stream.make(Uint8Array.of(0, 0, 0)), Stream.fail("reset"))
      expect(yield* run(FrameReader.decode()(input))).toEqual({ emitted: [], error: "reset" })
    })
  )
})
