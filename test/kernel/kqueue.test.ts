/** The selector over kqueue(2), on simulated systems. */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { AsyncFd } from "effect-amy"
import { attach, attachTrigger, borrow, open } from "../../src/internal/kernel/openSelector.ts"
import { Refused } from "../../src/internal/kernel/owners.ts"
import type { Selector } from "../../src/internal/kernel/selector.ts"
import { Interest, Readiness } from "../../src/internal/kernel/selector.ts"
import { SystemCallError } from "../../src/internal/kernel/systemCallError.ts"
import { darwin } from "../../src/internal/libc/profiles/darwin.ts"
import { freebsd } from "../../src/internal/libc/profiles/freebsd.ts"
import type { KqueueProfile } from "../../src/internal/libc/profiles/kqueueProfile.ts"
import { openbsd } from "../../src/internal/libc/profiles/openbsd.ts"
import { outcome } from "../support/opened.ts"
import { SimulatedKqueue } from "../support/simulatedKqueue.ts"
import { onSimulatedKqueue } from "../support/worlds.ts"
import { entriesOf, type Entry } from "./support.ts"

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

/** Polls, and returns the entries of the batch without wake-ups. */
const reported = (selector: Selector) => entriesOf(selector).filter(([mailbox]) => mailbox !== 0)

const Both = Interest.Read | Interest.Write

describe.each([
  ["macOS", darwin],
  ["FreeBSD 11", withLayout(freebsd, 8)],
  ["FreeBSD 14", withLayout(freebsd, 16)],
  ["OpenBSD", openbsd],
  ["an OpenBSD without EVFILT_USER", { ...openbsd, kqueue: { ...openbsd.kqueue, EVFILT_USER: undefined } }],
  // Its headers define the filter, and the kernel refuses it.
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
    expect(selector.modify(fd, Both, 4, Number.MAX_SAFE_INTEGER)).toBe(0)
    expect(reported(selector)).toEqual([
      [4, Number.MAX_SAFE_INTEGER, Readiness.Readable],
      [4, Number.MAX_SAFE_INTEGER, Readiness.Writable]
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
    // An error of such a call could be the change's or the wait's.
    expect(system.waitsWithChanges).toBe(0)
  })

  it("leaves no filter behind that is no longer asked for", () => {
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

  it("drops what the kernel reported of a filter that is no longer asked for", () => {
    const { fd, receive, selector, system } = start()
    expect(selector.add(fd, Both, 1, 1)).toBe(0)
    expect(reported(selector)).toHaveLength(1)
    receive()
    // Another thread does this between the kernel's report and the selector's look at it.
    system.afterNextWait = () => expect(selector.modify(fd, Interest.Write, 1, 1)).toBe(0)
    expect(reported(selector)).toEqual([])
    expect(reported(selector)).toEqual([[1, 1, Readiness.Writable]])
  })

  it("distinguishes a timer from a descriptor of the same number", async () => {
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

    it("is reported once for both filters, whichever reports first", () => {
      const { fd, fill, makeRoom, receive, selector } = start()
      fill()
      expect(selector.add(fd, Oneshot, 1, 1)).toBe(0)
      receive()
      expect(reported(selector)).toEqual([[1, 1, Readiness.Readable]])
      makeRoom()
      expect(reported(selector)).toEqual([])
      receive()
      makeRoom()
      expect(entriesOf(selector)).toEqual([])
    })

    it("reports both filters if they are ready at the same time", () => {
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

    it("is armed again by modify, and stays registered until then", () => {
      const { fd, receive, selector } = start()
      expect(selector.add(fd, Interest.Read | Interest.Oneshot, 1, 1)).toBe(0)
      receive()
      expect(reported(selector)).toHaveLength(1)
      expect(selector.add(fd, Interest.Read, 1, 2)).toBe(EEXIST)
      // Asking the kernel for the knote has not armed it.
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

    it("is reported once on every thread, wherever it was registered", () => {
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
    it("returns EEXIST for a second registration from any thread, and changes nothing", () => {
      const { fd, filtersOf, receive, selector, system } = start()
      const attached = attach(system.libc, selector.handle)
      expect(selector.add(fd, Interest.Read, 1, 1)).toBe(0)
      for (const each of [selector, attached]) {
        expect(each.add(fd, Interest.Write, 2, 2)).toBe(EEXIST)
        expect(each.modify(fd, Interest.Write, 2, 2)).toBe(Refused.Another)
        expect(each.remove(fd, 2)).toBe(Refused.Another)
      }
      expect(filtersOf(fd)).toEqual([-1])
      receive()
      expect(reported(selector)).toEqual([[1, 1, Readiness.Readable]])
      expect(attached.remove(fd)).toBe(0)
      expect(attached.add(fd, Interest.Write, 2, 2)).toBe(0)
      expect(selector.add(fd, Interest.Write, 3, 3)).toBe(EEXIST)
      expect(reported(selector)).toEqual([[2, 2, Readiness.Writable]])
    })

    it("leaves a number alone that another registration or the library itself has by now", () => {
      const { fd, receive, selector, system } = start()
      const attached = attach(system.libc, selector.handle)
      expect(selector.add(fd, Both, 1, 1)).toBe(0)
      system.close(fd)
      expect(system.socket()).toBe(fd)
      expect(attached.add(fd, Interest.Read, 2, 2)).toBe(0)
      expect(selector.remove(fd, 1)).toBe(Refused.Another)
      expect(selector.modify(fd, Both, 1, 1)).toBe(Refused.Another)
      receive()
      expect(reported(selector)).toEqual([[2, 2, Readiness.Readable]])
      expect(attached.remove(fd, 2)).toBe(0)
      const trigger = selector.openTrigger(1, 3)
      const reader = trigger.handle % 2 ** 26
      for (const each of [selector, attached]) {
        expect(each.isOwn(reader)).toBe(true)
        expect(each.add(reader, Interest.Read, 1, 4)).toBe(Refused.Library)
        expect(each.modify(reader, Interest.Read, 1, 3)).toBe(Refused.Library)
        expect(each.remove(reader)).toBe(Refused.Library)
      }
      trigger.trigger()
      expect(reported(selector)).toEqual([[1, 3, Readiness.Readable]])
      trigger.close()
      expect(selector.isOwn(reader)).toBe(false)
    })

    it("registers the number of a closed descriptor again, whatever is noted of it", () => {
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

    it("refuses a descriptor that cannot be watched", () => {
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

    it("adds all filters that are asked for, or none", () => {
      const { fd, filtersOf, selector, system } = start()
      system.refusals.set(-2, EPIPE)
      expect(selector.add(fd, Both, 1, 1)).toBe(EPIPE)
      expect(filtersOf(fd)).toEqual([])
      expect(selector.remove(fd)).toBe(ENOENT)
      expect(selector.add(fd, Interest.Read, 1, 1)).toBe(0)
      expect(selector.modify(fd, Both, 1, 1)).toBe(EPIPE)
      expect(filtersOf(fd)).toEqual([])
    })

    it("refuses the interest that it lacks", () => {
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
    it("is set to a millisecond at least, and to what every kernel accepts at most", () => {
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
      // Rounded up. Some of the time has passed by now.
      expect(last()).toBeGreaterThanOrEqual(deadline - alarm.now())
      expect(last()).toBeLessThanOrEqual(1001)
      alarm.set(alarm.now() + 1e15)
      expect(last()).toBe(2 ** 31 - 1)
      alarm.close()
      expect(system.knotes.filter(({ filter }) => filter === -7)).toEqual([])
    })

    it("expires once, at the deadline that was set last", async () => {
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

    it("throws if the kernel has no timer left", () => {
      const { selector, system } = start()
      system.refusals.set(-7, 12)
      expect(() => selector.openAlarm(1)).toThrow(new SystemCallError("kevent(ADD)", 12))
    })
  })

  describe("a trigger", () => {
    it("is reported each time it is triggered, and reset returns true once", () => {
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

    it("can be triggered and reset by another thread, any number of times", () => {
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

  it("is woken by any thread, any number of times", () => {
    const { selector, system } = start()
    const attached = attach(system.libc, selector.handle)
    expect(selector.handle.wake === -1).toBe(!usesPipe)
    for (let round = 0; round < 3000; round++) {
      attached.wake()
      selector.wake()
      expect(entriesOf(selector)).toEqual([[0, 0, Readiness.Readable]])
      expect(entriesOf(selector)).toEqual([])
    }
    attached.close()
    selector.wake()
    expect(entriesOf(borrow(system.libc, selector.handle, 1))).toEqual([[0, 0, Readiness.Readable]])
    expect(entriesOf(selector)).toEqual([])
  })

  it("promise 11: opens everything close-on-exec and non-blocking, and closes it", () => {
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

  it("ends a wait early for a signal, and throws any other failure of a wait", () => {
    const { fd, selector, system } = start()
    selector.add(fd, Interest.Write, 1, 1)
    system.failNextWait = EINTR
    expect(reported(selector)).toEqual([])
    expect(reported(selector)).toEqual([[1, 1, Readiness.Writable]])
    system.break()
    expect(() => selector.wait(0)).toThrow(new SystemCallError("kevent", EBADF))
  })

  it("reports in several full batches what does not fit into one", () => {
    const { selector, system } = start(3)
    const fds = [1, 2, 3, 4].map(() => system.socket())
    fds.forEach((each, index) => selector.add(each, Interest.Write | Interest.Oneshot, 1, index + 1))
    expect(
      [reported(selector), reported(selector), reported(selector)].map((batch) => batch.map(([, id]) => id))
    ).toEqual([[1, 2, 3], [4], []])
  })
})

describe("a system that does not report exceptional conditions", () => {
  it.live("fails a wait for them with UnsupportedPlatform, and other waits go on", () =>
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
