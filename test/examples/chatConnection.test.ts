/** The parts of the chat server that depend on chance when it runs: what becomes of lines that the kernel does not take. */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import { ChatConnection, longestBacklog } from "../../examples/support/chatConnection.ts"
import { ChatRoom } from "../../examples/support/chatRoom.ts"
import * as Kernel from "../support/kernel.ts"

/** A connection and the person's end of it; the scope closes both. */
const connected = Effect.acquireRelease(Effect.sync(Kernel.socketPair), ([fd, person]) =>
  Effect.sync(() => {
    for (const each of [fd, person]) if (Kernel.isOpen(each)) Kernel.close(each)
  })
).pipe(Effect.map(([fd, person]) => ({ connection: new ChatConnection(fd), person })))

/** Someone in the room, and what they have seen. */
const somebody = () => {
  const seen: Array<string> = []
  return { seen, say: (line: string) => void seen.push(line) }
}

const lineOf = (index: number): string => `${index}: ${"x".repeat(90)}`

describe("a connection of examples/lines.ts", () => {
  it.live("keeps what could not be written, and writes it when there is room, in order and whole", () =>
    Effect.gen(function* () {
      const { connection, person } = yield* connected
      const said: Array<string> = []
      // Many lines at once, until the kernel takes no more of them, most likely in the middle of one.
      while (connection.unsentBytes === 0) {
        for (let i = 0; i < 100; i++) said.push(lineOf(said.length))
        for (const line of said.slice(-100)) connection.say(line)
        connection.flush()
      }
      expect(connection.wantsFlush).toBe(false)
      said.push("one more")
      connection.say("one more")
      expect(connection.wantsFlush).toBe(false)

      let seen = ""
      for (let text = Kernel.readText(person); text !== ""; text = Kernel.readText(person)) {
        seen += text
        connection.hasRoom()
        if (connection.wantsFlush) connection.flush()
      }
      expect(connection.unsentBytes).toBe(0)
      // Not `toBe`: what it would print of a difference is long.
      expect(seen === said.map((line) => `${line}\n`).join("")).toBe(true)
    }).pipe(Effect.scoped)
  )

  it.live("gives up a person who does not read, and keeps no more for them", () =>
    Effect.gen(function* () {
      const { connection } = yield* connected
      let lines = 0
      for (; !connection.isTooSlow; lines++) {
        connection.say(lineOf(lines))
        if (connection.wantsFlush) connection.flush()
      }
      const kept = connection.unsentBytes
      expect(kept).toBeGreaterThan(longestBacklog)
      expect(kept).toBeLessThanOrEqual(longestBacklog + lineOf(lines).length + 1)
      connection.say("one more")
      expect(connection.unsentBytes).toBe(kept)
    }).pipe(Effect.scoped)
  )

  it.live("reads lines however they were cut, lets others have their turn, and ends", () =>
    Effect.gen(function* () {
      const { connection, person } = yield* connected
      Kernel.writeText(person, "he")
      expect(connection.read()).toEqual({ lines: [], next: "Wait" })
      Kernel.writeText(person, "llo\nyou\nwit")
      expect(connection.read()).toEqual({ lines: ["hello", "you"].map(Result.succeed), next: "Wait" })
      Kernel.writeText(person, `hout\n${`${"y".repeat(99)}\n`.repeat(200)}end`)
      Kernel.shutdownWrite(person)
      let turns = 0
      const lines: Array<string> = []
      for (let next = "Again"; next !== "End"; turns++) {
        const heard = connection.read()
        lines.push(...heard.lines.map(Result.getOrThrow))
        next = heard.next
        expect(next).not.toBe("Wait")
      }
      expect(turns).toBeGreaterThan(1)
      expect([lines[0], lines.length, lines.at(-1), connection.hasEnded]).toEqual(["without", 202, "end", true])
    }).pipe(Effect.scoped)
  )
})

describe("the room of examples/lines.ts", () => {
  it("lets nobody in under a name that is none or somebody else's, and lets no control character through", () => {
    const room = new ChatRoom()
    const [ann, ben] = [somebody(), somebody()]
    room.hear(ann, Result.succeed(" ann "))
    for (const name of ["", "b b", "\u001b[2J", "ann", "x".repeat(21)]) room.hear(ben, Result.succeed(name))
    room.leave(ben)
    expect(ann.seen).toEqual(["* welcome, ann; here is nobody else"])
    expect(ben.seen).toEqual([
      ...Array.from({ length: 3 }, () => "! a name is 1 to 20 letters: try again"),
      "! somebody is called ann already: try again",
      "! a name is 1 to 20 letters: try again"
    ])
    room.hear(ben, Result.succeed("ben"))
    room.hear(ben, Result.succeed("\u001b[2Jboo"))
    room.leave(ben)
    room.leave(ben)
    expect(ann.seen.slice(1)).toEqual(["* ben has joined", "ben: \u{FFFD}[2Jboo", "* ben has left"])
  })
})
