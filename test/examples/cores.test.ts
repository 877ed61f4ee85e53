/** Runs the example of a server on all cores, and checks what it prints and how it ends. */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { once } from "node:events"
import { type AddressInfo, connect, createServer } from "node:net"
import { availableParallelism } from "node:os"
import { runExample, startExample } from "../support/example.ts"

const threads = availableParallelism()

describe("examples/cores.ts", () => {
  it.live("each thread serves connections of its own, and together they serve all clients", () =>
    Effect.gen(function* () {
      const { stdout, ...rest } = yield* runExample("cores")
      expect(rest).toEqual({ code: 0, signal: null, stderr: "" })
      const served = [...stdout.matchAll(/^thread \d+: (\d+) connections$/gm)].map(([, count]) => Number(count))
      expect(stdout.split("\n")).toEqual([
        `100 clients, ${threads} threads`,
        ...served.map((count, index) => `thread ${index + 1}: ${count} connections`),
        "every reply was right",
        ""
      ])
      expect(served).toHaveLength(threads)
      expect(served.reduce((sum, count) => sum + count, 0)).toBe(100)
      // The kernel deals them out by chance.
      expect(served.filter((count) => count > 0).length).toBeGreaterThan(threads > 1 ? 1 : 0)
    })
  )

  it.live("with a port it serves until it is interrupted, and closes its connections then", () =>
    Effect.gen(function* () {
      const example = yield* startExample("cores", "0")
      yield* Effect.promise(() => once(example.child.stdout, "data"))
      const port = Number(/^listening on 127\.0\.0\.1:(\d+), /.exec(example.output.stdout)![1])
      const client = connect(port, "127.0.0.1")
      client.write("hello")
      const [reply] = yield* Effect.promise(() => once(client, "data"))
      expect(String(reply)).toBe("hello")
      const ended = once(client, "end")
      example.child.kill("SIGINT")
      yield* Effect.promise(() => ended)
      client.destroy()
      expect(yield* example.exit).toEqual([130, null])
      expect(example.output.stderr).toBe("")
    })
  )

  it.live("a thread that cannot listen ends the program with its reason", () =>
    Effect.gen(function* () {
      // Without `reusePort`, so no other socket may listen there.
      const other = createServer().listen(0, "127.0.0.1")
      yield* Effect.promise(() => once(other, "listening"))
      const { port } = other.address() as AddressInfo
      const { code, stderr } = yield* runExample("cores", String(port))
      other.close()
      expect(code).toBe(1)
      expect(stderr).toMatch(/^a thread of the server failed: .*EADDRINUSE.*\n$/)
      expect(stderr).toContain(String(port))
    })
  )

  it.live.each(["abc", "", "1e4", "65536"])("refuses %j as a port", (given) =>
    Effect.gen(function* () {
      const { code, stderr } = yield* runExample("cores", given)
      expect({ code, stderr }).toEqual({
        code: 1,
        stderr: `invalid port ${JSON.stringify(given)}: expected a number from 0 to 65535\n`
      })
    })
  )
})
