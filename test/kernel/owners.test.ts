/** The notes of which registration each number belongs to. */
import { describe, expect, it } from "@effect/vitest"
import { Owner, Owners, ownerOf, Refused, refusalOf } from "../../src/internal/kernel/owners.ts"
import { startWorker } from "../support/threads.ts"

describe("the owners of numbers", () => {
  it("are the same for all threads, whichever thread makes room for them", () => {
    const one = Owners.make()
    const other = new Owners(one.buffer)
    for (const fd of [0, 1023, 1024, 5000, 2 ** 20 - 1]) {
      expect(one.lock(fd)).toBe(Owner.None)
      one.unlock(fd, ownerOf(fd + 1))
      expect(other.lock(fd)).toBe(ownerOf(fd + 1))
      other.unlock(fd, Owner.Library)
      expect(one.lock(fd)).toBe(Owner.Library)
      one.unlock(fd, Owner.None)
    }
  })

  it("are not noted for numbers that no descriptor has, or hardly any", () => {
    const owners = Owners.make()
    for (const fd of [-1, 2 ** 20, 2 ** 31 - 1]) {
      expect(owners.lock(fd)).toBe(Owner.None)
      owners.unlock(fd, 1)
      expect(owners.lock(fd)).toBe(Owner.None)
    }
    expect(owners.buffer.byteLength).toBe(4096)
  })

  it("are told apart, and are neither the library's nor none", () => {
    const ids = [1, 2, 2 ** 31 - 3, 2 ** 31 - 2, 2 ** 31 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER]
    for (const id of ids) {
      expect(ownerOf(id)).toBeGreaterThan(Owner.None)
      expect(ownerOf(id)).toBeLessThan(Owner.Library)
      expect(refusalOf(ownerOf(id), id)).toBe(0)
      expect(refusalOf(ownerOf(id), id + 1)).toBe(Refused.Another)
      expect(refusalOf(ownerOf(id), undefined)).toBe(0)
      expect(refusalOf(Owner.None, id)).toBe(0)
      expect(refusalOf(Owner.Library, id)).toBe(Refused.Library)
    }
  })

  it("a number that a terminated thread has locked can be used again", () => {
    const owners = Owners.make()
    owners.lock(7)
    owners.unlock(7, 42)
    owners.lock(7)
    expect(new Owners(owners.buffer).lock(7)).toBe(42)
    owners.unlock(7, 43)
    expect(owners.lock(7)).toBe(43)
  })

  it("are changed by one thread at a time", async () => {
    const owners = Owners.make()
    const counts = new SharedArrayBuffer(8)
    const rounds = 20_000
    const workers = [0, 1].map(() => startWorker("ownersThread", { owners: owners.buffer, counts, rounds }))
    await Promise.all(workers.map((worker) => new Promise((resolve) => worker.once("exit", resolve))))
    // Each thread adds one to a word that it does not read and write in one step.
    expect(new Int32Array(counts)[1]).toBe(2 * rounds)
  })
})
