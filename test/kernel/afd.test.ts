/** The selector of Windows, over a simulated device Afd. */
import { describe, expect, it, vi } from "@effect/vitest"
import * as Afd from "../../src/internal/kernel/afd.ts"
import { attach, attachTrigger, borrow, open } from "../../src/internal/kernel/openSelector.ts"
import { Refused } from "../../src/internal/kernel/owners.ts"
import { Interest, Readiness, type Selector } from "../../src/internal/kernel/selector.ts"
import { isAlive } from "../../src/internal/kernel/threadId.ts"
import { OpenedDescriptors } from "../../src/internal/shared/openedDescriptors.ts"
import { SystemCallError } from "../../src/internal/kernel/systemCallError.ts"
import { SimulatedAfd } from "../support/simulatedAfd.ts"
import { entriesOf, ids, mailboxes } from "./support.ts"

const EPERM = 1
const ENOENT = 2
const ESRCH = 3
const EBADF = 9
const EEXIST = 17
const EINVAL = 22
const EMFILE = 24

const Both = Interest.Read | Interest.Write
const { Readable, ReadClosed, Writable, WriteClosed, Priority } = Readiness
const Error_ = Readiness.Error

/** Polls, and returns the entries of the batch without wake-ups. */
const reported = (selector: Selector) => entriesOf(selector).filter(([mailbox]) => mailbox !== 0)

const start = (capacity = 8) => {
  const system = new SimulatedAfd()
  const selector = open(system.libc, capacity)
  const fd = system.socket()
  const receive = () => system.change(fd, (socket) => socket.pending++)
  const read = () => system.change(fd, (socket) => (socket.pending = 0))
  return { system, selector, fd, receive, read }
}

/** Returns the C library of simulated threads, by their numbers, and the threads that were terminated. */
const threadsOf = (system: SimulatedAfd) => {
  const terminated = new Set<number>()
  const threadOf = (thread: number) => ({
    ...system.libc,
    functions: {
      gettid: () => thread,
      tgkill: (_: number, _pid: number, asked: number) => (terminated.has(asked) ? -1 : 0)
    } as unknown as typeof system.libc.functions,
    errno: () => ESRCH
  })
  return { terminated, threadOf }
}

/** Makes a set of a number of sockets. */
const setOf = (count: number, interest: number) => {
  const { selector, system } = start()
  const set = selector.openLevelSet()
  const fds = Array.from({ length: count }, () => system.socket())
  for (const fd of fds) expect(set.update(fd, interest)).toBe(0)
  const found = () => Array.from({ length: set.look() }, (_, index) => [set.ready(index), set.readiness(index)])
  const oneshot = Interest.Read | Interest.Oneshot
  return { selector, system, set, fds, found, oneshot }
}

/** Calls a function, and ends it where it would use shared memory for that time. Returns whether it went on to its end. */
const stoppedAt = (step: number, call: () => unknown): boolean => {
  const names = ["add", "compareExchange", "exchange", "load", "store", "sub"] as const
  const stopped = new Error("terminated")
  let steps = 0
  const spies = names.map((name) => {
    const original = Atomics[name] as (...args: ReadonlyArray<unknown>) => unknown
    return vi.spyOn(Atomics, name).mockImplementation((...args: ReadonlyArray<unknown>) => {
      if (++steps === step) throw stopped
      return original(...args) as never
    })
  })
  try {
    call()
    return true
  } catch (thrown) {
    if (thrown !== stopped) throw thrown
    return false
  } finally {
    for (const spy of spies) spy.mockRestore()
  }
}

/** Opens a selector on one thread, and duplicates and a set on another. */
const openAll = () => {
  const system = new SimulatedAfd()
  const { terminated, threadOf } = threadsOf(system)
  const selector = open(threadOf(4), 8)
  const opened = OpenedDescriptors.make()
  const libc = opened.noting(threadOf(8), 8)
  const trigger = selector.openTrigger(1, 1)
  const copies = [1, 2, 3].map(() => attachTrigger(libc, trigger.handle, trigger.memory))
  const other = attach(libc, selector.handle)
  const set = other.openLevelSet()
  set.update(system.socket(), Interest.Read)
  const closeLeft = () =>
    opened.closeLeft(threadOf(4), 4, (thread) => isAlive(threadOf(4), thread), selector.handle.owners)
  return { closeLeft, copies, opened, other, selector, set, system, terminated, trigger }
}

describe("the selector of a simulated Windows", () => {
  it("opens the device by a name of its own, and has each completion reported", () => {
    const { selector, system } = start()
    expect(system.opened).toBe("\\Device\\Afd\\EffectAmy")
    expect(system.modes).toBe(2)
    selector.close()
    expect(system.open).toEqual(["socket"])
    expect(system.segments).toBe(0)
  })

  it("reports a readiness once, and again only after an attempt has found that it is over", () => {
    const { fd, read, receive, selector } = start()
    expect(selector.add(fd, Both, 3, Number.MAX_SAFE_INTEGER)).toBe(0)
    expect(reported(selector)).toEqual([[3, Number.MAX_SAFE_INTEGER, Writable]])
    receive()
    expect(reported(selector)).toEqual([[3, Number.MAX_SAFE_INTEGER, Readable]])
    receive()
    expect(reported(selector)).toEqual([])
    read()
    selector.rearm!(fd, Interest.Read)
    expect(reported(selector)).toEqual([])
    receive()
    expect(reported(selector)).toEqual([[3, Number.MAX_SAFE_INTEGER, Readable]])
    // What came between the attempt and this is not lost.
    selector.rearm!(fd, Interest.Read)
    expect(reported(selector)).toEqual([[3, Number.MAX_SAFE_INTEGER, Readable]])
  })

  it("rearms only what is registered, and nothing that is oneshot", () => {
    const { fd, receive, selector, system } = start()
    selector.rearm!(fd, Interest.Read)
    expect(system.requests).toEqual([])
    selector.add(fd, Interest.Read | Interest.Oneshot, 1, 1)
    receive()
    expect(reported(selector)).toEqual([[1, 1, Readable]])
    selector.rearm!(fd, Both)
    expect(reported(selector)).toEqual([])
    expect(selector.modify(fd, Interest.Read, 1, 1)).toBe(0)
    expect(reported(selector)).toEqual([[1, 1, Readable]])
    selector.rearm!(fd, Interest.Write)
    expect(reported(selector)).toEqual([])
  })

  it("keeps ids and mailboxes whole", () => {
    const { selector, system } = start(ids.length * mailboxes.length)
    const expected = ids.flatMap((id) => mailboxes.map((mailbox) => [mailbox, id, Writable] as const))
    for (const [mailbox, id] of expected) selector.add(system.socket(), Interest.Write, mailbox, id)
    expect(entriesOf(selector)).toEqual(expected)
  })

  it("has one poll a direction, and cancels none when an interest changes", () => {
    const { fd, receive, selector, system } = start()
    selector.add(fd, Interest.Read, 1, 1)
    for (let i = 0; i < 50; i++) {
      expect(selector.modify(fd, Interest.Read | (i % 2 === 0 ? Interest.Priority : 0), 1, 1)).toBe(0)
    }
    expect([system.cancellations, system.requests.length, system.polls]).toEqual([0, 2, 2])
    expect(reported(selector)).toEqual([])
    receive()
    expect(reported(selector)).toEqual([[1, 1, Readable]])
    // That of the ends, and that of urgent data, which is not asked for now.
    expect([system.requests.length, system.polls]).toEqual([3, 2])
    system.change(fd, (socket) => socket.urgent++)
    expect(reported(selector)).toEqual([])
  })

  it("makes one request a message, and cancels none, whichever thread rearms", () => {
    for (const isBoth of [false, true]) {
      const { fd, read, receive, selector, system } = start()
      const other = attach(system.libc, selector.handle)
      selector.add(fd, isBoth ? Both : Interest.Read, 1, 1)
      reported(selector)
      const before = system.requests.length
      for (let message = 0; message < 1000; message++) {
        receive()
        expect(reported(selector)).toEqual([[1, 1, Readable]])
        read()
        ;(message % 2 === 0 ? other : selector).rearm!(fd, Interest.Read)
      }
      // One more for the ends, which are polled from the first report on.
      expect([system.requests.length - before, system.cancellations]).toEqual([isBoth ? 1000 : 1001, 0])
      // A direction that is polled already costs nothing.
      for (let i = 0; i < 10; i++) selector.rearm!(fd, Interest.Read)
      expect(system.requests.length - before).toBe(isBoth ? 1000 : 1001)
    }
  })

  it("makes one request a wait for room to write", () => {
    const { fd, selector, system } = start()
    selector.add(fd, Both, 1, 1)
    reported(selector)
    const before = system.requests.length
    for (let round = 0; round < 100; round++) {
      system.change(fd, (socket) => (socket.isWritable = false))
      selector.rearm!(fd, Interest.Write)
      expect(reported(selector)).toEqual([])
      system.change(fd, (socket) => (socket.isWritable = true))
      expect(reported(selector)).toEqual([[1, 1, Writable]])
    }
    expect([system.requests.length - before, system.cancellations]).toEqual([100, 0])
  })

  it("makes one request a wait for a oneshot registration", () => {
    const { fd, read, receive, selector, system } = start()
    selector.add(fd, Interest.Read | Interest.Oneshot, 1, 1)
    receive()
    expect(reported(selector)).toEqual([[1, 1, Readable]])
    const before = system.requests.length
    for (let round = 0; round < 100; round++) {
      read()
      selector.modify(fd, Interest.Read | Interest.Oneshot, 1, 1)
      expect(reported(selector)).toEqual([])
      receive()
      expect(reported(selector)).toEqual([[1, 1, Readable]])
    }
    expect([system.requests.length - before, system.cancellations]).toEqual([100, 0])
  })

  it("reports an end once, though several polls find it, and again after reregister", () => {
    const { fd, receive, selector, system } = start()
    selector.add(fd, Both | Interest.Priority, 1, 1)
    reported(selector)
    receive()
    reported(selector)
    for (const interest of [Interest.Read, Interest.Write]) selector.rearm!(fd, interest)
    reported(selector)
    system.change(fd, (socket) => (socket.isReset = true))
    expect(reported(selector)).toEqual([[1, 1, Readable | Writable | ReadClosed | WriteClosed]])
    // An attempt that finds nothing, as Wine's after a reset, does not bring it back.
    for (const interest of [Interest.Read, Interest.Write]) selector.rearm!(fd, interest)
    expect(reported(selector).flatMap(([, , readiness]) => readiness & (ReadClosed | WriteClosed))).toEqual([0, 0])
    selector.modify(fd, Interest.Write, 1, 1)
    expect(reported(selector)).toEqual([[1, 1, Writable | ReadClosed | WriteClosed]])
    expect(system.polls).toBe(1)
  })

  it("does not report what is over by the time of a change, though a poll had found it", () => {
    const { fd, read, receive, selector } = start()
    selector.add(fd, Interest.Read | Interest.Oneshot, 1, 1)
    receive()
    read()
    selector.modify(fd, Interest.Read | Interest.Oneshot, 1, 1)
    expect(reported(selector)).toEqual([])
    receive()
    expect(reported(selector)).toEqual([[1, 1, Readable]])
  })

  it("reports present readiness when an interest changes, and nothing that is not asked for", () => {
    const { fd, receive, selector } = start()
    selector.add(fd, Both, 1, 1)
    expect(reported(selector)).toEqual([[1, 1, Writable]])
    expect(selector.modify(fd, Both, 2, 1)).toBe(0)
    expect(reported(selector)).toEqual([[2, 1, Writable]])
    expect(selector.modify(fd, Interest.Write, 2, 1)).toBe(0)
    expect(reported(selector)).toEqual([[2, 1, Writable]])
    receive()
    expect(reported(selector)).toEqual([])
    expect(selector.modify(fd, Interest.Read, 2, 1)).toBe(0)
    expect(reported(selector)).toEqual([[2, 1, Readable]])
  })

  it("drops what a poll has reported that another thread changes or removes meanwhile", () => {
    const { fd, receive, selector, system } = start()
    selector.add(fd, Interest.Read, 1, 1)
    receive()
    system.afterNextWait = () => expect(selector.modify(fd, Interest.Priority, 1, 1)).toBe(0)
    expect(reported(selector)).toEqual([])
    expect(selector.modify(fd, Interest.Read, 1, 1)).toBe(0)
    system.afterNextWait = () => expect(selector.remove(fd, 1)).toBe(0)
    expect(reported(selector)).toEqual([])
    receive()
    expect(reported(selector)).toEqual([])
    // Those of the ends and of urgent data are complete when the socket is closed.
    expect(system.polls).toBe(2)
    system.close(fd)
    expect([reported(selector), system.polls]).toEqual([[], 0])
  })

  it("reports ends as closed, and urgent data as priority", () => {
    const { fd, selector, system } = start()
    selector.add(fd, Both | Interest.Priority, 1, 1)
    reported(selector)
    system.change(fd, (socket) => socket.urgent++)
    expect(reported(selector)).toEqual([[1, 1, Priority]])
    system.change(fd, (socket) => (socket.readEnd = true))
    expect(reported(selector)).toEqual([[1, 1, Readable | ReadClosed]])
    system.change(fd, (socket) => (socket.isReset = true))
    expect(reported(selector)).toEqual([[1, 1, Readable | Writable | ReadClosed | WriteClosed]])
    expect(reported(selector)).toEqual([])
  })

  describe("promise 12: what cannot be registered", () => {
    it("is refused with its reason", () => {
      const { fd, selector, system } = start()
      expect(selector.add(-1, Both, 1, 1)).toBe(EBADF)
      expect(selector.add(4000, Both, 1, 1)).toBe(EBADF)
      // Windows would take it for the number below.
      expect(selector.add(fd + 1, Both, 1, 1)).toBe(EBADF)
      expect(selector.add(system.file(), Both, 1, 1)).toBe(EPERM)
      expect(selector.add(fd, Both | Interest.Exclusive, 1, 1)).toBe(EINVAL)
      expect(selector.modify(fd, Both, 1, 1)).toBe(ENOENT)
      expect(selector.remove(fd)).toBe(ENOENT)
      expect(selector.remove(4000)).toBe(EBADF)
      expect(selector.modify(fd + 2, Both, 1, 1)).toBe(EBADF)
      expect(system.requests).toEqual([])
      expect(selector.add(fd, Both, 1, 1)).toBe(0)
      expect(selector.add(fd, Both, 1, 2)).toBe(EEXIST)
      expect(selector.modify(fd, Both | Interest.Exclusive, 1, 1)).toBe(EINVAL)
      expect(reported(selector)).toEqual([[1, 1, Writable]])
    })

    it("is a socket under a number beyond the notes", () => {
      const { selector, system } = start()
      const calls = system.libc.bindMore<{ WSAIoctl: unknown; GetHandleInformation: unknown }>({
        WSAIoctl: "",
        GetHandleInformation: ""
      })
      calls.WSAIoctl = (socket: number, _c: number, _i: null, _l: number, base: BigInt64Array) => {
        base[0] = BigInt(socket)
        return 0
      }
      const other = attach(system.libc, selector.handle)
      expect(other.add(1 << 20, Both, 1, 1)).toBe(EMFILE)
    })

    it("is registered twice, also when its poll is complete or was cancelled", () => {
      const { fd, receive, selector } = start()
      selector.add(fd, Interest.Read, 1, 1)
      receive()
      expect(selector.add(fd, Both, 1, 2)).toBe(EEXIST)
      expect(reported(selector)).toEqual([[1, 1, Readable]])
      selector.modify(fd, Both, 1, 1)
      expect(selector.add(fd, Both, 1, 2)).toBe(EEXIST)
      expect(reported(selector)).toEqual([
        [1, 1, Readable],
        [1, 1, Writable]
      ])
      expect(selector.add(fd, Both, 1, 2)).toBe(EEXIST)
      expect(reported(selector)).toEqual([])
    })
  })

  describe("a closed socket", () => {
    it("is forgotten without a report", () => {
      const { fd, selector, system } = start()
      selector.add(fd, Interest.Read, 1, 1)
      system.close(fd)
      expect(reported(selector)).toEqual([])
      expect(selector.remove(fd)).toBe(EBADF)
      expect(system.polls).toBe(0)
    })

    it("is forgotten before its report was taken, and its number is free for another", () => {
      const { fd, selector, system } = start()
      selector.add(fd, Interest.Read, 1, 1)
      system.close(fd)
      expect(system.socket()).toBe(fd)
      expect(selector.modify(fd, Both, 1, 1)).toBe(ENOENT)
      expect(selector.add(fd, Interest.Write, 2, 2)).toBe(0)
      expect(selector.add(fd, Interest.Write, 2, 3)).toBe(EEXIST)
      expect(reported(selector)).toEqual([[2, 2, Writable]])
      expect(selector.remove(fd, 2)).toBe(0)
    })

    it("is forgotten after its only report, if it was registered as oneshot", () => {
      const { fd, selector, system } = start()
      selector.add(fd, Interest.Write | Interest.Oneshot, 1, 1)
      expect(reported(selector)).toHaveLength(1)
      system.close(fd)
      expect(system.socket()).toBe(fd)
      expect(selector.add(fd, Interest.Write, 1, 2)).toBe(0)
      expect(reported(selector)).toEqual([[1, 2, Writable]])
    })
  })

  it("registers a number again at once, while the kernel still has its polls", () => {
    const { fd, receive, selector } = start()
    selector.add(fd, Interest.Read, 1, 1)
    expect(selector.remove(fd, 1)).toBe(0)
    expect(selector.remove(fd, 1)).toBe(ENOENT)
    expect(selector.add(fd, Interest.Read, 1, 2)).toBe(0)
    receive()
    expect(reported(selector)).toEqual([[1, 2, Readable]])
  })

  it("polls a socket whose number was that of another one, which is still open elsewhere", () => {
    const { fd, selector, system } = start()
    system.change(fd, (socket) => (socket.isWritable = false))
    expect(selector.add(fd, Both, 1, 1)).toBe(0)
    expect(selector.remove(fd, 1)).toBe(0)
    // As an inherited handle in a child process.
    system.duplicate(fd)
    system.close(fd)
    expect([system.socket(), system.polls]).toEqual([fd, 2])
    expect(selector.add(fd, Both, 2, 2)).toBe(0)
    expect(reported(selector)).toEqual([[2, 2, Writable]])
    system.change(fd, (socket) => socket.pending++)
    expect(reported(selector)).toEqual([[2, 2, Readable]])
  })

  it("does not change or remove a registration under another id", () => {
    const { fd, selector } = start()
    selector.add(fd, Interest.Write, 1, 5)
    expect(selector.modify(fd, Interest.Read, 1, 4)).toBe(Refused.Another)
    expect(selector.remove(fd, 4)).toBe(Refused.Another)
    expect(reported(selector)).toEqual([[1, 5, Writable]])
    expect(selector.remove(fd)).toBe(0)
  })

  it("reports the rest of what is ready with the next wait", () => {
    const { selector, system } = start(3)
    const fds = Array.from({ length: 7 }, () => system.socket())
    fds.forEach((fd, index) => selector.add(fd, Interest.Write, 1, index + 1))
    const batches = [entriesOf(selector), entriesOf(selector), entriesOf(selector), entriesOf(selector)]
    expect(batches.map((batch) => batch.map(([, id]) => id))).toEqual([[1, 2, 3], [4, 5, 6], [7], []])
  })

  it("looks for more while what it took was not reported", () => {
    const { selector, system } = start(2)
    const [first, second, third] = [system.socket(), system.socket(), system.socket()]
    for (const [index, fd] of [first, second, third].entries()) selector.add(fd, Interest.Write, 1, index + 1)
    selector.remove(first)
    selector.remove(second)
    expect(entriesOf(selector)).toEqual([[1, 3, Writable]])
  })

  describe("wake-ups and triggers", () => {
    it("are posted once until they are taken", () => {
      const { selector, system } = start()
      for (let i = 0; i < 5; i++) selector.wake()
      expect(system.packets).toBe(1)
      expect(entriesOf(selector).map(([mailbox]) => mailbox)).toEqual([0])
      expect(entriesOf(selector)).toEqual([])
      selector.wake()
      expect(entriesOf(selector)).toHaveLength(1)
    })

    it("report a mailbox and an id, from every thread", () => {
      const { selector, system } = start()
      const trigger = selector.openTrigger(7, 2 ** 52 + 3)
      const other = attachTrigger(system.libc, trigger.handle, trigger.memory)
      for (const each of [trigger, other, trigger]) expect(each.trigger()).toBe(0)
      expect(system.packets).toBe(1)
      expect(reported(selector)).toEqual([[7, 2 ** 52 + 3, Readable]])
      expect([other.reset(), trigger.reset()]).toEqual([true, false])
      other.trigger()
      expect(reported(selector)).toEqual([[7, 2 ** 52 + 3, Readable]])
      other.close()
      trigger.close()
      selector.close()
      expect(system.open).toEqual(["socket"])
    })

    it("cannot be attached to once they are closed", () => {
      const { selector, system } = start()
      const trigger = selector.openTrigger(1, 1)
      selector.close()
      // Nothing takes it any more, and it does no harm.
      expect(trigger.trigger()).toBe(0)
      trigger.close()
      expect(() => attachTrigger(system.libc, trigger.handle, trigger.memory)).toThrow(SystemCallError)
      expect(system.open).toEqual(["socket"])
    })
  })

  describe("alarms", () => {
    it("end a wait in time, and are reported once to their mailbox", async () => {
      const { selector, system } = start()
      const alarm = selector.openAlarm(9)
      const deadline = alarm.now() + 5
      alarm.set(deadline)
      const count = selector.wait(1000)
      expect(system.waits.at(-1)).toBeLessThanOrEqual(6)
      // On a slow machine, the time may be over by then.
      let seen = count === 0 ? reported(selector) : [[selector.mailbox(0), selector.low(0), selector.readiness(0)]]
      while (seen.length === 0) {
        await new Promise(setImmediate)
        seen = reported(selector)
      }
      expect(alarm.now()).toBeGreaterThanOrEqual(deadline)
      expect(seen).toEqual([[9, 0, Readable]])
      expect(reported(selector)).toEqual([])
    })

    it("wake the thread that waits only if they are earlier than its wait ends", () => {
      const { selector, system } = start()
      const alarm = selector.openAlarm(1)
      selector.wait(1000)
      alarm.set(alarm.now() + 60_000)
      expect(system.packets).toBe(0)
      alarm.set(alarm.now() + 10)
      expect(system.packets).toBe(1)
      selector.wait(0)
      alarm.set(alarm.now() + Number.MAX_VALUE)
      alarm.close()
      expect(system.packets).toBe(0)
      selector.wait(-1)
      expect(system.waits.at(-1)).toBe(0xffff_ffff)
    })

    it("leave no entry out, if there are more than a batch has room for", () => {
      const { selector } = start(2)
      for (const mailbox of [1, 2, 3]) {
        const alarm = selector.openAlarm(mailbox)
        alarm.set(alarm.now())
      }
      const seen = [entriesOf(selector), entriesOf(selector), entriesOf(selector)].flat()
      expect(seen.map(([mailbox]) => mailbox).sort()).toEqual([1, 2, 3])
    })
  })

  describe("closing", () => {
    it("gives back the memory once the kernel has completed every poll", () => {
      const { fd, selector, system } = start()
      for (const each of [fd, ...Array.from({ length: 1500 }, () => system.socket())]) {
        selector.add(each, Interest.Read, 1, each)
      }
      expect(system.segments).toBe(6)
      const other = attach(system.libc, selector.handle)
      const polling = borrow(system.libc, selector.handle, 4)
      polling.close()
      selector.close()
      selector.close()
      expect(system.polls).toBe(1501)
      expect(other.remove(fd)).toBe(0)
      other.close()
      expect([system.polls, system.segments]).toEqual([0, 0])
      expect(new Set(system.open)).toEqual(new Set(["socket"]))
      expect(() => attach(system.libc, selector.handle)).toThrow(SystemCallError)
    })

    it("does not wait for a thread that was terminated", () => {
      const { fd, selector: unused, system } = start()
      unused.close()
      const { terminated, threadOf } = threadsOf(system)
      const selector = open(threadOf(4), 8)
      attach(threadOf(8), selector.handle)
      const other = attach(threadOf(12), selector.handle)
      const last = attach(threadOf(16), selector.handle)
      last.add(fd, Interest.Read, 1, 1)
      terminated.add(8)
      selector.close()
      other.close()
      expect(system.open).toContain("port")
      last.close()
      expect([system.open, system.segments]).toEqual([["socket"], 0])
    })

    it("does not wait for a thread that is terminated at any step of attaching or leaving", () => {
      for (const leaves of [false, true]) {
        let isComplete = false
        for (let step = 1; !isComplete; step++) {
          const system = new SimulatedAfd()
          const { terminated, threadOf } = threadsOf(system)
          const selector = open(threadOf(4), 8)
          const other = leaves ? attach(threadOf(8), selector.handle) : undefined
          isComplete = stoppedAt(step, () =>
            other === undefined ? attach(threadOf(8), selector.handle) : other.close()
          )
          terminated.add(8)
          const next = attach(threadOf(12), selector.handle)
          selector.close()
          expect(system.open).toContain("port")
          next.close()
          expect([system.open, system.segments], `step ${step}`).toEqual([[], 0])
        }
      }
    })

    it("looks again for a thread that is terminated later, less and less often", () => {
      const system = new SimulatedAfd()
      const { terminated, threadOf } = threadsOf(system)
      const later: Array<readonly [call: () => void, millis: number]> = []
      let unreferenced = 0
      const selector = Afd.open(threadOf(4), 8, (call, millis) => {
        later.push([call, millis])
        return { unref: () => unreferenced++ }
      })
      Afd.attach(threadOf(8), selector.handle)
      selector.close()
      const pauses: Array<number> = []
      for (let looks = 0; looks < 9; looks++) {
        expect(system.open).toContain("port")
        const [call, millis] = later.shift()!
        pauses.push(millis)
        if (looks === 8) terminated.add(8)
        call()
      }
      expect(pauses).toEqual([1, 2, 4, 8, 16, 32, 64, 64, 64].map((seconds) => seconds * 1000))
      expect([system.open, system.segments, later.length, unreferenced]).toEqual([[], 0, 0, 9])
    })

    it("makes room for threads in the place of terminated ones", () => {
      const system = new SimulatedAfd()
      const { terminated, threadOf } = threadsOf(system)
      const selector = open(threadOf(4), 8)
      const attachAll = (from: number, count: number) => {
        for (let thread = from; thread < from + count; thread++) attach(threadOf(thread), selector.handle)
      }
      attachAll(1000, 2047)
      expect(() => attachAll(8, 1)).toThrow("errno 24")
      terminated.add(1000).add(3046)
      attachAll(8, 2)
      expect(() => attachAll(10, 1)).toThrow("errno 24")
    })

    it("is over for a thread that only wakes", () => {
      const { selector } = start()
      selector.close()
      selector.wake()
    })
  })

  describe("what a terminated thread has opened", () => {
    it("is closed by another thread: duplicates of the port, and the handle and the list of a set", () => {
      const { closeLeft, other, selector, set, system, terminated, trigger } = openAll()
      other.add(set.fd, Interest.Read | Interest.Oneshot, 3, 3)
      const { segments } = system
      const count = (kind: string) => system.open.filter((open) => open === kind).length
      expect([closeLeft(), count("port"), count("device")]).toEqual([true, 5, 2])
      terminated.add(8)
      expect([closeLeft(), count("port"), count("device")]).toEqual([false, 2, 1])
      reported(selector)
      expect([system.polls, segments - system.segments]).toEqual([0, 1])
      expect(trigger.trigger()).toBe(0)
      expect(reported(selector)).toEqual([[1, 1, Readable]])
      trigger.close()
      selector.close()
      expect([system.segments, new Set(system.open)]).toEqual([0, new Set(["socket"])])
    })

    it("is left alone where the thread has closed it itself, and its number was reused", () => {
      const { closeLeft, copies, opened, other, set, system, terminated } = openAll()
      const [first] = copies
      for (const copy of copies) copy.close()
      set.close()
      expect([first!.handle, set.fd].map((handle) => opened.threadOf(handle))).toEqual([0, 0])
      const files = [1, 2, 3, 4].map(() => system.file())
      expect(files).toContain(first!.handle)
      expect(files).toContain(set.fd)
      terminated.add(8)
      closeLeft()
      expect(system.open.filter((kind) => kind === "file")).toHaveLength(4)
      other.close()
    })

    it("does not keep a number that a socket gets next", () => {
      const { closeLeft, selector, set, system, terminated } = openAll()
      const fds = Array.from({ length: 4 }, () => system.socket())
      for (const fd of fds) set.update(fd, Interest.Read)
      // Without a poll under way, its list is found by the next use of the number.
      terminated.add(8)
      closeLeft()
      const again = [1, 2, 3, 4].map(() => system.socket())
      expect(again).toContain(set.fd)
      for (const fd of again) expect(selector.add(fd, Interest.Write, 2, fd)).toBe(0)
      expect(reported(selector)).toHaveLength(4)
    })
  })

  it("fails a wait with the reason of the kernel", () => {
    const { selector, system } = start()
    system.break()
    expect(() => selector.wait(0)).toThrow("GetQueuedCompletionStatusEx failed with errno 9")
  })

  it("shows the readiness of this moment", () => {
    const { fd, receive, selector, system } = start()
    expect(selector.readinessNow(fd, Both)).toBe(Writable)
    receive()
    expect(selector.readinessNow(fd, Both)).toBe(Readable | Writable)
    expect(selector.readinessNow(fd, Interest.Read)).toBe(Readable)
    system.change(fd, (socket) => (socket.isReset = true))
    expect(selector.readinessNow(fd, 0)).toBe(Error_ | ReadClosed | WriteClosed)
    expect(selector.readinessNow(fd + 1, Both)).toBe(-EBADF)
    expect(selector.readinessNow(4000, Both)).toBe(-EBADF)
    expect(selector.readinessNow(system.file(), Both)).toBe(-EPERM)
  })

  describe("a level-triggered set", () => {
    it("has a handle of its own, polls only while it is registered, and asks for all sockets at once", () => {
      const { fds, found, oneshot, selector, set, system } = setOf(3, Interest.Read)
      expect([found(), system.polls]).toEqual([[], 0])
      expect(selector.add(set.fd, oneshot, 2, 9)).toBe(0)
      expect([system.polls, system.requests.map(({ socket }) => socket)]).toEqual([1, fds])
      expect(reported(selector)).toEqual([])
      system.change(fds[1]!, (socket) => socket.pending++)
      expect(reported(selector)).toEqual([[2, 9, Readable]])
      // It stays ready, and is silent until it is armed again.
      for (let looks = 0; looks < 3; looks++) expect(found()).toEqual([[fds[1], Readable]])
      expect([reported(selector), system.polls]).toEqual([[], 0])
      expect(selector.modify(set.fd, oneshot, 2, 9)).toBe(0)
      expect(reported(selector)).toEqual([[2, 9, Readable]])
      expect(selector.modify(set.fd, oneshot, 2, 8)).toBe(Refused.Another)
      expect(selector.remove(set.fd, 9)).toBe(0)
    })

    it("is reported when what is wanted changes during a wait, and polls for that next", () => {
      const { fds, found, oneshot, selector, set, system } = setOf(1, Interest.Read)
      selector.add(set.fd, oneshot, 1, 1)
      expect(set.update(fds[0]!, Interest.Write)).toBe(0)
      expect(system.cancellations).toBe(1)
      expect(reported(selector)).toEqual([[1, 1, Readable]])
      expect(found()).toEqual([[fds[0], Writable]])
      // Between waits it costs nothing.
      for (let i = 0; i < 10; i++) set.update(fds[0]!, i % 2 === 0 ? Interest.Read : Interest.Write)
      expect([system.cancellations, system.polls]).toEqual([1, 0])
      set.update(fds[0]!, 0)
      selector.modify(set.fd, oneshot, 1, 1)
      expect([found(), reported(selector), system.polls]).toEqual([[], [], 0])
      // The first socket of a set that waits for none.
      expect(set.update(fds[0]!, Interest.Write)).toBe(0)
      expect(reported(selector)).toEqual([[1, 1, Readable]])
    })

    it("cancels a poll that is outdated when it is armed again", () => {
      const { fds, oneshot, selector, set, system } = setOf(2, Interest.Read)
      selector.add(set.fd, oneshot, 1, 1)
      selector.remove(set.fd, 1)
      set.update(fds[0]!, Interest.Write)
      selector.add(set.fd, oneshot, 1, 2)
      expect([system.polls, system.cancellations]).toEqual([0, 1])
      expect(reported(selector)).toEqual([[1, 2, Readable]])
      selector.remove(set.fd, 2)
      expect(reported(selector)).toEqual([])
    })

    it("forgets a socket that was closed without a word, and polls the others", () => {
      const { fds, found, oneshot, selector, set, system } = setOf(3, Interest.Read)
      system.close(fds[0]!)
      expect(selector.add(set.fd, oneshot, 1, 1)).toBe(0)
      system.close(fds[1]!)
      expect(reported(selector)).toEqual([[1, 1, Readable]])
      expect(found()).toEqual([])
      selector.modify(set.fd, oneshot, 1, 1)
      system.change(fds[2]!, (socket) => socket.pending++)
      expect(reported(selector)).toEqual([[1, 1, Readable]])
      expect(found()).toEqual([[fds[2], Readable]])
      system.close(fds[2]!)
      expect(found()).toEqual([])
      expect([set.update(fds[2]!, Interest.Read), set.update(fds[2]!, 0)]).toEqual([EBADF, 0])
      expect(set.update(system.file(), Interest.Read)).toBe(EPERM)
    })

    it("finds a connection that failed, which WSAPoll does not see on older systems", () => {
      const { fds, found, oneshot, selector, set, system } = setOf(2, Interest.Write)
      for (const fd of fds) system.change(fd, (socket) => (socket.isWritable = false))
      for (const id of [1, 2]) {
        selector.add(set.fd, oneshot, 1, id)
        system.change(fds[1]!, (socket) => (socket.hasFailed = true))
        expect(reported(selector)).toEqual([[1, id, Readable]])
        expect(found()).toEqual([[fds[1], Error_]])
        expect(found()).toEqual([])
        selector.remove(set.fd, id)
      }
    })

    it("grows, and gives its memory and its handle back, with a poll under way and without", () => {
      for (const isArmed of [false, true]) {
        const { oneshot, selector, set, system } = setOf(1000, Interest.Read)
        expect(selector.add(set.fd, oneshot, 1, 1)).toBe(0)
        if (!isArmed) {
          set.update(system.socket(), Interest.Write)
          reported(selector)
        }
        const { segments } = system
        set.close()
        set.close()
        expect(system.polls).toBe(0)
        // A socket gets the number at once, whose poll waits until that of the set was taken.
        expect(system.socket()).toBe(set.fd)
        expect(selector.add(set.fd, Interest.Write, 3, 7)).toBe(0)
        expect(reported(selector)).toEqual([[3, 7, Writable]])
        expect(system.segments).toBe(segments - 1)
        expect(set.update(set.fd, Interest.Write)).toBe(0)
        selector.close()
        expect([system.segments, system.open.filter((kind) => kind !== "socket")]).toEqual([0, []])
      }
    })

    it("closes with the selector of its thread, and later calls do nothing", () => {
      const { fds, found, oneshot, selector, set, system } = setOf(1, Interest.Read)
      const other = attach(system.libc, selector.handle)
      const left = other.openLevelSet()
      left.update(fds[0]!, Interest.Write)
      other.add(left.fd, oneshot, 1, 1)
      other.close()
      selector.add(set.fd, oneshot, 1, 2)
      selector.close()
      expect([system.segments, new Set(system.open)]).toEqual([0, new Set(["socket"])])
      for (const each of [left, set, other.openLevelSet()]) {
        expect(each.update(fds[0]!, Interest.Read)).toBe(0)
        each.close()
      }
      expect([found(), other.openLevelSet().look()]).toEqual([[], 0])
      for (const each of [selector, other]) {
        each.rearm!(fds[0]!, Both)
        expect([each.add(fds[0]!, Both, 1, 1), each.modify(fds[0]!, Both, 1, 1), each.remove(fds[0]!)]).toEqual([
          EBADF,
          EBADF,
          EBADF
        ])
      }
    })
  })
})
