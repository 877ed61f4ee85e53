/** Events, and what poll(2) calls them. */
import { describe, expect, it } from "@effect/vitest"
import { Event } from "effect-amy"

const events = ["Read", "Write", "Both", "None"] as const

describe("a mask of poll(2)", () => {
  it("is the event that it was made from", () => {
    expect(events.map(Event.toPoll)).toEqual([0x1, 0x4, 0x5, 0])
    expect(events.map((event) => Event.fromPoll(Event.toPoll(event)))).toEqual(events)
  })

  it("an error or a hang-up makes ready whatever is asked for, and urgent data is something to read", () => {
    expect([0x8, 0x10, 0x11, 0x2, 0x6].map(Event.fromPoll)).toEqual(["Both", "Both", "Both", "Read", "Both"])
  })
})
