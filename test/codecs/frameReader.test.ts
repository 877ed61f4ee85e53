/** The frame reader: compared with a simple reader of the whole input, and in its edge cases. */
import { describe, expect, it } from "@effect/vitest"
import { Arbitrary, Option, Result } from "effect"
import { type CodecError, FrameReader } from "effect-amy"
import { allocatedBy, anyBytes, anyCuts, between, concat, cut, feedAll } from "./bytes.ts"

type Frame = ReadonlyArray<number> | CodecError.CodecErrorReason

/** Makes a frame. It can announce a length other than its own. */
const frame = (bytes: ReadonlyArray<number> | Uint8Array, length = bytes.length): Uint8Array => {
  const prefix = new DataView(new ArrayBuffer(4))
  prefix.setUint32(0, length, false)
  return concat([new Uint8Array(prefix.buffer), Uint8Array.from(bytes)])
}

const shown = (
  results: ReadonlyArray<Result.Result<Uint8Array, CodecError.CodecError>>
): ReadonlyArray<Frame | { readonly _tag: string }> =>
  results.map((result) => (Result.isSuccess(result) ? Array.from(result.success) : { ...result.failure.reason }))

const read = (pieces: ReadonlyArray<Uint8Array>, options?: FrameReader.MakeOptions) => {
  const reader = FrameReader.make(options)
  feedAll((chunk) => FrameReader.feed(reader, chunk), pieces)
  FrameReader.end(reader)
  expect(reader.pendingBytes).toBe(0)
  return shown(FrameReader.takeAll(reader))
}

/** Returns the same frames, from the whole input at once. */
const expected = (bytes: Uint8Array, limit: number): ReadonlyArray<unknown> => {
  const frames: Array<unknown> = []
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let at = 0
  while (at < bytes.length) {
    const received = bytes.length - at
    if (received < 4) return [...frames, { _tag: "IncompleteFrame", expected: 4, received }]
    const length = view.getUint32(at)
    if (length > limit) frames.push({ _tag: "FrameTooLong", length, limit })
    else if (received < 4 + length) return [...frames, { _tag: "IncompleteFrame", expected: 4 + length, received }]
    else frames.push(Array.from(bytes.subarray(at + 4, at + 4 + length)))
    at += 4 + length
  }
  return frames
}

/** Whole frames, and in half of the runs the last one cut off. */
const anyFrames = Arbitrary.all([Arbitrary.array(anyBytes, { maxLength: 8 }), between(0, 20)]).pipe(
  Arbitrary.map(([frames, missing]) => {
    const bytes = concat(frames.map((each) => frame(each)))
    return bytes.subarray(0, Math.max(0, bytes.length - (missing > 10 ? missing - 10 : 0)))
  })
)

describe("promise 14: frames are the same however the bytes are cut", () => {
  it.prop(
    "for any frames, cuts and limit",
    [anyFrames, anyCuts, between(0, 60)],
    ([bytes, cuts, maxLength]) => {
      expect(read(cut(bytes, cuts), { maxLength })).toEqual(expected(bytes, maxLength))
    },
    { arbitrary: { runs: 1000 } }
  )

  it.prop("for any bytes and cuts", [anyBytes, anyCuts], ([bytes, cuts]) => {
    expect(read(cut(bytes, cuts))).toEqual(expected(bytes, 16_777_216))
  })

  it.prop("for any frames, fed byte by byte", [anyFrames], ([bytes]) => {
    expect(read(cut(bytes, [1]))).toEqual(expected(bytes, 16_777_216))
  })

  it.prop("whether they are taken between the chunks or all at the end", [anyFrames, anyCuts], ([bytes, cuts]) => {
    const reader = FrameReader.make({ maxLength: 20 })
    const taken: Array<Result.Result<Uint8Array, CodecError.CodecError>> = []
    const take = () => {
      const next = FrameReader.next(reader)
      if (Option.isSome(next)) taken.push(next.value)
      return Option.isSome(next)
    }
    for (const piece of cut(bytes, cuts)) {
      FrameReader.feed(reader, piece)
      take()
    }
    FrameReader.end(reader)
    while (take());
    expect(shown(taken)).toEqual(read([bytes], { maxLength: 20 }))
  })
})

describe("a frame reader", () => {
  it("returns an empty frame once its length has arrived", () => {
    const reader = FrameReader.make()
    FrameReader.feed(reader, Uint8Array.of(0, 0, 0))
    expect(FrameReader.next(reader)).toEqual(Option.none())
    expect(reader.pendingBytes).toBe(3)
    FrameReader.feed(reader, Uint8Array.of(0))
    expect(shown(FrameReader.takeAll(reader))).toEqual([[]])
  })

  it("gives each frame memory of its own, of exactly its size", () => {
    const reader = FrameReader.make()
    const chunk = Buffer.from(concat([frame([1, 2]), frame([3]), Uint8Array.of(0, 0)]))
    FrameReader.feed(reader, chunk)
    FrameReader.feed(reader, Uint8Array.of(0, 3, 4))
    FrameReader.feed(reader, Uint8Array.of(5))
    FrameReader.feed(reader, Uint8Array.of(6))
    chunk.fill(0xff)
    const frames = FrameReader.takeAll(reader).map(Result.getOrThrow)
    expect(frames).toEqual([Uint8Array.of(1, 2), Uint8Array.of(3), Uint8Array.of(4, 5, 6)])
    expect(frames.map((each) => each.buffer.byteLength)).toEqual([2, 1, 3])
    expect(frames.every((each) => !Buffer.isBuffer(each))).toBe(true)
  })

  it("reads a hundred thousand frames from one chunk", () => {
    const reader = FrameReader.make()
    FrameReader.feed(reader, concat(Array.from({ length: 100_000 }, (_, i) => frame([i & 255, i >> 8]))))
    const frames = FrameReader.takeAll(reader).map(Result.getOrThrow)
    expect(frames).toHaveLength(100_000)
    expect(frames.every((each, i) => each[0] === (i & 255) && each[1] === ((i >> 8) & 255))).toBe(true)
  })

  it("reads a frame of a million bytes from a million chunks", () => {
    const reader = FrameReader.make({ maxLength: 1_000_000 })
    const content = Uint8Array.from({ length: 1_000_000 }, (_, i) => i * 7)
    const bytes = frame(content)
    for (let i = 0; i < bytes.length; i++) FrameReader.feed(reader, bytes.subarray(i, i + 1))
    const [only] = FrameReader.takeAll(reader).map(Result.getOrThrow)
    expect(Buffer.compare(only!, content)).toBe(0)
    expect(only!.buffer.byteLength).toBe(1_000_000)
  })
})

describe("promise 14: a frame longer than the limit is an error that names both sizes", () => {
  it("a frame of exactly the limit passes, one byte more does not, and the next frame is read", () => {
    const bytes = concat([frame([1, 2, 3]), frame([1, 2, 3, 4]), frame([5])])
    expect(read([bytes], { maxLength: 3 })).toEqual([[1, 2, 3], { _tag: "FrameTooLong", length: 4, limit: 3 }, [5]])
  })

  it("the error comes as soon as the length has arrived", () => {
    const reader = FrameReader.make({ maxLength: 10 })
    FrameReader.feed(reader, Uint8Array.of(0, 0, 1, 0))
    const [error] = FrameReader.takeAll(reader)
    expect(Option.map(Result.getFailure(error!), ({ message }) => message)).toEqual(
      Option.some(
        "a frame of 256 bytes is longer than the limit of 10 bytes (if you want such frames, raise maxLength on both sides)"
      )
    )
  })

  it("the longest announced length is read as a positive number", () => {
    expect(read([Uint8Array.of(255, 255, 255, 255, 1, 2)])).toEqual([
      { _tag: "FrameTooLong", length: 4_294_967_295, limit: 16_777_216 }
    ])
  })

  it("with a limit of zero, empty frames pass", () => {
    expect(read([concat([frame([]), frame([1]), frame([])])], { maxLength: 0 })).toEqual([
      [],
      { _tag: "FrameTooLong", length: 1, limit: 0 },
      []
    ])
  })

  it("nothing of the announced size is allocated", () => {
    const reader = FrameReader.make({ maxLength: 1000 })
    const allocated = allocatedBy(() => {
      FrameReader.feed(reader, frame([], 67_108_864))
      const chunk = new Uint8Array(65_536)
      for (let i = 0; i < 1024; i++) FrameReader.feed(reader, chunk)
      FrameReader.feed(reader, frame([9]))
      return reader
    })
    expect(allocated).toBeLessThan(1_000_000)
    expect(shown(FrameReader.takeAll(reader))).toEqual([{ _tag: "FrameTooLong", length: 67_108_864, limit: 1000 }, [9]])
  })

  it("nothing is allocated for an announced frame within the limit that does not arrive", () => {
    const allocated = allocatedBy(() =>
      Array.from({ length: 100 }, () => {
        const reader = FrameReader.make()
        FrameReader.feed(reader, frame([1, 2, 3], 16_777_216))
        return reader
      })
    )
    expect(allocated).toBeLessThan(1_000_000)
  })
})

describe("the end of the input of a frame reader", () => {
  it.each([
    ["while the length arrives", [0, 0, 0], { expected: 4, received: 3 }, "3 of the 4 bytes of its length"],
    ["right after the length", [0, 0, 0, 2], { expected: 6, received: 4 }, "4 of its 6 bytes, length included"],
    ["while the frame arrives", [0, 0, 0, 2, 9], { expected: 6, received: 5 }, "5 of its 6 bytes, length included"]
  ])("is an error %s", (_, bytes, sizes, words) => {
    const reader = FrameReader.make()
    FrameReader.feed(reader, Uint8Array.from(bytes))
    FrameReader.end(reader)
    const error = Option.getOrThrow(Result.getFailure(Option.getOrThrow(FrameReader.next(reader))))
    expect({ ...error.reason }).toEqual({ _tag: "IncompleteFrame", ...sizes })
    expect(error.message).toContain(words)
  })

  it("is no error after a whole frame, or before any", () => {
    expect(read([])).toEqual([])
    expect(read([frame([1])])).toEqual([[1]])
  })

  it("adds no error within a frame that was too long", () => {
    expect(read([frame([1, 2], 50)], { maxLength: 9 })).toEqual([{ _tag: "FrameTooLong", length: 50, limit: 9 }])
  })

  it("can be followed by another input", () => {
    const reader = FrameReader.make({ maxLength: 9 })
    for (const bytes of [frame([1, 2, 3], 9), frame([1], 50), Uint8Array.of(0, 0)]) {
      FrameReader.feed(reader, bytes)
      FrameReader.end(reader)
      FrameReader.takeAll(reader)
      FrameReader.feed(reader, frame([7]).subarray(0, 4))
      FrameReader.feed(reader, Uint8Array.of(7, 0, 0, 0, 2, 8))
      FrameReader.feed(reader, Uint8Array.of(8))
      const frames = FrameReader.takeAll(reader).map(Result.getOrThrow)
      expect(frames).toEqual([Uint8Array.of(7), Uint8Array.of(8, 8)])
    }
  })
})

describe("options of a frame reader", () => {
  it.each([-1, 1.5, NaN, Infinity, 2 ** 32])("a maxLength of %s is refused", (maxLength) => {
    expect(() => FrameReader.make({ maxLength })).toThrow(RangeError)
    expect(() => FrameReader.decode({ maxLength })).toThrow(RangeError)
    expect(() => FrameReader.decodeResults({ maxLength })).toThrow(`invalid maxLength ${maxLength}`)
  })

  it("maxLength defaults to 16 MiB", () => {
    expect(FrameReader.make().maxLength).toBe(16_777_216)
  })
})
