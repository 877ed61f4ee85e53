/** The shared memory of a poller: ids, states, and the table of mailboxes. */
import { describe, expect, it } from "@effect/vitest"
import { PollerMemory, State } from "../../src/internal/shared/pollerMemory.ts"

describe("the memory of a poller", () => {
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
      // The last ring ends where the memory ends, or before.
      expect(memory.mailboxes.base(4)).toBeLessThanOrEqual(memory.words.length)
      const again = new PollerMemory(memory.buffer)
      expect([again.mailboxes.ringSize, again.mailboxes.count, again.mailboxes.base(3)]).toEqual([
        size,
        3,
        memory.mailboxes.base(3)
      ])
    }
  })

  it("gives out rising ids, and takes back only the last one", () => {
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

  it("gives each mailbox to one thread, and can give it again once it is released", () => {
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

  it("returns the descriptors of terminated threads once", () => {
    const memory = PollerMemory.make(4, 1)
    for (const thread of [100, 200, 0, 300]) memory.mailboxes.claim(thread)
    memory.mailboxes.noteOpened(2, { fd: 0, wake: 41 })
    memory.mailboxes.noteOpened(4, { fd: 50, wake: 51 })
    const alive = new Set([100])
    const isAlive = (thread: number) => alive.has(thread)
    expect(memory.mailboxes.reap(isAlive)).toEqual([0, 41, 50, 51])
    expect(memory.mailboxes.reap(isAlive)).toEqual([])
    // The mailboxes of the living thread and of the thread without a number stay claimed.
    expect([memory.mailboxes.claim(5), memory.mailboxes.claim(5), memory.mailboxes.claim(5)]).toEqual([2, 4, 0])
    // A new owner does not inherit the descriptors of a former one.
    expect(memory.mailboxes.reap(() => false)).toEqual([])
  })

  it("moves on to later states only, and fails only while it is open", () => {
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
