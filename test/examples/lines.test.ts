/** The chat server does what it says: against its scripted clients, and serving others. */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { once } from "node:events"
import { connect as connectTo } from "node:net"
import { type ChatClient, connect } from "../../examples/lines/client.ts"
import { type Example, runExample, startExample } from "../support/example.ts"

const conversation = `what ann said and saw
  * what is your name?
  > ann
  * welcome, ann; you are alone
  * ben has joined
  * cleo has joined
  > a café?
  ben: yes
  ben: when?
  cleo: now
  * ben has left

what ben said and saw
  * what is your name?
  > ben
  * welcome, ben; you are with ann
  * cleo has joined
  ann: a café?
  > yes
  > when?
  cleo: now

what cleo said and saw
  * what is your name?
  > ben
  ! the name ben is taken: try again
  > cleo
  * welcome, cleo; you are with ann, ben
  ann: a café?
  ben: yes
  ben: when?
  > (1000 times the letter o)
  ! that line is longer than 400 bytes; it was not delivered
  > (four bytes, the last two of which are not UTF-8)
  ! that line is not UTF-8 from its byte 3 on; it was not delivered
  > now
  * ben has left
  * ann has left

`

/** The port it listens on, as soon as it says so. */
const portOf = ({ child, output }: Example) =>
  Effect.promise(async () => {
    for (;;) {
      const port = /^listening on 127\.0\.0\.1:(\d+)/.exec(output.stdout)?.[1]
      if (port !== undefined) return Number(port)
      await once(child.stdout, "data")
    }
  })

const join = Effect.fnUntraced(function* (name: string, port: number) {
  const client = yield* connect(name, port)
  yield* client.says(name)
  return client
})

/** Says nothing more, and waits to be closed. */
const ended = (client: ChatClient) => Effect.exit(client.sees("nothing that anybody says"))

describe("examples/lines.ts", () => {
  it.live("prints the conversation as each of the three saw it", () =>
    Effect.gen(function* () {
      expect(yield* runExample("lines")).toEqual({ code: 0, signal: null, stderr: "", stdout: conversation })
    })
  )

  it.live("--serve serves whoever comes, and closes everything at SIGINT", () =>
    Effect.gen(function* () {
      const running = yield* startExample("lines", "--serve")
      const port = yield* portOf(running)
      const ann = yield* join("ann", port)
      yield* ann.sees("* welcome, ann; you are alone")
      const ben = yield* join("ben", port)
      yield* ann.sees("* ben has joined")

      // A last line that nothing ends is a line, and who is done speaking is let go.
      yield* ben.says("", "bye")
      yield* ben.leaves
      yield* ann.sees("ben: bye")
      yield* ann.sees("* ben has left")

      const cleo = yield* join("cleo", port)
      yield* ann.sees("* cleo has joined")
      running.child.kill("SIGINT")
      yield* ended(ann)
      yield* ended(cleo)
      expect(yield* running.exit).toEqual([130, null])
      expect(running.output.stdout).toMatch(/\neverything is closed\n$/)
      expect(running.output.stderr).toBe("")
    }).pipe(Effect.scoped)
  )

  it.live("--serve gives up a person who does not read, and loses nothing of what the others read", () =>
    Effect.gen(function* () {
      const port = yield* portOf(yield* startExample("lines", "--serve"))
      const ann = yield* join("ann", port)
      yield* ann.sees("* welcome, ann; you are alone")
      const cleo = yield* join("cleo", port)
      yield* ann.sees("* cleo has joined")
      const slow = yield* Effect.acquireRelease(
        Effect.sync(() => connectTo(port, "127.0.0.1").on("error", () => {})),
        (socket) => Effect.sync(() => void socket.destroy())
      )
      // A socket that nobody listens to is not read.
      slow.write("slow\n")
      yield* ann.sees("* slow has joined")

      let said = 0
      while (!ann.transcript.includes("* slow has left")) {
        yield* ann.says("", `${"z".repeat(390)}\n`.repeat(1000))
        said += 1000
        // In step, so that cleo is not a slow one herself.
        yield* ann.says(`${said} lines`)
        yield* cleo.sees(`ann: ${said} lines`)
      }
      expect(cleo.transcript.filter((line) => line === `ann: ${"z".repeat(390)}`).length).toBe(said)
    }).pipe(Effect.scoped)
  )

  it.live("--help explains every option", () =>
    Effect.gen(function* () {
      const { code, stderr, stdout } = yield* runExample("lines", "--help")
      for (const option of ["--port", "--serve", "--help"]) expect(stdout).toMatch(new RegExp(`^  ${option} `, "m"))
      expect([code, stderr]).toEqual([0, ""])
    })
  )

  for (const [args, sentence] of [
    [["--colour"], "Unknown option '--colour' (see --help)"],
    [["--port", "65536"], '--port is "65536": give a whole number from 0 to 65535']
  ] as const) {
    it.live(`refuses ${args.join(" ")} in one sentence`, () =>
      Effect.gen(function* () {
        expect(yield* runExample("lines", ...args)).toMatchObject({ code: 2, stdout: "", stderr: `${sentence}\n` })
      })
    )
  }
})
