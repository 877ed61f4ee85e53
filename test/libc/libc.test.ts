/** What is known of the system as data: layouts, flags and functions. Layouts of machines other than this one, too. */
import { describe, expect, it } from "@effect/vitest"
import koffi from "koffi"
import { libc, load, UnsupportedSystem } from "../../src/internal/libc/koffi.ts"
import { linux } from "../../src/internal/libc/profiles/linux.ts"
import { epollEventLayout, itimerspec } from "../../src/internal/libc/profiles/profile.ts"
import { profileOf } from "../../src/internal/libc/profiles/index.ts"
import { decodeEvents, encodeEvent, encodeInterest } from "../../src/internal/kernel/epoll.ts"
import { open } from "../../src/internal/kernel/openSelector.ts"
import { Interest, Readiness } from "../../src/internal/kernel/selector.ts"
import { highOf, joinId, lowOf, maxMailboxes } from "../../src/internal/kernel/userData.ts"
import * as Kernel from "../support/kernel.ts"

const ids = [
  1,
  0x7fff_ffff,
  0x8000_0000,
  0xffff_ffff,
  0x1_0000_0000,
  0x1_0000_0001,
  2 ** 52 + 3,
  Number.MAX_SAFE_INTEGER
]
const mailboxes = [0, 1, 2, 1023, 1024, maxMailboxes]

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
        // Every machine that Node runs on has the low byte first.
        const expected = new DataView(new ArrayBuffer(size))
        expected.setUint32(0, 0x8000_2001, true)
        expected.setBigUint64(offset, BigInt(id) | (BigInt(mailbox) << 53n), true)
        expect(new Uint8Array(target.buffer)).toEqual(new Uint8Array(expected.buffer))
      }
    }
  })

  it("leaves nothing of what the same memory held before", () => {
    const layout = epollEventLayout(linux, "arm64")
    const target = new Int32Array(layout.stride)
    encodeEvent(layout, target, -1, maxMailboxes, Number.MAX_SAFE_INTEGER)
    encodeEvent(layout, target, 1, 0, 0)
    expect([...target]).toEqual([1, 0, 0, 0])
  })

  it("carries every mailbox and id through this machine's kernel and back", () => {
    const selector = open(libc(), 4)
    const fd = Kernel.eventfd()
    Kernel.signal(fd)
    for (const id of ids) {
      for (const mailbox of mailboxes.slice(1)) {
        expect(selector.add(fd, Interest.Read, mailbox, id)).toBe(0)
        expect(selector.wait(0)).toBe(1)
        expect(selector.mailbox(0)).toBe(mailbox)
        expect(joinId(selector.low(0), selector.high(0))).toBe(id)
        expect(selector.readiness(0)).toBe(Readiness.Readable)
        expect(selector.remove(fd)).toBe(0)
      }
    }
    Kernel.close(fd)
    selector.close()
  })

  it("splits and joins ids of up to 53 bits", () => {
    for (const id of ids) {
      expect(joinId(lowOf(id), highOf(id))).toBe(id)
      // The bits above are somebody else's.
      expect(joinId(lowOf(id), highOf(id) | (maxMailboxes << 21))).toBe(id)
    }
  })
})

describe("struct itimerspec", () => {
  it.each([
    ["x64", 8],
    ["arm64", 8],
    ["arm", 4],
    ["ia32", 4]
  ] as const)("on %s has members of %i bytes", (arch, bytes) => {
    const [seconds, nanos] = [0x7fff_ffff, 999_999_999]
    const expected = new DataView(new ArrayBuffer(4 * bytes))
    expected.setUint32(2 * bytes, seconds, true)
    expected.setUint32(3 * bytes, nanos, true)
    expect(new Uint8Array(itimerspec(linux, arch, seconds, nanos).buffer)).toEqual(new Uint8Array(expected.buffer))
  })

  it("has room for a machine that has been up for longer than 32 bits of seconds", () => {
    expect([...itimerspec(linux, "x64", 2 ** 32 + 5, 7)]).toEqual([0, 0, 0, 0, 5, 1, 7, 0])
  })
})

describe("epoll's flags", () => {
  // As the kernel's headers have them.
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
  ])("ask for %s", (_, interest, events) => {
    expect(encodeInterest(linux, interest)).toBe(events)
  })

  it("mean, all combinations of them, what they mean to mio", () => {
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
      // Bits that nobody asked for, now or in a later kernel, change nothing but the test for "nothing else".
      expect(decode(events | 0x40) & (Readiness.Readable | Readiness.Writable | Readiness.ReadClosed)).toBe(
        readiness & (Readiness.Readable | Readiness.Writable | Readiness.ReadClosed)
      )
    }
  })
})

describe("systems without a poller", () => {
  it.each(["win32", "netbsd", "aix", "sunos"] as const)("%s has no profile and says so when asked", (platform) => {
    expect(profileOf(platform)).toBeUndefined()
    expect(() => load(platform)).toThrow(UnsupportedSystem)
    expect(() => load(platform)).toThrow(
      `effect-amy has no poller for ${platform}: it runs on Linux, macOS, FreeBSD and OpenBSD`
    )
  })

  it("linux has one", () => {
    expect(profileOf("linux")).toBe(linux)
    expect(load("linux").profile).toBe(linux)
    expect(libc()).toBe(libc())
  })
})

describe("koffi", () => {
  it("names no types, so that a program may give them the same names for its own use", () => {
    koffi.struct("timespec", { tv_sec: "long", tv_nsec: "long" })
    koffi.struct("itimerspec", { it_interval: "timespec", it_value: "timespec" })
    const { functions } = load("linux")
    const fd = functions.timerfd_create(linux.timerfd.CLOCK_MONOTONIC, linux.timerfd.CLOEXEC)
    expect(functions.timerfd_settime(fd, 0, itimerspec(linux, process.arch, 3600, 0), null)).toBe(0)
    expect(functions.close(fd)).toBe(0)
  })

  it("has node.poll, which its guide does not mention and layerEventLoop cannot do without", async () => {
    expect(koffi.node?.poll, "koffi.node.poll is gone: keep koffi at the version that had it").toBeTypeOf("function")
    const fd = Kernel.eventfd()
    Kernel.signal(fd)
    const called = Promise.withResolvers<void>()
    const watch = libc().watchReadable(fd, () => {
      watch.close()
      called.resolve()
      return false
    })
    await called.promise
    Kernel.close(fd)
  })

  it("has looked up all that this system has by the time it is loaded: in a thread that is being ended it may not", () => {
    const { functions } = libc()
    const isBound = (name: string) => Object.getOwnPropertyDescriptor(functions, name)?.value !== undefined
    expect(Object.keys(functions).filter((name) => !isBound(name))).toEqual(["kqueue", "kevent"])
    expect(() => functions.kqueue()).toThrow("kqueue")
  })

  it("tells the errno of the call just made", () => {
    const { errno, functions } = libc()
    expect(functions.close(-1)).toBe(-1)
    expect(errno()).toBe(linux.errno.EBADF)
    expect(functions.epoll_create1(1)).toBe(-1)
    expect(errno()).toBe(linux.errno.EINVAL)
  })
})
