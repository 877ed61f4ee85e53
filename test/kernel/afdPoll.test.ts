/** The structures of Windows, byte for byte, and what a poll reports. */
import { describe, expect, it } from "@effect/vitest"
import { closingOf, decodeEvents, encodeInterest, encodePoll, Entry, Slot } from "../../src/internal/kernel/afdPoll.ts"
import { wayAt } from "../../src/internal/kernel/afdMemory.ts"
import {
  bitOf,
  encodeSetMember,
  encodeSetPoll,
  eventsOfWays,
  pollBytes,
  setPollBytes,
  ways
} from "../../src/internal/kernel/afdPoll.ts"
import { Interest, Readiness } from "../../src/internal/kernel/selector.ts"
import { win32 } from "../../src/internal/libc/profiles/win32.ts"

describe("AFD_POLL_INFO and IO_STATUS_BLOCK", () => {
  it.each([[0x1234], [0x7fff_fffc], [-4]])("lie where Windows looks for them, for the handle %i", (handle) => {
    // The memory held something else before.
    const words = new Int32Array(Slot.stride * 2).fill(-1)
    encodePoll(words, Slot.stride, handle, 0x1bf)
    const view = new DataView(words.buffer, Slot.stride * 4)
    // `IO_STATUS_BLOCK`: a status, which says that the request is under way.
    expect(view.getUint32(0, true)).toBe(0x103)
    const info = Slot.PollInfo * 4
    expect(info).toBe(16)
    expect(view.getBigInt64(info, true)).toBe(0x7fff_ffff_ffff_ffffn)
    expect([view.getUint32(info + 8, true), view.getUint32(info + 12, true)]).toEqual([1, 0])
    expect(view.getBigInt64(info + 16, true)).toBe(BigInt(handle))
    expect([view.getUint32(info + 24, true), view.getInt32(info + 28, true)]).toEqual([0x1bf, 0])
    // The slot before it is another socket's, and the rest of this one the library's.
    expect(words.subarray(0, Slot.stride).every((word) => word === -1)).toBe(true)
    expect(words.subarray(Slot.stride + 12).every((word) => word === -1)).toBe(true)
  })

  it("leave the words of the library beyond what the kernel writes", () => {
    const { Base, Ended, High, Interest, Kind, List, ListBytes, Low, Seen, Socket, State, Wanted } = Slot
    const states = ways.map((way) => State + way)
    const own = [...states, Wanted, Ended, Seen, Interest, Low, High, Base, Socket, Kind, List, List + 1, ListBytes]
    expect(new Set(own).size).toBe(own.length)
    for (const word of own) {
      expect(word).toBeGreaterThanOrEqual(ways.length * Slot.poll)
      expect(word).toBeLessThan(Slot.stride)
    }
  })
})

it("the polls of a slot lie one after the other, each aligned to 8 bytes", () => {
  expect([pollBytes, pollBytes % 8, Slot.poll * 4]).toEqual([16 + 32, 0, pollBytes])
  const slot = 0x1_2345_0000 + 7 * Slot.stride * 4
  for (const way of ways) expect(wayAt(slot + way * pollBytes)).toBe(way)
})

it("AFD_POLL_INFO of several handles lists them one after the other", () => {
  const words = new Int32Array(16).fill(-1)
  encodeSetPoll(words, 2)
  encodeSetMember(words, 0, 0x1234, 0x1b9)
  encodeSetMember(words, 1, -4, 0x4)
  const view = new DataView(words.buffer)
  expect(setPollBytes(2)).toBe(48)
  expect(view.getBigInt64(0, true)).toBe(0x7fff_ffff_ffff_ffffn)
  expect([view.getUint32(8, true), view.getUint32(12, true)]).toEqual([2, 0])
  expect([view.getBigInt64(16, true), view.getUint32(24, true), view.getInt32(28, true)]).toEqual([0x1234n, 0x1b9, 0])
  expect([view.getBigInt64(32, true), view.getUint32(40, true), view.getInt32(44, true)]).toEqual([-4n, 0x4, 0])
  expect(words.subarray(12).every((word) => word === -1)).toBe(true)
})

it("OVERLAPPED_ENTRY takes 32 bytes", () => {
  expect([Entry.stride * 4, Entry.Key * 4, Entry.Overlapped * 4, Entry.Bytes * 4]).toEqual([32, 0, 8, 24])
})

describe("an interest", () => {
  const closing = 0x130

  it("asks for the events of its directions, and for every end", () => {
    expect(closingOf(win32)).toBe(closing)
    expect(eventsOfWays(win32)).toEqual([closing | 0x8, closing | 0x89, closing | 0x4, closing | 0x2])
    expect(ways.map(bitOf)).toEqual([0, Interest.Read, Interest.Write, Interest.Priority])
    expect(encodeInterest(win32, Interest.Read)).toBe(closing | 0x1 | 0x8 | 0x80)
    expect(encodeInterest(win32, Interest.Write)).toBe(closing | 0x4)
    expect(encodeInterest(win32, Interest.Priority | Interest.Oneshot)).toBe(closing | 0x2)
  })

  it("is reported as mio defines readiness", () => {
    const { Error, Priority, Readable, ReadClosed, Writable, WriteClosed } = Readiness
    const decodeFor = decodeEvents(win32)
    const decode = (events: number) => decodeFor(events, Interest.Read | Interest.Write)
    expect(decode(0x1)).toBe(Readable)
    expect(decode(0x80)).toBe(Readable)
    expect(decode(0x4)).toBe(Writable)
    expect(decode(0x2)).toBe(Priority)
    expect(decode(0x8)).toBe(Readable | ReadClosed)
    expect(decode(0x10)).toBe(Readable | Writable | ReadClosed | WriteClosed)
    expect(decode(0x100)).toBe(Readable | Writable | ReadClosed | WriteClosed | Error)
    expect(decode(0x20)).toBe(0)
    expect(decodeFor(0x10, Interest.Read)).toBe(Readable | ReadClosed | WriteClosed)
    expect(decodeFor(0x100, Interest.Write)).toBe(Writable | ReadClosed | WriteClosed | Error)
    expect(decodeFor(0x10, Interest.Priority)).toBe(ReadClosed | WriteClosed)
  })
})
