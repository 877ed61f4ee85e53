/** `struct kevent` of every system, byte for byte, and what its filters report. */
import { describe, expect, it } from "@effect/vitest"
import { decodeEvents, encodeKevent } from "../../src/internal/kernel/kevent.ts"
import { Readiness } from "../../src/internal/kernel/selector.ts"
import { highWordOf, lowOf, maxMailboxes } from "../../src/internal/kernel/userData.ts"
import { darwin } from "../../src/internal/libc/profiles/darwin.ts"
import { freebsd, freebsdKevent } from "../../src/internal/libc/profiles/freebsd.ts"
import { openbsd } from "../../src/internal/libc/profiles/openbsd.ts"

describe("struct kevent", () => {
  const systems = [
    ["macOS", darwin.kqueue.layout, 32],
    ["OpenBSD", openbsd.kqueue.layout, 32],
    ["FreeBSD 11", freebsdKevent("11.4-RELEASE"), 32],
    ["FreeBSD 12", freebsdKevent("12.0-RELEASE"), 64],
    ["FreeBSD 14", freebsdKevent("14.2-RELEASE-p1"), 64],
    ["a later FreeBSD", freebsdKevent("16.0-CURRENT"), 64]
  ] as const
  const users = [
    [0, 0],
    [1, 1],
    [2, 0xffff_ffff],
    [1024, 0x1_0000_0001],
    [maxMailboxes, Number.MAX_SAFE_INTEGER]
  ] as const

  it.each(systems)("on %s is of %o and takes %i bytes", (_, layout, size) => {
    for (const [mailbox, id] of users) {
      for (const index of [0, 1, 2]) {
        // The memory held something else before.
        const target = new Int32Array(layout.stride * 3).fill(-1)
        const [low, high] = [lowOf(id), highWordOf(mailbox, id)]
        encodeKevent(layout, target, index, 0x1234, -11, 0x8021, 0x0100_0000, 0x7fff_ffff, low, high)
        // Node runs on little-endian machines only.
        const expected = new DataView(new ArrayBuffer(size))
        expected.setBigUint64(0, 0x1234n, true)
        expected.setInt16(8, -11, true)
        expected.setUint16(10, 0x8021, true)
        expected.setUint32(12, 0x0100_0000, true)
        expected.setBigInt64(16, 0x7fff_ffffn, true)
        expected.setBigUint64(24, BigInt(id) | (BigInt(mailbox) << 53n), true)
        const bytes = new Uint8Array(target.buffer)
        expect(bytes.slice(index * size, (index + 1) * size)).toEqual(new Uint8Array(expected.buffer))
        for (const other of [0, 1, 2]) {
          if (other !== index)
            expect(bytes.slice(other * size, (other + 1) * size).every((byte) => byte === 255)).toBe(true)
        }
      }
    }
  })
})

describe("what a filter reports", () => {
  it.each([darwin, freebsd, openbsd])("on $platform means what it means to mio", (profile) => {
    const decode = decodeEvents(profile)
    const { EVFILT_EXCEPT, EVFILT_READ, EVFILT_TIMER, EVFILT_USER, EVFILT_WRITE, EV_CLEAR, EV_EOF } = profile.kqueue
    const of = (filter: number, flags: number, fflags = 0) =>
      decode((filter & 0xffff) | ((flags | EV_CLEAR) << 16), fflags)
    const { Error, Priority, ReadClosed, Readable, Writable, WriteClosed } = Readiness
    expect(of(EVFILT_READ, 0)).toBe(Readable)
    expect(of(EVFILT_WRITE, 0)).toBe(Writable)
    expect(of(EVFILT_READ, EV_EOF)).toBe(Readable | ReadClosed)
    expect(of(EVFILT_WRITE, EV_EOF)).toBe(Writable | WriteClosed)
    // Only at the end are the flags of the filter the socket's error.
    expect(of(EVFILT_READ, EV_EOF, 54)).toBe(Readable | ReadClosed | Error)
    expect(of(EVFILT_WRITE, EV_EOF, 54)).toBe(Writable | WriteClosed | Error)
    expect(of(EVFILT_READ, 0, 1)).toBe(Readable)
    expect(of(EVFILT_TIMER, 0)).toBe(Readable)
    expect(of(EVFILT_USER!, 0)).toBe(Readable)
    expect(of(EVFILT_READ, profile.kqueue.EV_ERROR)).toBe(Error)
    if (EVFILT_EXCEPT !== undefined) expect(of(EVFILT_EXCEPT, 0, profile.kqueue.NOTE_OOB)).toBe(Priority)
  })
})
