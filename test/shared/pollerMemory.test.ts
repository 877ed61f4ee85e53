/** The shared memory of a poller: ids, states, and the table of mailboxes. */
import { describe, expect, it } from "@effect/vitest"
import { once } from "node:events"
import { Worker } from "node:worker_threads"
import { PollerMemory, State } from "../../src/internal/shared/pollerMemory.ts"

/** Makes the memory of a poller, all of whose mailboxes are claimed. */
const claimed = (mailboxes: number, ringSize: number) => {
  const memory = PollerMemory.make(mailboxes, ringSize)
  for (let mailbox = 1; mailbox <= mailboxes; mailbox++) memory.mailboxes.claim(1)
  return memory
}

const refused = (size: number, options: { maxByteLength?: number }, contents: Uint8Array) => {
  const foreign = new SharedArrayBuffer(size, options)
  new Uint8Array(foreign).set(contents.subarray(0, size))
  expect(PollerMemory.isPollerMemory(foreign)).toBe(false)
}

describe("the memory of a poller", () => {
  it("rounds a ring up to a power of two, and keeps mailboxes apart", () => {
    for (const [asked, size] of [
      [1, 1],
      [2, 2],
      [3, 4],
      [4096, 4096],
      [4097, 8192]
    ] as const) {
      const { mailboxes } = claimed(3, asked)
      expect(mailboxes.ringSize).toBe(size)
      for (const mailbox of [1, 2, 3]) mailboxes.box(mailbox).fill(mailbox)
      for (const mailbox of [1, 2, 3]) expect(new Set(mailboxes.box(mailbox))).toEqual(new Set([mailbox]))
    }
  })

  it("takes memory for the threads that attach, and not for those that could", () => {
    const memory = PollerMemory.make(64, 4096)
    expect(memory.mailboxes.count).toBe(1)
    expect(memory.buffer.byteLength).toBeLessThan(40_000)
    const elsewhere = new PollerMemory(memory.buffer)
    expect([memory, elsewhere, memory].map(({ mailboxes }) => mailboxes.claim(1))).toEqual([1, 2, 3])
    expect([memory.mailboxes.count, elsewhere.mailboxes.count, elsewhere.mailboxes.capacity]).toEqual([3, 3, 64])
    // Both see one memory, whichever of them made it.
    memory.mailboxes.noteRegistrations(2, 5)
    elsewhere.mailboxes.noteRegistrations(3, 6)
    expect([memory.mailboxes.registrations, elsewhere.mailboxes.registrations]).toEqual([11, 11])
    // A mailbox that is free again takes no further memory.
    elsewhere.mailboxes.release(2)
    expect(memory.mailboxes.claim(7)).toBe(2)
    expect(memory.mailboxes.count).toBe(3)
  })

  it("claims a mailbox for each of several threads that attach at once", async () => {
    const threads = 4
    const each = 100
    const memory = PollerMemory.make(threads * each, 1)
    const source = `
      const { parentPort, workerData } = require("node:worker_threads")
      import(workerData.url).then(({ PollerMemory }) => {
        const { mailboxes } = new PollerMemory(workerData.buffer)
        const start = new Int32Array(workerData.start)
        Atomics.add(start, 0, 1)
        Atomics.notify(start, 0)
        while (Atomics.load(start, 0) < ${threads}) Atomics.wait(start, 0, Atomics.load(start, 0), 1000)
        parentPort.postMessage(Array.from({ length: ${each} }, () => mailboxes.claim(1)))
      })`
    const start = new SharedArrayBuffer(4)
    const { href: url } = new URL("../../src/internal/shared/pollerMemory.ts", import.meta.url)
    const claims = Array.from({ length: threads }, async () => {
      const worker = new Worker(source, { eval: true, execArgv: [], workerData: { buffer: memory.buffer, start, url } })
      // Listened for first: where the thread ends early, both come in the same turn.
      const ended = once(worker, "exit")
      const [mailboxes] = (await once(worker, "message")) as [ReadonlyArray<number>]
      await ended
      return mailboxes
    })
    const all = (await Promise.all(claims)).flat().toSorted((a, b) => a - b)
    expect(all).toEqual(Array.from({ length: threads * each }, (_, index) => index + 1))
    expect(memory.mailboxes.claim(1)).toBe(0)
  })

  it("is recognized, at any size that it grows to, and a foreign buffer is not", () => {
    const { buffer } = PollerMemory.make(3, 4)
    expect(PollerMemory.isPollerMemory(buffer)).toBe(true)
    expect(PollerMemory.isPollerMemory(claimed(3, 4).buffer)).toBe(true)
    const most = buffer.maxByteLength
    for (const size of [0, 4, 255, 256, buffer.byteLength, most, most + 4]) {
      for (const contents of [new Uint8Array(buffer), new Uint8Array(size), new Uint8Array(size).fill(0xff)]) {
        refused(size, {}, contents)
        refused(size, { maxByteLength: most + 4 }, contents)
      }
    }
    // The number of mailboxes and the size of a ring, one of them out of its range.
    for (const [count, size] of [
      [0, 4],
      [-1, 4],
      [2048, 4],
      [3, 0],
      [3, -4],
      [3, 3],
      [3, 2 ** 21]
    ] as const) {
      const words = new Int32Array(buffer.slice(0))
      words[1] = count
      words[2] = size
      refused(buffer.byteLength, { maxByteLength: most }, new Uint8Array(words.buffer))
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

  it("gives back the mailboxes of terminated threads", () => {
    const { mailboxes } = PollerMemory.make(4, 1)
    for (const thread of [100, 200, 0, 300]) mailboxes.noteRegistrations(mailboxes.claim(thread), 5)
    const alive = new Set([100])
    mailboxes.reclaim((thread) => alive.has(thread))
    expect(mailboxes.registrations).toBe(10)
    // Those of the living thread and of the thread without a number stay claimed.
    expect([mailboxes.claim(5), mailboxes.claim(5), mailboxes.claim(5)]).toEqual([2, 4, 0])
    expect(mailboxes.registrations).toBe(10)
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
