/** The C library as koffi binds it. */
import { describe, expect, it } from "@effect/vitest"
import koffi from "koffi"
import { itimerspec } from "../../src/internal/kernel/timerfd.ts"
import { type Libc, libc, load, provideLibc } from "../../src/internal/libc/koffi.ts"
import { darwin } from "../../src/internal/libc/profiles/darwin.ts"
import { linux } from "../../src/internal/libc/profiles/linux.ts"
import { UnsupportedSystem } from "../../src/internal/libc/unsupportedSystem.ts"
import * as Kernel from "../support/kernel.ts"
import { SimulatedKqueue } from "../support/simulatedKqueue.ts"

describe("loading", () => {
  it.each(["aix", "netbsd"] as const)("throws for %s, which has no profile", (platform) => {
    expect(() => load(platform)).toThrow(UnsupportedSystem)
    expect(() => load(platform)).toThrow(
      `effect-amy has no poller for ${platform}: it runs on Linux, macOS, FreeBSD, OpenBSD and Windows`
    )
  })

  it("throws for a kqueue on a machine of 32 bits, whose structures it does not know", () => {
    expect(() => load("freebsd", undefined, "ia32")).toThrow(UnsupportedSystem)
    expect(() => load("freebsd", undefined, "ia32")).toThrow(
      "effect-amy has no poller for freebsd: it runs on Linux, macOS, FreeBSD, OpenBSD and Windows (other than on Linux, on machines of 64 bits only)"
    )
  })

  it("binds the library once", () => {
    expect(load("linux").profile).toBe(linux)
    expect(libc()).toBe(libc())
  })

  it("uses a library that a test provides until the former one is provided again", () => {
    const system = new SimulatedKqueue(darwin)
    const before = provideLibc(system.libc)
    expect(libc()).toBe(system.libc)
    expect(provideLibc(before)).toBe(system.libc)
  })
})

describe("koffi", () => {
  it("is given no type names, so that a program can use the same names", () => {
    koffi.struct("timespec", { tv_sec: "long", tv_nsec: "long" })
    koffi.struct("itimerspec", { it_interval: "timespec", it_value: "timespec" })
    const { functions, profile } = load("linux") as Libc<typeof linux>
    const fd = functions.timerfd_create(linux.timerfd.CLOCK_MONOTONIC, linux.timerfd.CLOEXEC)
    expect(functions.timerfd_settime(fd, 0, itimerspec(profile, 3600, 0), null)).toBe(0)
    expect(functions.close(fd)).toBe(0)
  })

  it("has node.poll, which its guide does not mention and layerEventLoop needs", async () => {
    expect(koffi.node?.poll, "koffi.node.poll is gone: keep koffi at the version that had it").toBeTypeOf("function")
    const fd = Kernel.eventfd()
    Kernel.signal(fd)
    const called = Promise.withResolvers<void>()
    const watch = libc().bindWatchReadable()(fd, () => {
      watch.close()
      called.resolve()
      return false
    })
    await called.promise
    Kernel.close(fd)
  })

  it("looks up every function of this system when it is loaded, because a thread that is being terminated cannot", () => {
    const { functions } = libc()
    const isBound = (name: string) => Object.getOwnPropertyDescriptor(functions, name)?.value !== undefined
    expect(Object.keys(functions).filter((name) => !isBound(name))).toEqual(["kqueue", "kevent"])
    expect(() => functions.kqueue()).toThrow("kqueue")
  })

  it("returns the errno of the last call", () => {
    const { errno, functions } = libc()
    expect(functions.close(-1)).toBe(-1)
    expect(errno()).toBe(linux.errno.EBADF)
    expect(functions.epoll_create1(1)).toBe(-1)
    expect(errno()).toBe(linux.errno.EINVAL)
  })
})
