/** The ring that carries readiness from the thread that waits to another one. */
import { describe, expect, it } from "@effect/vitest"
import { Readiness } from "../../src/internal/kernel/selector.ts"
import { highBits, highOf, joinId, lowOf } from "../../src/internal/kernel/userData.ts"
import { MailboxReader, MailboxWriter } from "../../src/internal/shared/mailbox.ts"
import { Box } from "../../src/internal/shared/mailboxTable.ts"
import { PollerMemory } from "../../src/internal/shared/pollerMemory.ts"
import { random } from "../support/model.ts"

/** Makes both ends of a mailbox through which `startAt` entries have already gone. */
const make = (size: number, startAt = 0) => {
  const memory = PollerMemory.make(2, size)
  const mailbox = 2
  memory.mailboxes.claim(1)
  memory.mailboxes.claim(1)
  const box = memory.mailboxes.box(mailbox)
  box[Box.Tail] = startAt | 0
  const reader = new MailboxReader(memory, mailbox)
  const writer = new MailboxWriter(memory, mailbox)
  const push = (id: number, readiness: number) => writer.push(lowOf(id), highOf(id), readiness)
  const drain = () => {
    const entries: Array<readonly [id: number, readiness: number]> = []
    const more = reader.drain((low, word) => entries.push([joinId(low, word), word >>> highBits]))
    return { entries, more }
  }
  return { memory, box, reader, writer, push, drain, mailbox }
}

describe("a mailbox", () => {
  it("shows an entry only once it is published", () => {
    const { drain, push, reader, writer } = make(4)
    push(Number.MAX_SAFE_INTEGER, 63)
    expect(reader.isEmpty).toBe(true)
    expect(drain().entries).toEqual([])
    writer.publish()
    expect(reader.isEmpty).toBe(false)
    expect(drain()).toEqual({ entries: [[Number.MAX_SAFE_INTEGER, 63]], more: false })
    expect(reader.isEmpty).toBe(true)
  })

  it("with a ring of one, keeps the other entries merged by id, and passes them on one by one", () => {
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

  it("passes on kept entries before new ones, even if there is room by then", () => {
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

  it.each([0, 2 ** 31 - 3, -3, 2 ** 31 - 1, -1])("works when its counters wrap around, starting at %i", (startAt) => {
    for (const size of [1, 2, 8]) {
      const { box, memory, drain, push, writer } = make(size, startAt)
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
      expect(box[Box.Tail]).toBe((startAt + 6 * size) | 0)
      expect(memory.overflows).toBe(0)
    }
  })

  it("drops the entries of its former owner when it has a new one", () => {
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

  it("keeps nothing for an owner that is gone", () => {
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

  it("completes a sync only once all earlier entries are in the ring", () => {
    const { memory, drain, mailbox, push, reader, writer } = make(1)
    expect(memory.mailboxes.syncRequest(mailbox)).toBeUndefined()
    const request = reader.requestSync()
    expect(memory.mailboxes.syncRequest(mailbox)).toBe(request)
    push(1, 1)
    push(2, 1)
    writer.completeSync(request)
    writer.publish()
    expect(reader.synced).not.toBe(request)
    expect(drain()).toEqual({ entries: [[1, 1]], more: true })
    writer.publish()
    expect(reader.synced).toBe(request)
    expect(memory.mailboxes.syncRequest(mailbox)).toBeUndefined()
    expect(drain()).toEqual({ entries: [[2, 1]], more: false })
  })

  it("wakes its owner once, and only if the owner sleeps", async () => {
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
    // The owner does not sleep through a wake-up that comes before it waits.
    reader.fallAsleep()
    writer.publish()
    expect(reader.awaitWake()).toBeUndefined()
  })

  it.each([1, 2, 4])("loses and invents nothing, whichever side is faster (ring of %i)", (size) => {
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
        // The writer is not always woken at once.
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
