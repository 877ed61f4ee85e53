/** `struct epoll_event` and its flags, on other machines than this one, too. */
import { describe, expect, it } from "@effect/vitest"
import { decodeEvents, encodeEvent, encodeInterest, epollEventLayout } from "../../src/internal/kernel/epollEvent.ts"
import { Interest, Readiness } from "../../src/internal/kernel/selector.ts"
import { maxMailboxes } from "../../src/internal/kernel/userData.ts"
import { linux } from "../../src/internal/libc/profiles/linux.ts"
import { ids, mailboxes } from "./support.ts"

describe("struct epoll_event", () => {
  const layouts = [
    ["x64", 12, 4],
    ["ia32", 12, 4],
    ["arm64", 16, 8],
    ["riscv64", 16, 8]
  ] as const

  it.each(layouts)("on %s takes %i bytes, with the user data at %i", (arch, size, offset) => {
    const layout = epollEventLayout(linux, arch)
    for (const id of ids) {
      for (const mailbox of mailboxes) {
        const target = new Int32Array(layout.stride)
        encodeEvent(layout, target, 0x8000_2001 | 0, mailbox, id)
        // Node runs on little-endian machines only.
        const expected = new DataView(new ArrayBuffer(size))
        expected.setUint32(0, 0x8000_2001, true)
        expected.setBigUint64(offset, BigInt(id) | (BigInt(mailbox) << 53n), true)
        expect(new Uint8Array(target.buffer)).toEqual(new Uint8Array(expected.buffer))
      }
    }
  })

  it("overwrites all that the memory held before", () => {
    const layout = epollEventLayout(linux, "arm64")
    const target = new Int32Array(layout.stride)
    encodeEvent(layout, target, -1, maxMailboxes, Number.MAX_SAFE_INTEGER)
    encodeEvent(layout, target, 1, 0, 0)
    expect([...target]).toEqual([1, 0, 0, 0])
  })
})

describe("epoll's flags", () => {
  // The values of the kernel's headers.
  const IN = 0x1
  const PRI = 0x2
  const OUT = 0x4
  const ERR = 0x8
  const HUP = 0x10
  const RDHUP = 0x2000
  const ET = 0x8000_0000 | 0
  const ONESHOT = 0x4000_0000
  const EXCLUSIVE = 0x1000_0000

  it.each([
    ["Read", Interest.Read, IN | RDHUP | ET],
    ["Write", Interest.Write, OUT | ET],
    ["Both", Interest.Read | Interest.Write, IN | RDHUP | OUT | ET],
    ["Read with priority", Interest.Read | Interest.Priority, IN | RDHUP | PRI | ET],
    ["Write as oneshot", Interest.Write | Interest.Oneshot, OUT | ET | ONESHOT],
    ["Read exclusively", Interest.Read | Interest.Exclusive, IN | ET | EXCLUSIVE],
    ["Both exclusively", Interest.Read | Interest.Write | Interest.Exclusive, IN | OUT | ET | EXCLUSIVE]
  ])("are asked for by an interest: %s", (_, interest, events) => {
    expect(encodeInterest(linux, interest)).toBe(events)
  })

  it("mean what they mean to mio, in all combinations", () => {
    const decode = decodeEvents(linux)
    const flags = [IN, PRI, OUT, ERR, HUP, RDHUP]
    for (let combination = 0; combination < 1 << flags.length; combination++) {
      const events = flags.reduce((sum, flag, index) => sum | ((combination >> index) & 1 ? flag : 0), 0)
      const has = (flag: number) => (events & flag) !== 0
      const readClosed = has(HUP) || (has(IN) && has(RDHUP))
      const writeClosed = has(HUP) || (has(OUT) && has(ERR)) || events === ERR
      const readiness = decode(events)
      const actual = Object.fromEntries(Object.entries(Readiness).map(([name, bit]) => [name, (readiness & bit) !== 0]))
      expect(actual, `events ${events.toString(16)}`).toEqual({
        Readable: has(IN),
        Writable: has(OUT),
        ReadClosed: readClosed,
        WriteClosed: writeClosed,
        Error: has(ERR),
        Priority: has(PRI)
      })
      // An unknown bit, such as a later kernel may set, only defeats the comparisons with a single
      // flag.
      expect(decode(events | 0x40) & (Readiness.Readable | Readiness.Writable | Readiness.ReadClosed)).toBe(
        readiness & (Readiness.Readable | Readiness.Writable | Readiness.ReadClosed)
      )
    }
  })
})
