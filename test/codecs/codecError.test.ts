/** The error of the codecs: its messages, its guard, and its schema. */
import { describe, expect, it } from "@effect/vitest"
import { Schema } from "effect"
import { CodecError } from "effect-amy"

const reasons = [
  new CodecError.FrameTooLong({ length: 20, limit: 10 }),
  new CodecError.LineTooLong({ length: 11, limit: 10 }),
  new CodecError.InvalidUtf8({ offset: 12, offsetInLine: 3 }),
  new CodecError.IncompleteFrame({ expected: 14, received: 6 }),
  new CodecError.LineEndInLine({ index: 5 })
]

describe("a codec's error", () => {
  it("has a message with every number of its reason", () => {
    for (const reason of reasons) {
      const { message } = new CodecError.CodecError({ reason })
      const numbers = Object.values(reason).filter((value) => typeof value === "number")
      expect(numbers.length).toBeGreaterThan(0)
      for (const number of numbers) expect(message).toMatch(new RegExp(`\\b${number}\\b`))
      expect(message).toMatch(/^[a-z].*\)$/)
    }
  })

  it("is recognised by its guard", () => {
    expect(reasons.every((reason) => CodecError.isCodecError(new CodecError.CodecError({ reason })))).toBe(true)
    expect(CodecError.isCodecError(new Error("CodecError"))).toBe(false)
    expect(CodecError.isCodecError(undefined)).toBe(false)
  })

  it("survives encoding and decoding by its schema", () => {
    const codec = Schema.fromJsonString(Schema.toCodecJson(CodecError.CodecError))
    for (const reason of reasons) {
      const error = new CodecError.CodecError({ reason })
      const back = Schema.decodeUnknownSync(codec)(Schema.encodeSync(codec)(error))
      expect(CodecError.isCodecError(back)).toBe(true)
      expect(back.message).toBe(error.message)
    }
  })
})
