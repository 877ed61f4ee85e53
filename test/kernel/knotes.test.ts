/** The notes of what is registered with a kqueue. */
import { describe, expect, it } from "@effect/vitest"
import { Knotes } from "../../src/internal/kernel/knotes.ts"
import { Interest } from "../../src/internal/kernel/selector.ts"
import { maxMailboxes } from "../../src/internal/kernel/userData.ts"

const Both = Interest.Read | Interest.Write

describe("the notes of registrations", () => {
  it("are the same for all threads, whichever thread grows them", () => {
    const one = Knotes.make()
    const other = new Knotes(one.buffer)
    for (const fd of [0, 1023, 1024, 100_000, 1_000_000]) {
      expect(other.userData(fd)).toBe(0n)
      expect(one.reserve(fd)).toBe(true)
      expect(one.claim(fd, 0n, maxMailboxes, Number.MAX_SAFE_INTEGER, Both)).toBe(true)
      expect(other.interest(fd)).toBe(Both)
      // A claim that knows nothing of this one comes too late.
      expect(other.claim(fd, 0n, 1, 1, Interest.Read)).toBe(false)
      expect(other.claim(fd, one.userData(fd), 1, 1, Interest.Read)).toBe(true)
      one.forget(fd)
      expect([other.userData(fd), other.interest(fd)]).toEqual([0n, 0])
    }
    expect(one.reserve(2 ** 22)).toBe(false)
    expect([one.userData(2 ** 22), one.interest(-1), one.interest(2 ** 31)]).toEqual([0n, 0, 0])
  })
})
