/** Messages of netlink have the bytes that the kernel's headers say. */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { Netlink } from "effect-amy"
import { endianness } from "node:os"
import { type Layout, readStruct, viewOf, writeStruct } from "../../src/internal/system/layout.ts"
import * as Layouts from "../../src/internal/system/netlinkLayouts.ts"
import { decodeMessages, encodeMessage } from "../../src/internal/system/netlinkMessage.ts"
import { outcome } from "../support/opened.ts"

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex")
/** Removes the spaces between the members of a structure. */
const joined = (members: string) => members.replaceAll(" ", "")

/** Fills a structure with numbers whose bytes tell the members apart. */
const filled = (layout: Layout, size: number) => {
  const bytes = new Uint8Array(size)
  Object.keys(layout).forEach((member, i) => {
    const type = layout[member]![1]
    const value = type === "u8" ? 0x11 * (i + 1) : type === "u16" ? 0x101 * (i + 1) : 0x1010101 * (i + 1)
    writeStruct(layout, viewOf(bytes), 0, { [member]: value })
  })
  return hex(bytes)
}

describe("the structures of netlink", () => {
  it("have the sizes and offsets that a C compiler gives them", () => {
    expect(Layouts.sockaddrNlSize).toBe(12)
    expect(filled(Layouts.sockaddrNl, 12)).toBe(joined("0101 0000 02020202 03030303"))
    expect(Layouts.nlmsghdrSize).toBe(16)
    expect(filled(Layouts.nlmsghdr, 16)).toBe(joined("01010101 0202 0303 04040404 05050505"))
    expect(Layouts.nlattrSize).toBe(4)
    expect(filled(Layouts.nlattr, 4)).toBe(joined("0101 0202"))
    expect(Layouts.ifinfomsgSize).toBe(16)
    expect(filled(Layouts.ifinfomsg, 16)).toBe(joined("11 00 0202 03030303 04040404 05050505"))
    expect(Layouts.ifaddrmsgSize).toBe(8)
    expect(filled(Layouts.ifaddrmsg, 8)).toBe(joined("11 22 33 44 05050505"))
  })

  it("the index of a link is signed, as ifi_index is", () => {
    const bytes = new Uint8Array(16).fill(0xff)
    expect(readStruct(Layouts.ifinfomsg, viewOf(bytes), 0)).toMatchObject({ ifi_index: -1, ifi_flags: 0xffff_ffff })
  })
})

describe("a message", () => {
  it.runIf(endianness() === "LE")("has a header of 16 bytes with its length", () => {
    expect(hex(encodeMessage(18, 0x305, 7, Uint8Array.of(1, 2, 3)))).toBe(
      joined("13000000 1200 0503 07000000 00000000 010203")
    )
  })

  it("is found in a datagram with others, and one that is not whole ends the datagram", () => {
    const one = encodeMessage(16, 2, 7, Uint8Array.of(1, 2, 3))
    const other = encodeMessage(3, 2, 7, new Uint8Array(0))
    const datagram = new Uint8Array(64)
    datagram.set(one, 0)
    datagram.set(other, 20)
    const first = { type: 16, flags: 2, sequence: 7, pid: 0, payload: Uint8Array.of(1, 2, 3) }
    const second = { type: 3, flags: 2, sequence: 7, pid: 0, payload: new Uint8Array(0) }
    // Zeros follow: a length of zero would go on for ever.
    expect(decodeMessages(datagram)).toEqual([first, second])
    expect(decodeMessages(datagram.subarray(0, 35))).toEqual([first])
    expect(decodeMessages(datagram.subarray(0, 18))).toEqual([])
    expect(decodeMessages(new Uint8Array(0))).toEqual([])
  })
})

const encode = (attributes: ReadonlyArray<Netlink.AttributeInput>) =>
  Effect.runSync(Netlink.encodeAttributes(attributes))

describe("attributes", () => {
  it.runIf(endianness() === "LE")("are padded to four bytes, and those that hold others are marked", () => {
    const encoded = encode([
      { type: 3, payload: Netlink.text("br0") },
      { type: 18, payload: [{ type: 1, payload: Netlink.text("bridge") }] },
      { type: 4, payload: Netlink.u32(1400) }
    ])
    expect(hex(encoded)).toBe(joined("0800 0300 62723000 1000 1280 0b00 0100 62726964676500 00 08000400 78050000"))
  })

  it("are decoded as they were encoded, from any byte on", () => {
    const inner = [{ type: 1, payload: Netlink.text("ü") }]
    const encoded = encode([
      { type: 0x3fff, payload: new Uint8Array(0) },
      { type: 2, payload: inner },
      { type: 3, payload: Netlink.u32(0xffff_fffe) }
    ])
    const bytes = Uint8Array.from([9, 9, 9, ...encoded])
    const decoded = Netlink.decodeAttributes(bytes, 3)
    expect(decoded.map(({ isNested, type }) => [type, isNested])).toEqual([
      [0x3fff, false],
      [2, true],
      [3, false]
    ])
    expect(Netlink.readText(Netlink.decodeAttributes(decoded[1]!.payload)[0]!.payload)).toBe("ü")
    expect(Netlink.readU32(decoded[2]!.payload)).toBe(0xffff_fffe)
  })

  it("one that is not whole ends them", () => {
    const encoded = encode([
      { type: 1, payload: Netlink.u32(1) },
      { type: 2, payload: Netlink.u32(2) }
    ])
    for (let length = 8; length < 16; length++) {
      expect(Netlink.decodeAttributes(encoded.subarray(0, length)).length).toBe(1)
    }
    expect(Netlink.decodeAttributes(new Uint8Array(64))).toEqual([])
    expect(Netlink.readU32(new Uint8Array(3))).toBe(0)
    expect(Netlink.readText(Uint8Array.of(97, 98))).toBe("ab")
  })

  it.effect("invalid ones are refused", () =>
    Effect.gen(function* () {
      const invalid: ReadonlyArray<unknown> = [
        [{ type: -1, payload: Netlink.u32(0) }],
        [{ type: 0x1_0000, payload: Netlink.u32(0) }],
        [{ type: 1.5, payload: Netlink.u32(0) }],
        [{ type: 1, payload: "text" }],
        [{ type: 1, payload: new Uint8Array(0xffff - 3) }],
        [{ type: 1, payload: [{ type: 1, payload: new Uint8Array(0xffff - 4) }] }],
        [{ type: 1, payload: [{ type: -1, payload: [] }] }],
        [undefined],
        undefined
      ]
      for (const attributes of invalid) {
        expect(yield* outcome(Netlink.encodeAttributes(attributes as never))).toBe("InvalidArgument")
      }
      const longest = yield* Netlink.encodeAttributes([{ type: 1, payload: new Uint8Array(0xffff - 4) }])
      expect(Netlink.decodeAttributes(longest)[0]!.payload.length).toBe(0xffff - 4)
    })
  )
})
