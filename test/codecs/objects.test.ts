/** Readers and writers as objects: guards, printed forms, and what is refused in their place. */
import { describe, expect, it } from "@effect/vitest"
import { CodecError, FrameReader, FrameWriter, LineReader } from "effect-amy"
import { inspect } from "node:util"

const line = LineReader.make()
const frame = FrameReader.make({ maxLength: 9 })
const writer = FrameWriter.make({ maxLength: 9 })

const guards = [LineReader.isLineReader, FrameReader.isFrameReader, FrameWriter.isFrameWriter]

/** Objects that have what a reader or writer shows, and are none. */
const doubles = [line, frame, writer].flatMap((object) => [
  {
    "~effect-amy/LineReader": "~effect-amy/LineReader",
    "~effect-amy/FrameReader": "~effect-amy/FrameReader",
    "~effect-amy/FrameWriter": "~effect-amy/FrameWriter",
    maxLength: object.maxLength,
    pendingBytes: 0,
    isWritable: true
  },
  Object.create(object) as object,
  structuredClone(object) as object
])

const others: ReadonlyArray<unknown> = [undefined, null, 0, "reader", [], {}, () => {}, ...doubles]

describe("guards", () => {
  it("recognise a reader or writer of their own kind, and nothing else", () => {
    expect(guards.map((guard) => guard(line))).toEqual([true, false, false])
    expect(guards.map((guard) => guard(frame))).toEqual([false, true, false])
    expect(guards.map((guard) => guard(writer))).toEqual([false, false, true])
    for (const other of others) expect(guards.map((guard) => guard(other))).toEqual([false, false, false])
  })
})

describe("printed forms", () => {
  it("name the kind, the limit and what is pending", () => {
    const reader = LineReader.make()
    LineReader.feed(reader, Uint8Array.of(0x61, 0x62, 0x63))
    expect(String(reader)).toBe("LineReader(maxLength 65536, 3 pending)")
    expect(inspect({ reader })).toBe("{ reader: LineReader(maxLength 65536, 3 pending) }")
    expect(String(frame)).toBe("FrameReader(maxLength 9, 0 pending)")
    expect(String(writer)).toBe("FrameWriter(maxLength 9, 0 pending)")
    expect(JSON.parse(JSON.stringify([reader, writer]))).toEqual([
      { _id: "effect-amy/LineReader", maxLength: 65_536, pendingBytes: 3 },
      { _id: "effect-amy/FrameWriter", maxLength: 9, pendingBytes: 0 }
    ])
  })

  it("show nothing internal", () => {
    expect([line, frame, writer].map((object) => Object.keys(object))).toEqual([[], [], []])
  })
})

describe("an operation on something that its module did not make", () => {
  const operations: { readonly [name: string]: (self: never) => unknown } = {
    "LineReader.feed": (self) => LineReader.feed(self, Uint8Array.of(1)),
    "LineReader.end": LineReader.end,
    "LineReader.next": LineReader.next,
    "LineReader.takeAll": LineReader.takeAll,
    "FrameReader.feed": (self) => FrameReader.feed(self, Uint8Array.of(1)),
    "FrameReader.end": FrameReader.end,
    "FrameReader.next": FrameReader.next,
    "FrameReader.takeAll": FrameReader.takeAll,
    "FrameWriter.push": (self) => FrameWriter.push(self, Uint8Array.of(1)),
    "FrameWriter.write": (self) => FrameWriter.write(self, () => 0)
  }

  it.each(Object.entries(operations))("%s throws a TypeError that says what to pass", (name, operation) => {
    const [kind] = name.split(".") as [string]
    const own = [line, frame, writer].find((object) => String(object).startsWith(kind))
    for (const other of [...others, ...[line, frame, writer].filter((object) => object !== own)]) {
      expect(() => operation(other as never)).toThrow(
        new TypeError(`the first argument of ${name} is not a ${kind}: pass what ${kind}.make returned`)
      )
    }
    expect(() => operation(own as never)).not.toThrow()
  })
})

describe("the schemas of the errors", () => {
  it("are named after the package", () => {
    const { CodecErrorReason: _, isCodecError: __, CodecError: whole, ...reasons } = CodecError
    expect(whole.identifier).toBe("effect-amy/CodecError")
    for (const [name, reason] of Object.entries(reasons)) {
      expect(reason.identifier).toBe(`effect-amy/CodecError/${name}`)
    }
    expect(Object.keys(reasons)).toHaveLength(5)
  })
})
