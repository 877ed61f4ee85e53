/**
 * The parts below Effect, by themselves: the kernel's poller, the ring that carries its reports to another thread, and
 * the shared memory that both live in.
 */
import { afterEach, beforeEach, describe, expect, it } from "@effect/vitest"
import { PollerMemory, State } from "../../src/internal/shared/pollerMemory.ts"
import { Box } from "../../src/internal/shared/mailboxTable.ts"
import type { Libc } from "../../src/internal/libc/koffi.ts"
import { libc } from "../../src/internal/libc/koffi.ts"
import { MailboxReader, MailboxWriter } from "../../src/internal/shared/mailbox.ts"
import { Router } from "../../src/internal/shared/router.ts"
import { attach, borrow, open } from "../../src/internal/kernel/openSelector.ts"
import type { Selector } from "../../src/internal/kernel/selector.ts"
import { Interest, Readiness } from "../../src/internal/kernel/selector.ts"
import { SystemCallError } from "../../src/internal/kernel/systemCallError.ts"
import { highBits, highOf, joinId, lowOf } from "../../src/internal/kernel/userData.ts"
import * as Kernel from "../support/kernel.ts"
import { random } from "../support/model.ts"

const EEXIST = 17
const ENOENT = 2
const EBADF = 9
const EPERM = 1

/** A C library whose waits fail. */
const failing = (errno: number): Libc => {
  const real = libc()
  return { ...real, errno: () => errno, functions: { ...real.functions, epoll_wait: () => -1 } }
}

describe("the epoll selector", () => {
  let before: ReadonlyMap<number, string>
  let selector: Selector
  let fd: number

  beforeEach(() => {
    before = Kernel.openDescriptors()
    selector = open(libc(), 4)
    fd = Kernel.eventfd()
  })

  afterEach(() => {
    selector.close()
    Kernel.close(fd)
    expect(Kernel.openDescriptors()).toEqual(before)
  })

  const reported = (): ReadonlyArray<readonly [mailbox: number, id: number, readiness: number]> =>
    Array.from({ length: selector.wait(0) }, (_, index) => [
      selector.mailbox(index),
      joinId(selector.low(index), selector.high(index)),
      selector.readiness(index)
    ])

  it("reports what was added, once for each change", () => {
    expect(selector.add(fd, Interest.Read, 3, 42)).toBe(0)
    expect(reported()).toEqual([])
    Kernel.signal(fd)
    expect(reported()).toEqual([[3, 42, Readiness.Readable]])
    expect(reported()).toEqual([])
    Kernel.signal(fd)
    expect(reported()).toEqual([[3, 42, Readiness.Readable]])
  })

  it("reports again what is modified, to whom it is then, and nothing of what is removed", () => {
    expect(selector.add(fd, Interest.Read | Interest.Write, 3, 42)).toBe(0)
    expect(reported()).toEqual([[3, 42, Readiness.Writable]])
    expect(selector.modify(fd, Interest.Write, 4, 43)).toBe(0)
    expect(reported()).toEqual([[4, 43, Readiness.Writable]])
    expect(selector.modify(fd, Interest.Write | Interest.Oneshot, 4, 43)).toBe(0)
    expect(reported()).toEqual([[4, 43, Readiness.Writable]])
    Kernel.signal(fd)
    Kernel.drain(fd)
    expect(reported()).toEqual([])
    expect(selector.modify(fd, Interest.Write, 4, 43)).toBe(0)
    expect(selector.remove(fd)).toBe(0)
    expect(reported()).toEqual([])
  })

  it("answers with the kernel's error numbers", () => {
    expect(selector.modify(fd, Interest.Read, 1, 1)).toBe(ENOENT)
    expect(selector.remove(fd)).toBe(ENOENT)
    expect(selector.add(fd, Interest.Read, 1, 1)).toBe(0)
    expect(selector.add(fd, Interest.Read, 1, 2)).toBe(EEXIST)
    for (const call of [
      selector.add(-1, Interest.Read, 1, 1),
      selector.modify(-1, Interest.Read, 1, 1),
      selector.remove(-1)
    ]) {
      expect(call).toBe(EBADF)
    }
    // Standard input of a test may be anything; a directory's descriptor cannot be polled.
    expect(selector.syscalls).toEqual({ add: "epoll_ctl(ADD)", modify: "epoll_ctl(MOD)", remove: "epoll_ctl(DEL)" })
  })

  it("reports in several batches what is more than one batch", () => {
    expect(selector.capacity).toBe(4)
    const fds = Array.from({ length: 10 }, () => Kernel.eventfd())
    fds.forEach((each, index) => {
      expect(selector.add(each, Interest.Read, 1, index + 1)).toBe(0)
      Kernel.signal(each)
    })
    const batches = [reported(), reported(), reported(), reported()]
    expect(batches.map(({ length }) => length)).toEqual([4, 4, 2, 0])
    expect(batches.flat().map(([, id]) => id)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    for (const each of fds) Kernel.close(each)
  })

  it("is woken once for however many wake-ups, also by those that came before the wait", () => {
    selector.wake()
    selector.wake()
    expect(selector.wait(-1)).toBe(1)
    expect(selector.mailbox(0)).toBe(0)
    expect(reported()).toEqual([])
    selector.wake()
    expect(reported().map(([mailbox]) => mailbox)).toEqual([0])
  })

  it("is shared by whoever attaches to it, and by whoever borrows it", () => {
    const attached = attach(libc(), selector.handle)
    expect(attached.handle.fd).not.toBe(selector.handle.fd)
    expect(attached.handle.wake).not.toBe(selector.handle.wake)
    for (const own of [attached.handle.fd, attached.handle.wake]) expect(Kernel.isCloseOnExec(own)).toBe(true)
    expect(attached.add(fd, Interest.Read, 2, 7)).toBe(0)
    Kernel.signal(fd)
    attached.wake()
    expect(reported().toSorted()).toEqual([
      [0, 0, Readiness.Readable],
      [2, 7, Readiness.Readable]
    ])
    attached.close()
    Kernel.signal(fd)
    const borrowed = borrow(libc(), selector.handle, 2)
    expect(borrowed.capacity).toBe(2)
    expect(borrowed.wait(0)).toBe(1)
    expect(joinId(borrowed.low(0), borrowed.high(0))).toBe(7)
  })

  it("takes a signal for a wait that ended early, and throws what else a wait fails with", () => {
    expect(borrow(failing(4), selector.handle, 1).wait(1000)).toBe(0)
    const dead = borrow(libc(), { fd: -1, wake: -1 }, 1)
    expect(() => dead.wait(0)).toThrow(new SystemCallError("epoll_wait", EBADF))
  })

  it("closes what it has opened if it cannot open the rest", () => {
    const real = libc()
    const withoutEventfd: Libc = { ...real, functions: { ...real.functions, eventfd: () => real.functions.close(-1) } }
    const count = Kernel.openDescriptors().size
    expect(() => open(withoutEventfd, 1)).toThrow("eventfd failed with errno 9")
    const refusing: Libc = { ...real, errno: () => EPERM, functions: { ...real.functions, epoll_ctl: () => -1 } }
    expect(() => open(refusing, 1)).toThrow("epoll_ctl(ADD) failed with errno 1")
    expect(() => attach(real, { fd, wake: -1 })).toThrow("fcntl(F_DUPFD_CLOEXEC) failed with errno 9")
    expect(Kernel.openDescriptors().size).toBe(count)
  })
})

describe("the shared memory", () => {
  it("rounds a ring up to a power of two, and keeps mailboxes apart", () => {
    for (const [asked, size] of [
      [1, 1],
      [2, 2],
      [3, 4],
      [4096, 4096],
      [4097, 8192]
    ] as const) {
      const memory = PollerMemory.make(3, asked)
      expect(memory.mailboxes.ringSize).toBe(size)
      expect(memory.mailboxes.count).toBe(3)
      // The last word of the last ring is the last word of all, or before it.
      expect(memory.mailboxes.base(4)).toBeLessThanOrEqual(memory.words.length)
      const again = new PollerMemory(memory.buffer)
      expect([again.mailboxes.ringSize, again.mailboxes.count, again.mailboxes.base(3)]).toEqual([
        size,
        3,
        memory.mailboxes.base(3)
      ])
    }
  })

  it("gives out rising ids, and takes back only the one given out last", () => {
    const memory = PollerMemory.make(1, 1)
    expect([memory.takeId(), memory.takeId()]).toEqual([1, 2])
    memory.returnId(1)
    expect(memory.takeId()).toBe(3)
    memory.returnId(3)
    expect(memory.wasIssued(3)).toBe(false)
    expect(memory.takeId()).toBe(3)
    for (const issued of [1, 2, 3]) expect(memory.wasIssued(issued)).toBe(true)
    for (const never of [0, -1, 4, 1.5, NaN, Infinity]) expect(memory.wasIssued(never)).toBe(false)
  })

  it("gives out ids above 2^32, up to the largest safe integer", () => {
    const memory = PollerMemory.make(1, 1)
    const next = new BigInt64Array(memory.buffer, 16, 1)
    next[0] = 0xffff_ffffn
    expect([memory.takeId(), memory.takeId()]).toEqual([0xffff_ffff, 0x1_0000_0000])
    memory.returnId(0x1_0000_0000)
    expect(memory.takeId()).toBe(0x1_0000_0000)
    next[0] = BigInt(Number.MAX_SAFE_INTEGER)
    expect(memory.takeId()).toBe(Number.MAX_SAFE_INTEGER)
    expect(memory.wasIssued(Number.MAX_SAFE_INTEGER)).toBe(true)
    memory.returnId(Number.MAX_SAFE_INTEGER)
    expect(next[0]).toBe(BigInt(Number.MAX_SAFE_INTEGER))
  })

  it("gives each mailbox to one thread, and takes it back", () => {
    const memory = PollerMemory.make(3, 1)
    expect([
      memory.mailboxes.claim(100),
      memory.mailboxes.claim(0),
      memory.mailboxes.claim(100),
      memory.mailboxes.claim(7)
    ]).toEqual([1, 2, 3, 0])
    memory.mailboxes.release(2)
    expect([memory.mailboxes.claim(9), memory.mailboxes.claim(9)]).toEqual([2, 0])
  })

  it("takes back what terminated threads have left, once", () => {
    const memory = PollerMemory.make(4, 1)
    for (const thread of [100, 200, 0, 300]) memory.mailboxes.claim(thread)
    memory.mailboxes.noteOpened(2, { fd: 0, wake: 41 })
    memory.mailboxes.noteOpened(4, { fd: 50, wake: 51 })
    const alive = new Set([100])
    const isAlive = (thread: number) => alive.has(thread)
    expect(memory.mailboxes.reap(isAlive)).toEqual([0, 41, 50, 51])
    expect(memory.mailboxes.reap(isAlive)).toEqual([])
    // The living one's stays, and that of the thread which has no number.
    expect([memory.mailboxes.claim(5), memory.mailboxes.claim(5), memory.mailboxes.claim(5)]).toEqual([2, 4, 0])
    // What the next owner has not noted is not what the one before had.
    expect(memory.mailboxes.reap(() => false)).toEqual([])
  })

  it("goes from one state to a later one only, and fails only while it is open", () => {
    const memory = PollerMemory.make(1, 1)
    memory.advance(State.Closed)
    memory.advance(State.Closing)
    expect(memory.state).toBe(State.Closed)
    expect(memory.fail(5)).toBe(false)
    expect(memory.failedWith).toBe(0)
    const failing = PollerMemory.make(1, 1)
    expect(failing.fail(5)).toBe(true)
    expect(failing.fail(6)).toBe(false)
    expect([failing.state, failing.failedWith]).toEqual([State.Failed, 5])
  })
})

/** The two ends of one, with so many entries having gone through it before. */
const make = (size: number, startAt = 0) => {
  const memory = PollerMemory.make(2, size)
  const mailbox = 2
  memory.mailboxes.claim(1)
  memory.mailboxes.claim(1)
  const base = memory.mailboxes.base(mailbox)
  memory.words[base + Box.Tail] = startAt | 0
  const reader = new MailboxReader(memory, mailbox)
  const writer = new MailboxWriter(memory, mailbox)
  const push = (id: number, readiness: number) => writer.push(lowOf(id), highOf(id), readiness)
  const drain = () => {
    const entries: Array<readonly [id: number, readiness: number]> = []
    const more = reader.drain((low, word) => entries.push([joinId(low, word), word >>> highBits]))
    return { entries, more }
  }
  return { memory, base, reader, writer, push, drain, mailbox }
}

describe("a mailbox", () => {
  it("shows what was put in only once it is published", () => {
    const { drain, push, reader, writer } = make(4)
    push(Number.MAX_SAFE_INTEGER, 63)
    expect(reader.isEmpty).toBe(true)
    expect(drain().entries).toEqual([])
    writer.publish()
    expect(reader.isEmpty).toBe(false)
    expect(drain()).toEqual({ entries: [[Number.MAX_SAFE_INTEGER, 63]], more: false })
    expect(reader.isEmpty).toBe(true)
  })

  it("with a ring of one keeps the rest, merged by id, and hands it on one by one", () => {
    const { memory, drain, push, reader, writer } = make(1)
    push(1, Readiness.Readable)
    push(2, Readiness.Readable)
    push(3, Readiness.Writable)
    push(2, Readiness.ReadClosed)
    push(1, Readiness.Error)
    writer.publish()
    expect(memory.overflows).toBe(4)
    const got: Array<readonly [number, number]> = []
    for (let turn = 0; turn < 4; turn++) {
      const { entries, more } = drain()
      expect(entries).toHaveLength(1)
      got.push(...entries)
      expect(more).toBe(turn < 3)
      writer.publish()
    }
    expect(got).toEqual([
      [1, Readiness.Readable],
      [2, Readiness.Readable | Readiness.ReadClosed],
      [3, Readiness.Writable],
      [1, Readiness.Error]
    ])
    expect(reader.isEmpty).toBe(true)
  })

  it("lets nothing overtake what is kept, even if there is room by then", () => {
    const { drain, push, writer } = make(1)
    push(1, 1)
    push(2, 1)
    writer.publish()
    expect(drain().entries).toEqual([[1, 1]])
    push(3, 1)
    writer.publish()
    expect(drain().entries).toEqual([[2, 1]])
    writer.publish()
    expect(drain().entries).toEqual([[3, 1]])
  })

  it.each([0, 2 ** 31 - 3, -3, 2 ** 31 - 1, -1])(
    "works across the wrap-around of its counters, from %i on",
    (startAt) => {
      for (const size of [1, 2, 8]) {
        const { base, memory, drain, push, writer } = make(size, startAt)
        let id = 0x1_0000_0000
        for (let turn = 0; turn < 6; turn++) {
          const expected: Array<readonly [number, number]> = []
          for (let i = 0; i < size; i++) {
            push(++id, Readiness.Readable)
            expected.push([id, Readiness.Readable])
          }
          writer.publish()
          expect(drain()).toEqual({ entries: expected, more: false })
        }
        expect(memory.words[base + Box.Tail]).toBe((startAt + 6 * size) | 0)
        expect(memory.overflows).toBe(0)
      }
    }
  )

  it("begins with what comes from now on when it has a new owner", () => {
    const { memory, drain, mailbox, push, reader, writer } = make(4)
    push(1, 1)
    writer.publish()
    expect(reader.isEmpty).toBe(false)
    memory.mailboxes.release(mailbox)
    expect(memory.mailboxes.claim(5)).toBe(mailbox)
    const next = new MailboxReader(memory, mailbox)
    expect(next.isEmpty).toBe(true)
    push(2, 1)
    writer.publish()
    expect(drain().entries).toEqual([[2, 1]])
  })

  it("keeps nothing for a thread that has gone", () => {
    const { memory, drain, mailbox, push, reader, writer } = make(1)
    push(1, 1)
    writer.publish()
    memory.mailboxes.release(mailbox)
    for (let id = 2; id < 100; id++) push(id, 1)
    writer.publish()
    expect(memory.overflows).toBe(0)
    expect(drain()).toEqual({ entries: [[1, 1]], more: false })
    expect(reader.isEmpty).toBe(true)
  })

  it("answers a request only when all that came before it is in the ring", () => {
    const { memory, drain, mailbox, push, reader, writer } = make(1)
    expect(memory.mailboxes.syncRequest(mailbox)).toBeUndefined()
    const request = reader.requestSync()
    expect(memory.mailboxes.syncRequest(mailbox)).toBe(request)
    push(1, 1)
    push(2, 1)
    writer.answer(request)
    writer.publish()
    expect(reader.synced).not.toBe(request)
    expect(drain()).toEqual({ entries: [[1, 1]], more: true })
    writer.publish()
    expect(reader.synced).toBe(request)
    expect(memory.mailboxes.syncRequest(mailbox)).toBeUndefined()
    expect(drain()).toEqual({ entries: [[2, 1]], more: false })
  })

  it("wakes its owner only if that one sleeps, and once", async () => {
    const { memory, push, reader, writer } = make(4)
    push(1, 1)
    writer.publish()
    expect(memory.wakeups).toBe(0)
    reader.fallAsleep()
    const woken = reader.awaitWake()
    expect(woken).toBeInstanceOf(Promise)
    push(2, 1)
    writer.publish()
    push(3, 1)
    writer.publish()
    expect(memory.wakeups).toBe(1)
    expect(await woken).toBe("ok")
    // A wake-up that comes between falling asleep and waiting is not slept through.
    reader.fallAsleep()
    writer.publish()
    expect(reader.awaitWake()).toBeUndefined()
  })

  it.each([1, 2, 4])("loses and invents nothing, whoever is faster (ring of %i)", (size) => {
    const seed = Number(process.env.MODEL_SEED ?? Math.floor(Math.random() * 0x1_0000_0000))
    const next = random(seed)
    const { drain, push, writer } = make(size, 2 ** 31 - 200)
    const pending = new Map<number, number>()
    const got = new Map<number, number>()
    const take = () => {
      const { entries, more } = drain()
      for (const [id, readiness] of entries) got.set(id, (got.get(id) ?? 0) | readiness)
      return more
    }
    const expectSame = (step: number) =>
      expect([...got].toSorted(), `step ${step} of MODEL_SEED=${seed}`).toEqual([...pending].toSorted())
    for (let step = 0; step < 3000; step++) {
      const dice = next()
      const id = 0xffff_fff8 + Math.floor(next() * 16)
      const readiness = 1 << Math.floor(next() * 6)
      if (dice < 0.5) {
        push(id, readiness)
        pending.set(id, (pending.get(id) ?? 0) | readiness)
      } else if (dice < 0.7) {
        writer.publish()
      } else if (dice < 0.9) {
        // Not always is the writer told at once.
        if (take() && next() < 0.5) writer.publish()
      } else {
        do writer.publish()
        while (take())
        expectSame(step)
        pending.clear()
        got.clear()
      }
    }
  })
})

describe("the router", () => {
  it("answers a request with all that is ready, also if an older wake-up comes before it in the kernel's list", () => {
    const memory = PollerMemory.make(2, 4)
    memory.mailboxes.claim(1)
    const mailbox = memory.mailboxes.claim(1)
    const reader = new MailboxReader(memory, mailbox)
    const selector = open(libc(), 1)
    const router = new Router(memory, selector, undefined)
    const fds = [Kernel.eventfd(), Kernel.eventfd(), Kernel.eventfd()]
    fds.forEach((fd, index) => expect(selector.add(fd, Interest.Read, mailbox, index + 1)).toBe(0))
    selector.wake()
    for (const fd of fds) Kernel.signal(fd)
    const request = reader.requestSync()
    selector.wake()
    router.poll(0)
    expect(reader.synced).toBe(request)
    const ids: Array<number> = []
    reader.drain((low, word) => ids.push(joinId(low, word)))
    expect(ids).toEqual([1, 2, 3])
    for (const fd of fds) Kernel.close(fd)
    selector.close()
  })
})
