/** The selector over kqueue(2): `struct kevent` of every system byte for byte, and the selector on simulated systems. */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { AsyncFd } from "effect-amy"
import { darwin } from "../../src/internal/libc/profiles/darwin.ts"
import { freebsd, freebsdKevent } from "../../src/internal/libc/profiles/freebsd.ts"
import { provideLibc } from "../../src/internal/libc/koffi.ts"
import type { KqueueProfile } from "../../src/internal/libc/profiles/kqueueProfile.ts"
import { openbsd } from "../../src/internal/libc/profiles/openbsd.ts"
import { profileOf } from "../../src/internal/libc/profiles/index.ts"
import { decodeEvents, encodeChange } from "../../src/internal/kernel/kqueue.ts"
import { attach, attachTrigger, borrow, open } from "../../src/internal/kernel/openSelector.ts"
import type { Selector } from "../../src/internal/kernel/selector.ts"
import { Interest, Readiness } from "../../src/internal/kernel/selector.ts"
import { SystemCallError } from "../../src/internal/kernel/systemCallError.ts"
import { joinId, maxMailboxes } from "../../src/internal/kernel/userData.ts"
import { Knotes } from "../../src/internal/kernel/knotes.ts"
import { outcome } from "../support/opened.ts"
import { SimulatedKqueue } from "../support/simulatedKqueue.ts"
import { onSimulatedKqueue } from "../support/worlds.ts"

const EPERM = 1
const ENOENT = 2
const EINTR = 4
const EBADF = 9
const EEXIST = 17
const EINVAL = 22
const EMFILE = 24
const EPIPE = 32

const withLayout = (profile: KqueueProfile, stride: 8 | 16): KqueueProfile => ({
  ...profile,
  kqueue: { ...profile.kqueue, layout: { stride } }
})

describe("struct kevent", () => {
  const systems = [
    ["macOS", darwin.kqueue.layout, 32],
    ["OpenBSD", openbsd.kqueue.layout, 32],
    ["FreeBSD 11", freebsdKevent("11.4-RELEASE"), 32],
    ["FreeBSD 12", freebsdKevent("12.0-RELEASE"), 64],
    ["FreeBSD 14", freebsdKevent("14.2-RELEASE-p1"), 64],
    ["FreeBSD to come", freebsdKevent("16.0-CURRENT"), 64]
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
        // What the memory held before must not be seen.
        const target = new Int32Array(layout.stride * 3).fill(-1)
        encodeChange(layout, target, index, 0x1234, -11, 0x8021, 0x0100_0000, 0x7fff_ffff, mailbox, id)
        // Every machine that Node runs on has the low byte first.
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

/** What the systems do not agree about. */
const differing = ({ fcntl, hasPipe2, kqueue, socket }: KqueueProfile) => [
  [kqueue.EVFILT_USER, kqueue.EVFILT_EXCEPT, kqueue.EVFILT_EXCEPT === undefined ? undefined : kqueue.NOTE_OOB],
  [fcntl.F_DUPFD_CLOEXEC, fcntl.O_CLOEXEC, hasPipe2, socket.hasAccept4],
  [socket.AF_INET6, socket.SOCK_NONBLOCK, socket.SOCK_CLOEXEC, socket.MSG_NOSIGNAL, socket.MSG_CMSG_CLOEXEC],
  [socket.message.header.data, socket.message.header.alignment]
]

describe("a kqueue system's profile", () => {
  it("is chosen by the platform", () => {
    expect(profileOf("darwin")).toBe(darwin)
    expect(profileOf("freebsd")).toBe(freebsd)
    expect(profileOf("openbsd")).toBe(openbsd)
  })

  it("has the values of its headers", () => {
    for (const { errno, fcntl, kqueue, socket } of [darwin, freebsd, openbsd]) {
      expect(kqueue).toMatchObject({ EVFILT_READ: -1, EVFILT_WRITE: -2, EVFILT_TIMER: -7 })
      expect(kqueue).toMatchObject({ EV_ADD: 1, EV_DELETE: 2, EV_ONESHOT: 0x10, EV_CLEAR: 0x20, EV_DISPATCH: 0x80 })
      expect(kqueue).toMatchObject({ EV_ERROR: 0x4000, EV_EOF: 0x8000, NOTE_TRIGGER: 0x100_0000 })
      expect(fcntl).toMatchObject({ F_GETFL: 3, F_SETFL: 4, F_SETFD: 2, O_NONBLOCK: 4 })
      expect(errno).toMatchObject({ EINTR, EBADF, EINVAL, ENOENT, EEXIST, EPERM, EMFILE, EAGAIN: 35 })
      expect(socket).toMatchObject({ AF_INET: 2, SOL_SOCKET: 0xffff, SO_REUSEADDR: 4, SO_REUSEPORT: 0x200 })
      expect(socket).toMatchObject({ SO_ERROR: 0x1007, TCP_NODELAY: 1, hasLengthByte: true, pathCapacity: 104 })
    }
    expect(differing(darwin)).toEqual([
      [-10, -15, 2],
      [67, 0x100_0000, false, false],
      [30, undefined, undefined, 0x80000, undefined],
      [12, 4]
    ])
    expect(differing(freebsd)).toEqual([
      [-11, undefined, undefined],
      [17, 0x10_0000, true, true],
      [28, 0x2000_0000, 0x1000_0000, 0x20000, 0x40000],
      [16, 8]
    ])
    expect(differing(openbsd)).toEqual([
      [-10, -9, 4],
      [10, 0x1_0000, true, true],
      [24, 0x4000, 0x8000, 0x400, 0x800],
      [16, 8]
    ])
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
    // At the end, and only there, the filter's flags are the socket's error.
    expect(of(EVFILT_READ, EV_EOF, 54)).toBe(Readable | ReadClosed | Error)
    expect(of(EVFILT_WRITE, EV_EOF, 54)).toBe(Writable | WriteClosed | Error)
    expect(of(EVFILT_READ, 0, 1)).toBe(Readable)
    expect(of(EVFILT_TIMER, 0)).toBe(Readable)
    expect(of(EVFILT_USER!, 0)).toBe(Readable)
    expect(of(EVFILT_READ, profile.kqueue.EV_ERROR)).toBe(Error)
    if (EVFILT_EXCEPT !== undefined) expect(of(EVFILT_EXCEPT, 0, profile.kqueue.NOTE_OOB)).toBe(Priority)
  })
})

type Entry = readonly [mailbox: number, id: number, readiness: number]

const entries = (selector: Selector): ReadonlyArray<Entry> =>
  Array.from({ length: selector.wait(0) }, (_, index) => [
    selector.mailbox(index),
    joinId(selector.low(index), selector.high(index)),
    selector.readiness(index)
  ])

/** What is reported, less the wake-ups. */
const reported = (selector: Selector) => entries(selector).filter(([mailbox]) => mailbox !== 0)

const Both = Interest.Read | Interest.Write

describe.each([
  ["macOS", darwin],
  ["FreeBSD 11", withLayout(freebsd, 8)],
  ["FreeBSD 14", withLayout(freebsd, 16)],
  ["OpenBSD", openbsd],
  ["an OpenBSD without EVFILT_USER", { ...openbsd, kqueue: { ...openbsd.kqueue, EVFILT_USER: undefined } }],
  // It has the constant and refuses the filter.
  ["an OpenBSD that refuses EVFILT_USER", { ...openbsd, release: "old" }]
] as const)("the kqueue selector on simulated %s", (name, profile) => {
  const start = (capacity = 8) => {
    const system = new SimulatedKqueue(profile)
    if ("release" in profile) system.refusals.set(profile.kqueue.EVFILT_USER!, EINVAL)
    const selector = open(system.libc, capacity)
    const fd = system.socket()
    const filtersOf = (fd: number) =>
      system.knotes.filter(({ filter, ident }) => ident === fd && filter !== -7).map(({ filter }) => filter)
    const receive = () => system.change(fd, (file) => file.pending++, "READ")
    const fill = () => system.change(fd, (file) => (file.isWritable = false))
    const makeRoom = () => system.change(fd, (file) => (file.isWritable = true), "WRITE")
    return { system, selector, fd, filtersOf, receive, fill, makeRoom }
  }
  const usesPipe = name.includes("without") || name.includes("refuses")

  it("reports each filter by itself, under one id", () => {
    const { fd, receive, selector } = start()
    expect(selector.add(fd, Both, 3, Number.MAX_SAFE_INTEGER)).toBe(0)
    expect(reported(selector)).toEqual([[3, Number.MAX_SAFE_INTEGER, Readiness.Writable]])
    receive()
    expect(reported(selector)).toEqual([[3, Number.MAX_SAFE_INTEGER, Readiness.Readable]])
    expect(selector.modify(fd, Both, 3, 7)).toBe(0)
    expect(reported(selector)).toEqual([
      [3, 7, Readiness.Readable],
      [3, 7, Readiness.Writable]
    ])
    expect(reported(selector)).toEqual([])
  })

  it("promise 1: registers both filters with one call", () => {
    const { fd, selector, system } = start()
    const before = system.calls.length
    expect(selector.add(fd, Both, 1, 1)).toBe(0)
    expect(system.calls.slice(before).map((changes) => changes.length)).toEqual([2])
  })

  it("never waits and changes in one call", async () => {
    const { fd, selector, system } = start()
    selector.add(fd, Both, 1, 1)
    selector.modify(fd, Interest.Read, 1, 1)
    const alarm = selector.openAlarm(1)
    alarm.set(alarm.now())
    while (reported(selector).every(([, id]) => id !== 0)) await new Promise(setImmediate)
    selector.wake()
    selector.remove(fd)
    // A change always has a number, and a wait has none.
    expect(system.waitsWithChanges).toBe(0)
  })

  it("leaves no filter behind that is not asked for any more", () => {
    const { fd, fill, filtersOf, makeRoom, receive, selector } = start()
    expect(selector.add(fd, Both, 1, 1)).toBe(0)
    expect(filtersOf(fd)).toEqual([-1, -2])
    expect(selector.modify(fd, Interest.Read, 1, 1)).toBe(0)
    expect(filtersOf(fd)).toEqual([-1])
    fill()
    makeRoom()
    expect(reported(selector)).toEqual([])
    expect(selector.modify(fd, Interest.Write, 1, 1)).toBe(0)
    expect(filtersOf(fd)).toEqual([-2])
    receive()
    expect(reported(selector)).toEqual([[1, 1, Readiness.Writable]])
    expect(selector.modify(fd, Both, 1, 1)).toBe(0)
    expect(filtersOf(fd)).toEqual([-1, -2])
    expect(selector.remove(fd)).toBe(0)
    expect(filtersOf(fd)).toEqual([])
  })

  it("delivers nothing of a filter that is not asked for any more, though the kernel reported it before", () => {
    const { fd, receive, selector, system } = start()
    expect(selector.add(fd, Both, 1, 1)).toBe(0)
    expect(reported(selector)).toHaveLength(1)
    receive()
    // What another thread does between the kernel's report and a look at it.
    system.afterNextWait = () => expect(selector.modify(fd, Interest.Write, 1, 1)).toBe(0)
    expect(reported(selector)).toEqual([])
    expect(reported(selector)).toEqual([[1, 1, Readiness.Writable]])
  })

  it("tells a timer from a descriptor of the same number", async () => {
    const { fd, receive, selector } = start()
    expect(selector.add(fd, Interest.Read, 1, 5)).toBe(0)
    const alarm = selector.openAlarm(fd)
    alarm.set(alarm.now() + 1)
    const seen: Array<Entry> = []
    while (seen.length === 0) {
      await new Promise(setImmediate)
      seen.push(...reported(selector))
    }
    receive()
    seen.push(...reported(selector))
    expect(seen).toEqual([
      [fd, 0, Readiness.Readable],
      [1, 5, Readiness.Readable]
    ])
    alarm.close()
    receive()
    expect(reported(selector)).toEqual([[1, 5, Readiness.Readable]])
  })

  describe("promise 3: oneshot", () => {
    const Oneshot = Both | Interest.Oneshot

    it("is one notification for both filters, whichever comes first", () => {
      const { fd, fill, makeRoom, receive, selector } = start()
      fill()
      expect(selector.add(fd, Oneshot, 1, 1)).toBe(0)
      receive()
      expect(reported(selector)).toEqual([[1, 1, Readiness.Readable]])
      makeRoom()
      expect(reported(selector)).toEqual([])
      receive()
      makeRoom()
      expect(entries(selector)).toEqual([])
    })

    it("holds what both filters report at one time", () => {
      const { fd, receive, selector } = start()
      receive()
      expect(selector.add(fd, Oneshot, 1, 1)).toBe(0)
      expect(reported(selector)).toEqual([
        [1, 1, Readiness.Readable],
        [1, 1, Readiness.Writable]
      ])
      receive()
      expect(reported(selector)).toEqual([])
    })

    it("is armed again by modify, and is registered all the while", () => {
      const { fd, receive, selector } = start()
      expect(selector.add(fd, Interest.Read | Interest.Oneshot, 1, 1)).toBe(0)
      receive()
      expect(reported(selector)).toHaveLength(1)
      expect(selector.add(fd, Interest.Read, 1, 2)).toBe(EEXIST)
      // The question whether it was there has not armed it.
      receive()
      expect(reported(selector)).toEqual([])
      expect(selector.modify(fd, Oneshot, 1, 1)).toBe(0)
      expect(reported(selector)).toHaveLength(2)
      expect(selector.modify(fd, Interest.Read, 1, 1)).toBe(0)
      expect(reported(selector)).toHaveLength(1)
      receive()
      expect(reported(selector)).toHaveLength(1)
      expect(selector.modify(fd, Oneshot, 1, 1)).toBe(0)
      expect(selector.remove(fd)).toBe(0)
    })

    it("holds on every thread, also where another one waits", () => {
      const { fd, fill, makeRoom, receive, selector, system } = start()
      const waiting = borrow(system.libc, selector.handle, 4)
      const attached = attach(system.libc, selector.handle)
      fill()
      expect(attached.add(fd, Oneshot, 2, 9)).toBe(0)
      receive()
      expect(reported(waiting)).toEqual([[2, 9, Readiness.Readable]])
      makeRoom()
      expect(reported(waiting)).toEqual([])
      expect(selector.modify(fd, Oneshot, 1, 9)).toBe(0)
      expect(reported(waiting)).toEqual([
        [1, 9, Readiness.Readable],
        [1, 9, Readiness.Writable]
      ])
    })
  })

  describe("promise 12", () => {
    it("answers EEXIST to whoever registers twice, on any thread, and changes nothing", () => {
      const { fd, filtersOf, receive, selector, system } = start()
      const attached = attach(system.libc, selector.handle)
      expect(selector.add(fd, Interest.Read, 1, 1)).toBe(0)
      for (const each of [selector, attached]) {
        expect(each.add(fd, Interest.Write, 2, 2)).toBe(EEXIST)
        expect(each.isRegisteredAs(fd, 1)).toBe(true)
        expect(each.isRegisteredAs(fd, 2)).toBe(false)
      }
      expect(filtersOf(fd)).toEqual([-1])
      receive()
      expect(reported(selector)).toEqual([[1, 1, Readiness.Readable]])
      expect(attached.remove(fd)).toBe(0)
      expect(selector.isRegisteredAs(fd, 1)).toBe(false)
      expect(attached.add(fd, Interest.Write, 2, 2)).toBe(0)
      expect(selector.add(fd, Interest.Write, 3, 3)).toBe(EEXIST)
      expect(reported(selector)).toEqual([[2, 2, Readiness.Writable]])
    })

    it("registers a number again that was closed, whatever is noted of it", () => {
      const { fd, receive, selector, system } = start()
      for (const interest of [Interest.Read, Interest.Write, Both, Both | Interest.Oneshot]) {
        expect(selector.add(fd, interest, 1, 1)).toBe(0)
        system.close(fd)
        expect(selector.add(fd, Interest.Read, 1, 1)).toBe(EBADF)
        expect(system.socket()).toBe(fd)
        expect(selector.modify(fd, Interest.Read, 1, 1)).toBe(ENOENT)
        expect(selector.remove(fd)).toBe(ENOENT)
        expect(selector.add(fd, Interest.Read, 2, 2)).toBe(0)
        receive()
        expect(reported(selector)).toEqual([[2, 2, Readiness.Readable]])
        expect(selector.remove(fd)).toBe(0)
      }
    })

    it("refuses what cannot be watched", () => {
      const { fd, filtersOf, selector, system } = start()
      const file = system.file()
      for (const [number, errno, otherwise] of [
        [file, EPERM, EPERM],
        [-1, EBADF, EBADF],
        [99, EBADF, EBADF],
        [2 ** 30, EMFILE, EBADF]
      ] as const) {
        expect(selector.add(number, Both, 1, 1)).toBe(errno)
        expect(selector.modify(number, Both, 1, 1)).toBe(otherwise)
        expect(selector.remove(number)).toBe(otherwise)
      }
      expect(selector.modify(fd, Both, 1, 1)).toBe(ENOENT)
      expect(selector.remove(fd)).toBe(ENOENT)
      expect(filtersOf(fd)).toEqual([])
    })

    it("registers all that is asked for or nothing", () => {
      const { fd, filtersOf, selector, system } = start()
      system.refusals.set(-2, EPIPE)
      expect(selector.add(fd, Both, 1, 1)).toBe(EPIPE)
      expect(filtersOf(fd)).toEqual([])
      expect(selector.remove(fd)).toBe(ENOENT)
      expect(selector.isRegisteredAs(fd, 1)).toBe(false)
      expect(selector.add(fd, Interest.Read, 1, 1)).toBe(0)
      expect(selector.modify(fd, Both, 1, 1)).toBe(EPIPE)
      expect(filtersOf(fd)).toEqual([])
    })

    it("says what it lacks", () => {
      const { fd, filtersOf, selector, system } = start()
      const hasPriority = profile.kqueue.EVFILT_EXCEPT !== undefined
      expect(selector.lacks).toBe(hasPriority ? Interest.Exclusive : Interest.Exclusive | Interest.Priority)
      expect(selector.add(fd, Interest.Read | Interest.Exclusive, 1, 1)).toBe(EINVAL)
      expect(filtersOf(fd)).toEqual([])
      const Urgent = Interest.Read | Interest.Priority
      expect(selector.add(fd, Urgent, 1, 1)).toBe(hasPriority ? 0 : EINVAL)
      if (!hasPriority) return
      system.change(fd, (file) => file.urgent++, "EXCEPT")
      expect(reported(selector)).toEqual([[1, 1, Readiness.Priority]])
      expect(selector.modify(fd, Interest.Read, 1, 1)).toBe(0)
      expect(filtersOf(fd)).toEqual([-1])
      expect(selector.modify(fd, Urgent, 1, 1)).toBe(0)
      expect(selector.remove(fd)).toBe(0)
      expect(filtersOf(fd)).toEqual([])
    })
  })

  describe("promise 7: an alarm", () => {
    it("is never set to less than a millisecond, nor to more than every kernel takes", () => {
      const { selector, system } = start()
      const alarm = selector.openAlarm(1)
      const times = () => system.calls.flat().filter(({ filter, flags }) => filter === -7 && (flags & 1) !== 0)
      const last = () => times().at(-1)!.data
      for (const deadline of [alarm.now() - 1000, alarm.now(), alarm.now() + 0.001]) {
        alarm.set(deadline)
        expect(last()).toBe(1)
      }
      const deadline = alarm.now() + 1000.5
      alarm.set(deadline)
      // Rounded up: by the time of this line more has passed.
      expect(last()).toBeGreaterThanOrEqual(deadline - alarm.now())
      expect(last()).toBeLessThanOrEqual(1001)
      alarm.set(alarm.now() + 1e15)
      expect(last()).toBe(2 ** 31 - 1)
      alarm.close()
      expect(system.knotes.filter(({ filter }) => filter === -7)).toEqual([])
    })

    it("goes off once for what was set last", async () => {
      const { selector } = start()
      const alarm = selector.openAlarm(4)
      const started = alarm.now()
      alarm.set(started + 100_000)
      alarm.set(started + 30)
      alarm.set(started + 5)
      const seen: Array<Entry> = []
      while (alarm.now() < started + 45) {
        await new Promise(setImmediate)
        seen.push(...reported(selector))
      }
      expect(seen).toEqual([[4, 0, Readiness.Readable]])
      alarm.close()
    })

    it("says so if there can be none", () => {
      const { selector, system } = start()
      system.refusals.set(-7, 12)
      expect(() => selector.openAlarm(1)).toThrow(new SystemCallError("kevent(ADD)", 12))
    })
  })

  describe("a trigger", () => {
    it("is reported for each time, and tells once whether there was one", () => {
      const { selector } = start()
      const trigger = selector.openTrigger(2, 77)
      expect(reported(selector)).toEqual([])
      expect(trigger.reset()).toBe(false)
      trigger.trigger()
      expect(reported(selector)).toEqual([[2, 77, Readiness.Readable]])
      trigger.trigger()
      expect(reported(selector)).toEqual([[2, 77, Readiness.Readable]])
      expect(trigger.reset()).toBe(true)
      expect(trigger.reset()).toBe(false)
      trigger.trigger()
      trigger.reset()
      expect(reported(selector)).toEqual([])
    })

    it("can be triggered and reset by another thread, and any number of times", () => {
      const { selector, system } = start()
      const before = system.open.size
      const trigger = selector.openTrigger(2, 77)
      expect(Number.isSafeInteger(trigger.handle)).toBe(true)
      const attached = attachTrigger(system.libc, trigger.handle)
      for (let i = 0; i < 5000; i++) attached.trigger()
      expect(reported(selector)).toEqual([[2, 77, Readiness.Readable]])
      expect(attached.reset()).toBe(true)
      expect(trigger.reset()).toBe(false)
      trigger.trigger()
      attached.close()
      expect(reported(selector)).toEqual([[2, 77, Readiness.Readable]])
      trigger.close()
      expect(reported(selector)).toEqual([])
      expect(system.open.size).toBe(before)
      expect(() => attachTrigger(system.libc, trigger.handle)).toThrow("fcntl(F_DUPFD_CLOEXEC) failed with errno 9")
      expect(system.open.size).toBe(before)
    })
  })

  it("is woken by any thread, and as often as there is a reason to", () => {
    const { selector, system } = start()
    const attached = attach(system.libc, selector.handle)
    expect(selector.handle.wake === -1).toBe(!usesPipe)
    for (let round = 0; round < 3000; round++) {
      attached.wake()
      selector.wake()
      expect(entries(selector)).toEqual([[0, 0, Readiness.Readable]])
      expect(entries(selector)).toEqual([])
    }
    attached.close()
    selector.wake()
    expect(entries(borrow(system.libc, selector.handle, 1))).toEqual([[0, 0, Readiness.Readable]])
    expect(entries(selector)).toEqual([])
  })

  it("promise 11: has nothing that outlives exec or blocks, and closes all that it has opened", () => {
    const { fd, selector, system } = start()
    const attached = attach(system.libc, selector.handle)
    const trigger = selector.openTrigger(1, 1)
    const alarm = selector.openAlarm(1)
    const { O_CLOEXEC, O_NONBLOCK } = profile.fcntl
    for (const [number, { flags, kind }] of system.open) {
      if (number === fd) continue
      expect(flags & O_CLOEXEC, `${kind} ${number}`).toBe(O_CLOEXEC)
      if (kind === "pipe" && number !== attached.handle.wake) expect(flags & O_NONBLOCK).toBe(O_NONBLOCK)
    }
    trigger.close()
    alarm.close()
    attached.close()
    selector.close()
    expect([...system.open.keys()]).toEqual([fd])
  })

  it("closes what it has opened if it cannot open the rest", () => {
    const system = new SimulatedKqueue(profile)
    for (const filter of [-1, profile.kqueue.EVFILT_USER ?? -1]) system.refusals.set(filter, 12)
    expect(() => open(system.libc, 1)).toThrow(new SystemCallError("kevent(ADD)", 12))
    expect(system.open.size).toBe(0)
    const { selector, system: other } = start()
    const before = other.open.size
    expect(() => attach(other.libc, { ...selector.handle, wake: 99 })).toThrow(
      "fcntl(F_DUPFD_CLOEXEC) failed with errno 9"
    )
    other.refusals.set(-1, 12)
    expect(() => selector.openTrigger(1, 1)).toThrow(new SystemCallError("kevent(ADD)", 12))
    expect(other.open.size).toBe(before)
  })

  it("takes a signal for a wait that ended early, and throws what else a wait fails with", () => {
    const { fd, selector, system } = start()
    selector.add(fd, Interest.Write, 1, 1)
    system.failNextWait = EINTR
    expect(reported(selector)).toEqual([])
    expect(reported(selector)).toEqual([[1, 1, Readiness.Writable]])
    system.break()
    expect(() => selector.wait(0)).toThrow(new SystemCallError("kevent", EBADF))
  })

  it("reports in several batches what is more than one batch, and fills each", () => {
    const { selector, system } = start(3)
    const fds = [1, 2, 3, 4].map(() => system.socket())
    fds.forEach((each, index) => selector.add(each, Interest.Write | Interest.Oneshot, 1, index + 1))
    expect(
      [reported(selector), reported(selector), reported(selector)].map((batch) => batch.map(([, id]) => id))
    ).toEqual([[1, 2, 3], [4], []])
  })
})

describe("the notes of what is watched", () => {
  it("are the same for all threads, however large they grow", () => {
    const one = Knotes.make()
    const other = new Knotes(one.buffer)
    for (const fd of [0, 1023, 1024, 100_000, 1_000_000]) {
      expect(other.userData(fd)).toBe(0n)
      expect(one.reach(fd)).toBe(true)
      expect(one.claim(fd, 0n, maxMailboxes, Number.MAX_SAFE_INTEGER, Both)).toBe(true)
      expect(other.isNoted(fd, Number.MAX_SAFE_INTEGER)).toBe(true)
      expect(other.interest(fd)).toBe(Both)
      // Whoever knew nothing of it is too late.
      expect(other.claim(fd, 0n, 1, 1, Interest.Read)).toBe(false)
      expect(other.claim(fd, one.userData(fd), 1, 1, Interest.Read)).toBe(true)
      one.forget(fd)
      expect([other.userData(fd), other.interest(fd), other.isNoted(fd, 1)]).toEqual([0n, 0, false])
    }
    expect(one.reach(2 ** 22)).toBe(false)
    expect([one.userData(2 ** 22), one.interest(-1), one.isNoted(2 ** 31, 0)]).toEqual([0n, 0, false])
  })
})

describe("a library that stands in for the C library", () => {
  it("is used from then on, until the other is given back", () => {
    const system = new SimulatedKqueue(darwin)
    const before = provideLibc(system.libc)
    expect(provideLibc(before)).toBe(system.libc)
  })
})

describe("a system that does not report exceptional conditions", () => {
  it.live("says so also to who asks for them only when it waits, and goes on", () =>
    onSimulatedKqueue(freebsd, (world) =>
      Effect.gen(function* () {
        const socket = yield* world.socket
        const watched = yield* AsyncFd.make(socket.fd, { event: "Read" })
        expect(yield* outcome(watched.priority)).toBe("UnsupportedPlatform")
        yield* socket.receive
        yield* watched.readable
      })
    )
  )
})
