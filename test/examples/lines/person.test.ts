/**
 * Tests the parts of the chat server that depend on chance when it runs: lines for which the kernel
 * has no room.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Result } from "effect"
import { Poller, Tcp } from "effect-amy"
import { longestBacklog, Person } from "../../../examples/lines/person.ts"
import { ChatRoom, type Line } from "../../../examples/lines/room.ts"
import * as Kernel from "../../support/kernel.ts"
import { readyNow } from "../../support/layers.ts"

/** Makes a person and the client's end of the connection. The scope closes both. */
const connected = Effect.gen(function* () {
  const [client, fd] = yield* Effect.acquireRelease(Effect.sync(Kernel.tcpPair), ([client]) =>
    Effect.sync(() => Kernel.close(client))
  )
  return { client, person: new Person(yield* Tcp.fromFd(fd)) }
})

/** Makes a member of the room, and the list of lines that they have seen. */
const somebody = () => {
  const seen: Array<string> = []
  return { seen, say: (line: string) => void seen.push(line) }
}

const lineOf = (index: number): string => `${index}: ${"x".repeat(990)}`

/** Lets the fibers that were notified have their turn. */
const turn = Effect.andThen(readyNow, Effect.yieldNow)

/**
 * Says lines, and lets them be written, until `unsent` bytes are left for which the kernel has no
 * room.
 */
const sayUntilFull = Effect.fnUntraced(function* (person: Person, unsent: number) {
  const said: Array<string> = []
  while (person.unsentBytes < unsent) {
    for (let i = 0; i < 10; i++) {
      said.push(lineOf(said.length))
      person.say(said.at(-1)!)
    }
    yield* turn
  }
  return said
})

describe("a person of examples/lines.ts", () => {
  it.live("the rest is written when there is room, complete and in order, up to the farewell", () =>
    Effect.gen(function* () {
      const { client, person } = yield* connected
      const writing = yield* Effect.forkChild(person.writing)
      const said = yield* sayUntilFull(person, longestBacklog / 2)
      person.say("one more")
      person.farewell()

      let seen = ""
      const expected = [...said, "one more"].map((line) => `${line}\n`).join("")
      while (seen.length < expected.length) {
        const text = Kernel.readText(client)
        seen += text
        if (text === "") yield* turn
      }
      yield* Fiber.join(writing)
      expect([person.unsentBytes, person.isTooSlow]).toEqual([0, false])
      // `toBe` would print a very long difference.
      expect(seen === expected).toBe(true)
    }).pipe(Effect.scoped, Effect.provide(Poller.layerEventLoop()))
  )

  it.live("a person that does not read is disconnected, and nothing more is kept for them", () =>
    Effect.gen(function* () {
      const { person } = yield* connected
      const writing = yield* Effect.forkChild(person.writing)
      yield* sayUntilFull(person, longestBacklog)
      // The writer returns, even though there are bytes left and there was no farewell.
      yield* Fiber.join(writing)
      const kept = person.unsentBytes
      expect(person.isTooSlow).toBe(true)
      expect(kept).toBeGreaterThan(longestBacklog)
      expect(kept).toBeLessThanOrEqual(longestBacklog + 1000)
      person.say("one more")
      expect(person.unsentBytes).toBe(kept)
    }).pipe(Effect.scoped, Effect.provide(Poller.layerEventLoop()))
  )

  it.live("lines are heard however the bytes were cut, a few at a time, up to the end", () =>
    Effect.gen(function* () {
      const { client, person } = yield* connected
      const heard: Array<ReadonlyArray<Line>> = []
      const lines = () => heard.flat().map(Result.getOrThrow)
      const hearing = yield* Effect.forkChild(person.hearing((lines) => Effect.sync(() => void heard.push(lines))))
      const until = (count: number) => Effect.repeat(turn, { until: () => lines().length >= count })

      Kernel.writeText(client, "he")
      yield* turn
      expect(lines()).toEqual([])
      Kernel.writeText(client, "llo\nyou\nwit")
      yield* until(2)
      expect(lines()).toEqual(["hello", "you"])

      Kernel.writeText(client, `hout\n${`${"y".repeat(99)}\n`.repeat(200)}end`)
      Kernel.shutdownWrite(client)
      yield* Fiber.join(hearing)
      expect([lines()[2], lines().length, lines().at(-1)]).toEqual(["without", 204, "end"])
      expect(Math.max(...heard.map((some) => some.length))).toBeLessThanOrEqual(42)
    }).pipe(Effect.scoped, Effect.provide(Poller.layerEventLoop()))
  )
})

describe("the room of examples/lines.ts", () => {
  it("the room refuses invalid names and names that are taken, and removes control characters", () => {
    const room = new ChatRoom()
    const [ann, ben] = [somebody(), somebody()]
    room.hear(ann, Result.succeed(" ann "))
    for (const name of ["", "b b", "\u001b[2J", "ann", "x".repeat(21)]) room.hear(ben, Result.succeed(name))
    room.leave(ben)
    expect(ann.seen).toEqual(["* welcome, ann; you are alone"])
    expect(ben.seen).toEqual([
      ...Array.from({ length: 3 }, () => "! a name is 1 to 20 letters: try again"),
      "! the name ann is taken: try again",
      "! a name is 1 to 20 letters: try again"
    ])
    room.hear(ben, Result.succeed("ben"))
    room.hear(ben, Result.succeed("\u001b[2Jboo"))
    room.leave(ben)
    room.leave(ben)
    expect(ann.seen.slice(1)).toEqual(["* ben has joined", "ben: \u{FFFD}[2Jboo", "* ben has left"])
  })
})
