/** C structures are read and written member by member, in the byte order of the machine. */
import { describe, expect, it } from "@effect/vitest"
import { endianness } from "node:os"
import { type Layout, readStruct, viewOf, writeStruct } from "../../src/internal/system/layout.ts"

const layout = {
  small: [0, "u8"],
  short: [2, "u16"],
  signedShort: [4, "i16"],
  word: [8, "u32"],
  signed: [12, "i32"],
  long: [16, "u64"]
} as const satisfies Layout

describe("the layout of a structure", () => {
  it("what is written is read again, and other bytes stay as they are", () => {
    const bytes = new Uint8Array(40).fill(0xee)
    const values = { small: 1, short: 0xfffe, signedShort: -2, word: 0xffff_fffd, signed: -3, long: 2n ** 64n - 4n }
    writeStruct(layout, viewOf(bytes), 8, values)
    expect(readStruct(layout, viewOf(bytes), 8)).toEqual(values)
    expect([...bytes.subarray(0, 8), bytes[9], ...bytes.subarray(14, 16), ...bytes.subarray(32)]).toEqual(
      Array.from({ length: 19 }, () => 0xee)
    )
  })

  it.runIf(endianness() === "LE")("the bytes are those of a C structure", () => {
    const bytes = new Uint8Array(24)
    writeStruct(layout, viewOf(bytes), 0, { short: 0x0102, signed: -2, long: 3n })
    expect([...bytes]).toEqual([0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff, 3, 0, 0, 0, 0, 0, 0, 0])
  })

  it("a view begins where its array does", () => {
    expect(viewOf(Uint8Array.of(1, 2, 3).subarray(1)).getUint8(0)).toBe(2)
  })
})
