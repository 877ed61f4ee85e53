/** Runs the example of a chat server, with its scripted clients and with clients of the tests. */
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

/** Returns the port of the server, once the server has printed it. */
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

/** Waits until the server closes the connection. */
const ended = (client: ChatClient) => Effect.exit(client.sees("nothing that anybody says"))

describe("examples/lines.ts", () => {
  it.live("the example prints the conversation as each of the three clients saw it", () =>
    Effect.gen(function* () {
      expect(yield* runExample("lines")).toEqual({ code: 0, signal: null, stderr: "", stdout: conversation })
    })
  )

  it.live("with --serve the server serves any client, and closes everything at SIGINT", () =>
    Effect.gen(function* () {
      const running = yield* startExample("lines", "--serve")
      const port = yield* portOf(running)
      const ann = yield* join("ann", port)
      yield* ann.sees("* welcome, ann; you are alone")
      const ben = yield* join("ben", port)
      yield* ann.sees("* ben has joined")

      // A last line without an end is a line, too. A client that ends its output is disconnected.
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

  it.live("with --serve the server disconnects a client that does not read, and loses nothing for the others", () =>
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
      // Node does not read a socket without a listener.
      slow.write("slow\n")
      yield* ann.sees("* slow has joined")

      let said = 0
      while (!ann.transcript.includes("* slow has left")) {
        yield* ann.says("", `${"z".repeat(390)}\n`.repeat(1000))
        said += 1000
        // Cleo reads in step, so that she is not too slow herself.
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
