/** How long the polling thread looks for a reply before it blocks in the kernel. */
import { describe, expect, it } from "@effect/vitest"
import { Lingering } from "../../src/internal/shared/lingering.ts"

/** Looks in vain until it is not worth it any more. Returns how often it looked. */
const lookInVain = (lingering: Lingering): number => {
  let looks = 0
  while (lingering.isWorthIt(0, false)) looks++
  return looks
}

describe("after it has notified a thread that had nothing left to consume, the polling thread", () => {
  it("goes on looking for a while, and then blocks", () => {
    const lingering = new Lingering(2)
    expect(lingering.isWorthIt(1, true)).toBe(true)
    // It ends by itself.
    lookInVain(lingering)
    expect(lingering.isWorthIt(0, false)).toBe(false)
  })

  it("goes on for each reply that comes meanwhile", () => {
    const lingering = new Lingering(2)
    for (let reply = 0; reply < 1000; reply++) expect(lingering.isWorthIt(1, true)).toBe(true)
  })

  it("blocks at once for the next 63 notifications if no reply came", () => {
    const lingering = new Lingering(2)
    lingering.isWorthIt(1, true)
    lookInVain(lingering)
    const tries = Array.from({ length: 64 }, () => lingering.isWorthIt(1, true))
    expect(tries).toEqual([...Array.from({ length: 63 }, () => false), true])
  })

  it("blocks at once where all threads share one core", () => {
    const lingering = new Lingering(1)
    expect(lingering.isWorthIt(1, true)).toBe(false)
    expect(lingering.isWorthIt(0, false)).toBe(false)
  })
})

describe("the polling thread blocks at once", () => {
  it("if the thread that it has notified still had something to consume", () => {
    const lingering = new Lingering(2)
    lingering.isWorthIt(1, true)
    expect(lingering.isWorthIt(1, false)).toBe(false)
    expect(lingering.isWorthIt(0, false)).toBe(false)
  })

  it("if nothing was reported", () => {
    expect(new Lingering(2).isWorthIt(0, false)).toBe(false)
  })
})
