/** The line reader: compared with a simple reader of the whole input, and in its edge cases. */
import { describe, expect, it } from "@effect/vitest"
import { Arbitrary, Option, Result } from "effect"
import { type CodecError, LineReader } from "effect-amy"
import { allocatedBy, anyBytes, anyCuts, between, bytesOf, cut, feedAll } from "./bytes.ts"

type Line = string | CodecError.CodecErrorReason

const plain = (results: ReadonlyArray<Result.Result<string, CodecError.CodecError>>): ReadonlyArray<Line> =>
  results.map(Result.match({ onSuccess: (line): Line => line, onFailure: (error): Line => error.reason }))

const read = (pieces: ReadonlyArray<Uint8Array>, options?: LineReader.MakeOptions): ReadonlyArray<Line> => {
  const reader = LineReader.make(options)
  feedAll((chunk) => LineReader.feed(reader, chunk), pieces)
  LineReader.end(reader)
  return plain(LineReader.takeAll(reader))
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

const decoded = (bytes: Uint8Array): string | undefined => {
  try {
    return utf8.decode(bytes)
  } catch {
    return undefined
  }
}

/**
 * Returns the same lines, from the whole input at once. Finds wrong bytes by decoding each
 * beginning of a line.
 */
const expected = (bytes: Uint8Array, maxLength: number): ReadonlyArray<unknown> => {
  const lines: Array<unknown> = []
  for (let from = 0; from < bytes.length;) {
    const lf = bytes.indexOf(0x0a, from)
    const to = lf === -1 ? bytes.length : lf
    const line = bytes.subarray(from, lf !== -1 && to > from && bytes[to - 1] === 0x0d ? to - 1 : to)
    const text = decoded(line)
    if (line.length > maxLength) {
      lines.push({ _tag: "LineTooLong", length: maxLength + 1, limit: maxLength })
    } else if (text === undefined) {
      let valid = line.length
      while (decoded(line.subarray(0, valid)) === undefined) valid--
      lines.push({ _tag: "InvalidUtf8", offset: from + valid, offsetInLine: valid })
    } else {
      lines.push(text)
    }
    from = to + 1
  }
  return lines
}

const shown = (lines: ReadonlyArray<Line>): ReadonlyArray<unknown> =>
  lines.map((line) => (typeof line === "string" ? line : { ...line }))

describe("promise 14: lines are the same however the bytes are cut", () => {
  it.prop(
    "for any bytes, cuts and limit",
    [anyBytes, anyCuts, between(0, 20)],
    ([bytes, cuts, maxLength]) => {
      expect(shown(read(cut(bytes, cuts), { maxLength }))).toEqual(expected(bytes, maxLength))
    },
    { arbitrary: { runs: 1000 } }
  )

  it.prop(
    "for any bytes within the limit, fed one by one",
    [anyBytes],
    ([bytes]) => {
      expect(shown(read(cut(bytes, [1])))).toEqual(expected(bytes, 65_536))
    },
    { arbitrary: { runs: 500 } }
  )

  it.prop("whether they are taken between the chunks or all at the end", [anyBytes, anyCuts], ([bytes, cuts]) => {
    const reader = LineReader.make({ maxLength: 6 })
    const taken: Array<Result.Result<string, CodecError.CodecError>> = []
    const take = () => {
      const next = LineReader.next(reader)
      if (Option.isSome(next)) taken.push(next.value)
      return Option.isSome(next)
    }
    for (const piece of cut(bytes, cuts)) {
      LineReader.feed(reader, piece)
      take()
    }
    LineReader.end(reader)
    while (take());
    expect(plain(taken)).toEqual(read([bytes], { maxLength: 6 }))
  })

  it("for line ends of two bytes and characters of four, cut in every way", () => {
    const bytes = bytesOf("é€😀\r\n\r\n😀\n")
    for (let first = 0; first <= bytes.length; first++) {
      for (let second = first; second <= bytes.length; second++) {
        const pieces = [bytes.subarray(0, first), bytes.subarray(first, second), bytes.subarray(second)]
        expect(read(pieces)).toEqual(["é€😀", "", "😀"])
      }
    }
  })
})

describe("a line reader", () => {
  it("ends a line at LF and at CR LF, and at nothing else", () => {
    expect(read([bytesOf("a\nb\r\nc\rd\r\r\n\n\u2028e\0f\n")])).toEqual(["a", "b", "c\rd\r", "", "\u2028e\0f"])
  })

  it("needs no line end after the last line", () => {
    expect(read([])).toEqual([])
    expect(read([bytesOf("a")])).toEqual(["a"])
    expect(read([bytesOf("a\n")])).toEqual(["a"])
    expect(read([bytesOf("a\n\n")])).toEqual(["a", ""])
    expect(read([bytesOf("a\nb\r")])).toEqual(["a", "b\r"])
    expect(read([bytesOf("\r")])).toEqual(["\r"])
  })

  it("completes no line before its end has arrived", () => {
    const reader = LineReader.make()
    LineReader.feed(reader, bytesOf("abc\r"))
    expect(LineReader.next(reader)).toEqual(Option.none())
    expect(reader.pendingBytes).toBe(4)
    LineReader.feed(reader, bytesOf("\n"))
    expect(LineReader.next(reader)).toEqual(Option.some(Result.succeed("abc")))
    expect(LineReader.next(reader)).toEqual(Option.none())
    expect(reader.pendingBytes).toBe(0)
  })

  it("keeps a byte order mark as a character", () => {
    expect(read([bytesOf("\uFEFFa\n\uFEFFb\n")])).toEqual(["\uFEFFa", "\uFEFFb"])
  })

  it("reads from a Buffer in pooled memory", () => {
    const reader = LineReader.make()
    const buffer = Buffer.from("one\ntw")
    LineReader.feed(reader, buffer)
    buffer.fill(0)
    LineReader.feed(reader, Buffer.from("o\n"))
    expect(plain(LineReader.takeAll(reader))).toEqual(["one", "two"])
  })

  it("starts another input after the end, whose offsets count from 0", () => {
    const reader = LineReader.make({ maxLength: 4 })
    LineReader.feed(reader, bytesOf("too long"))
    LineReader.end(reader)
    LineReader.end(reader)
    LineReader.feed(reader, Uint8Array.of(0x61, 0x0a, 0xff, 0x0a))
    LineReader.end(reader)
    expect(shown(plain(LineReader.takeAll(reader)))).toEqual([
      { _tag: "LineTooLong", length: 5, limit: 4 },
      "a",
      { _tag: "InvalidUtf8", offset: 2, offsetInLine: 0 }
    ])
  })

  it("reads a hundred thousand lines from one chunk", () => {
    const lines = Array.from({ length: 100_000 }, (_, i) => `line ${i}`)
    expect(read([bytesOf(lines.join("\r\n"))])).toEqual(lines)
  })

  it("reads a line of a million bytes from a million chunks", () => {
    const reader = LineReader.make({ maxLength: 1_000_000 })
    const byte = bytesOf("x")
    for (let i = 0; i < 1_000_000; i++) LineReader.feed(reader, byte)
    LineReader.feed(reader, bytesOf("\n"))
    expect(plain(LineReader.takeAll(reader))).toEqual(["x".repeat(1_000_000)])
  })
})

describe("promise 14: a line longer than the limit is an error that names both sizes", () => {
  it.each(["\n", "\r\n", ""])("a line of exactly the limit passes and one byte more does not, before %j", (lineEnd) => {
    for (const sizes of [[0], [1], [2], [3]]) {
      expect(read(cut(bytesOf(`abcd${lineEnd}`), sizes), { maxLength: 4 })).toEqual(["abcd"])
      expect(shown(read(cut(bytesOf(`abcde${lineEnd}`), sizes), { maxLength: 4 }))).toEqual([
        { _tag: "LineTooLong", length: 5, limit: 4 }
      ])
    }
  })

  it("the limit counts bytes and not characters", () => {
    expect(read([bytesOf("éé\n")], { maxLength: 4 })).toEqual(["éé"])
    expect(shown(read([bytesOf("éé\n")], { maxLength: 3 }))).toEqual([{ _tag: "LineTooLong", length: 4, limit: 3 }])
  })

  it("the error comes at once, before the line ends", () => {
    const reader = LineReader.make({ maxLength: 4 })
    LineReader.feed(reader, bytesOf("abcde"))
    const [error] = LineReader.takeAll(reader)
    expect(Option.map(Result.getFailure(error!), ({ message }) => message)).toEqual(
      Option.some(
        "a line of at least 5 bytes is longer than the limit of 4 bytes (if you want such lines, raise maxLength)"
      )
    )
    LineReader.feed(reader, bytesOf("fghijklmnop"))
    expect(reader.pendingBytes).toBe(0)
    expect(LineReader.takeAll(reader)).toEqual([])
  })

  it("the error comes once, and the next line is read", () => {
    const text = `${"x".repeat(50)}\nok\r\n${"y".repeat(50)}\r\nfine\n`
    for (const sizes of [[0], [1], [7], [60]]) {
      expect(shown(read(cut(bytesOf(text), sizes), { maxLength: 4 }))).toEqual([
        { _tag: "LineTooLong", length: 5, limit: 4 },
        "ok",
        { _tag: "LineTooLong", length: 5, limit: 4 },
        "fine"
      ])
    }
  })

  it("with a limit of zero, empty lines pass", () => {
    expect(shown(read([bytesOf("\n\r\na\n")], { maxLength: 0 }))).toEqual([
      "",
      "",
      { _tag: "LineTooLong", length: 1, limit: 0 }
    ])
  })

  it("nothing of the size of the line is allocated or kept", () => {
    const reader = LineReader.make({ maxLength: 1000 })
    const chunk = new Uint8Array(65_536).fill(0x61)
    const allocated = allocatedBy(() => {
      for (let i = 0; i < 1024; i++) LineReader.feed(reader, chunk)
      return reader
    })
    expect(allocated).toBeLessThan(1_000_000)
    expect(reader.pendingBytes).toBe(0)
    expect(LineReader.takeAll(reader)).toHaveLength(1)
  })

  it("nothing of the size of the limit is allocated in advance", () => {
    const allocated = allocatedBy(() =>
      Array.from({ length: 100 }, () => {
        const reader = LineReader.make({ maxLength: 0x1000_0000 })
        LineReader.feed(reader, bytesOf("begun"))
        return reader
      })
    )
    expect(allocated).toBeLessThan(1_000_000)
  })
})

describe("promise 14: invalid UTF-8 is an error that gives the byte offset", () => {
  it.each([
    ["a continuation byte alone", [0x61, 0x80], 1],
    ["a byte that is never valid", [0x61, 0x62, 0xff, 0x63], 2],
    ["a character of two bytes cut short", [0xc3], 0],
    ["a character of four bytes cut short", [0x61, 0xf0, 0x9f, 0x98], 1],
    ["a character of three bytes broken by the next", [0xe2, 0x82, 0x61], 0],
    ["an overlong slash", [0x61, 0xc0, 0xaf], 1],
    ["an overlong form of three bytes", [0xe0, 0x80, 0xaf], 0],
    ["an overlong form of four bytes", [0x61, 0xf0, 0x8f, 0xbf, 0xbf], 1],
    ["a surrogate", [0xc3, 0xa9, 0xed, 0xa0, 0x80], 2],
    ["a code point above U+10FFFF", [0xf4, 0x90, 0x80, 0x80], 0]
  ])("for %s", (_, bytes, offsetInLine) => {
    const input = [0x6f, 0x6b, 0x0d, 0x0a, ...bytes, 0x0a, 0x6f, 0x6b, 0x0a]
    for (const sizes of [[0], [1], [3]]) {
      expect(shown(read(cut(Uint8Array.from(input), sizes)))).toEqual([
        "ok",
        { _tag: "InvalidUtf8", offset: 4 + offsetInLine, offsetInLine },
        "ok"
      ])
    }
  })

  it.prop(
    "for one wrong byte anywhere in a text",
    [Arbitrary.array(between(0, 5), { minLength: 1, maxLength: 30 }), between(0, 29), between(0xf5, 0xff)],
    ([letters, place, wrong]) => {
      const text = letters.map((letter) => ["a", "é", "€", "😀", "\n", "\r\n"][letter]!)
      const before = bytesOf(text.slice(0, place % text.length).join(""))
      const after = bytesOf(text.slice(place % text.length).join(""))
      const bytes = Uint8Array.of(...before, wrong, ...after)
      const errors = read([bytes]).filter((line) => typeof line !== "string")
      expect(errors).toMatchObject([{ _tag: "InvalidUtf8", offset: before.length }])
    }
  )
})

describe("options of a line reader", () => {
  it.each([-1, 1.5, NaN, Infinity, 0x1000_0001, "10" as unknown as number])(
    "a maxLength of %s is refused",
    (maxLength) => {
      expect(() => LineReader.make({ maxLength })).toThrow(RangeError)
      expect(() => LineReader.decode({ maxLength })).toThrow(RangeError)
      expect(() => LineReader.decodeResults({ maxLength })).toThrow(`invalid maxLength ${maxLength}`)
    }
  )

  it("maxLength defaults to 65,536", () => {
    expect(LineReader.make().maxLength).toBe(65_536)
  })
})
