/** What a peer can make a reader do: errors cost it little, and after the first one nothing. */
import { expect, it, vi } from "@effect/vitest"
import { Effect, Result, Stream } from "effect"
import { FrameReader, LineReader } from "effect-amy"

const invalidLines = Uint8Array.from({ length: 2000 }, (_, i) => (i % 2 === 0 ? 0xff : 0x0a))
const tooLongFrames = Uint8Array.from({ length: 1000 }, (_, i) => (i % 5 === 3 ? 1 : 0))

it.effect("decode looks at no line after the first that is invalid", () =>
  Effect.gen(function* () {
    const decoded = vi.spyOn(TextDecoder.prototype, "decode")
    const error = yield* Stream.make(invalidLines, invalidLines).pipe(LineReader.decode, Stream.runDrain, Effect.flip)
    expect([error.reason._tag, decoded.mock.calls.length]).toEqual(["InvalidUtf8", 1])
    decoded.mockRestore()
  })
)

it("an error is made when it is looked at, and is the same one afterwards", () => {
  const lines = LineReader.make()
  LineReader.feed(lines, invalidLines)
  const frames = FrameReader.make({ maxLength: 0 })
  FrameReader.feed(frames, tooLongFrames)
  for (const results of [LineReader.takeAll(lines), FrameReader.takeAll(frames)]) {
    const [first, second] = (results as ReadonlyArray<Result.Result<unknown, Error>>).filter(Result.isFailure)
    expect(Object.getOwnPropertyDescriptor(first, "failure")?.value).toBeUndefined()
    const error = first!.failure
    expect(error).toBeInstanceOf(Error)
    expect(first!.failure).toBe(error)
    expect(second!.failure).not.toBe(error)
  }
})

it("a replacement character that was sent is not taken for an invalid byte", () => {
  const replaced = `${"ä".repeat(100)}\uFFFD`
  const lines = LineReader.make()
  LineReader.feed(lines, Buffer.concat([Buffer.from(replaced), Buffer.of(0xff, 0x0a), Buffer.from(`${replaced}\n`)]))
  const [invalid, valid] = LineReader.takeAll(lines)
  expect(Result.getOrThrow(valid!)).toBe(replaced)
  expect(Result.isFailure(invalid!) && invalid.failure.reason).toMatchObject({ offset: 203, offsetInLine: 203 })
})
