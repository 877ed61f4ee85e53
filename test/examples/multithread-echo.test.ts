/** Runs the main example as a user does, in a process of its own. */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { randomBytes } from "node:crypto"
import { once } from "node:events"
import { connect } from "node:net"
import { type Example, runExample, startExample } from "../support/example.ts"

const start = (...args: ReadonlyArray<string>) => startExample("multithread-echo", ...args)
const run = (...args: ReadonlyArray<string>) => runExample("multithread-echo", ...args)

/** Returns the port of the server, once the server has printed it. */
const portOf = ({ child, output }: Example) =>
  Effect.promise(async () => {
    for (;;) {
      const port = /^listening on 127\.0\.0\.1:(\d+)/.exec(output.stdout)?.[1]
      if (port !== undefined) return Number(port)
      await once(child.stdout, "data")
    }
  })

/** Sends bytes, and returns as many bytes once they come back. */
const echo = (socket: ReturnType<typeof connect>, bytes: Buffer): Effect.Effect<Buffer> =>
  Effect.callback((resume) => {
    const chunks: Array<Buffer> = []
    let length = 0
    socket.on("data", (chunk: Buffer) => {
      chunks.push(chunk)
      length += chunk.length
      if (length >= bytes.length) resume(Effect.succeed(Buffer.concat(chunks)))
    })
    socket.write(bytes)
  })

describe("examples/multithread-echo.ts", () => {
  it.live(
    "the example loses nothing, leaves no descriptor open, and prints the table",
    () =>
      Effect.gen(function* () {
        const { code, stderr, stdout } = yield* run("--seconds", "1", "--clients", "50", "--workers", "3")
        expect(stderr).toBe("")
        expect(stdout).toMatch(/^50 clients for 1 s, 3 worker threads, one polling thread$/m)
        expect(stdout).toMatch(/^connections +50$/m)
        expect(stdout).toMatch(/^echoes +[1-9][\d,]*$/m)
        expect(stdout).toMatch(/^bytes echoed +[1-9][\d.]* MiB$/m)
        expect(stdout).toMatch(/^notifications +[1-9][\d,]*$/m)
        expect(stdout).toMatch(/^descriptors before +\d+\ndescriptors after +\d+$/m)
        // The server deals out the connections in turns.
        expect(stdout).toMatch(/^worker 1 +17 .*\nworker 2 +17 .*\nworker 3 +16 /m)
        for (const kind of ["small", "large", "slow"]) {
          expect(stdout).toMatch(new RegExp(`^${kind} +\\d+ +[1-9][\\d,]* +[\\d.]+ ms +[\\d.]+ ms$`, "m"))
        }
        expect(stdout).toMatch(/^nothing was lost, and every descriptor was closed$/m)
        expect(code).toBe(0)
      }),
    180_000
  )

  it.live(
    "with --serve it serves until SIGINT, then closes everything and exits",
    () =>
      Effect.gen(function* () {
        const running = yield* start("--serve", "--workers", "2")
        const port = yield* portOf(running)
        const sockets = [connect(port, "127.0.0.1"), connect(port, "127.0.0.1")]
        for (const socket of sockets) {
          const bytes = randomBytes(1024 * 1024)
          expect((yield* echo(socket, bytes)).equals(bytes)).toBe(true)
        }
        // Both clients are still connected, so the server closes their connections.
        const ended = sockets.map((socket) => once(socket, "close"))
        running.child.kill("SIGINT")
        expect(yield* Effect.promise(() => Promise.all(ended))).toEqual([[false], [false]])
        expect(yield* running.exit).toEqual([130, null])
        expect(running.output.stdout).toMatch(/\neverything is closed\n$/)
        expect(running.output.stderr).toBe("")
      }).pipe(Effect.scoped),
    180_000
  )

  it.live("--help explains every option", () =>
    Effect.gen(function* () {
      const { code, stderr, stdout } = yield* run("--help")
      for (const option of ["--workers", "--port", "--clients", "--seconds", "--serve", "--help"]) {
        expect(stdout).toMatch(new RegExp(`^  ${option} `, "m"))
      }
      expect(stderr).toBe("")
      expect(code).toBe(0)
    })
  )

  for (const [args, sentence] of [
    [["--colour"], "Unknown option '--colour' (see --help)"],
    [["--clients", "many"], '--clients is "many": give a whole number from 1 to 5000'],
    [["--workers", "0"], '--workers is "0": give a whole number from 1 to 64'],
    [["--serve", "--seconds", "1"], "--serve runs no clients: leave out --clients and --seconds"]
  ] as const) {
    it.live(`refuses ${args.join(" ")} in one sentence`, () =>
      Effect.gen(function* () {
        expect(yield* run(...args)).toMatchObject({ code: 2, stdout: "", stderr: `${sentence}\n` })
      })
    )
  }
})
