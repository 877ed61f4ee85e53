/**
 * Runs the example of a cluster, and checks what it prints. Its runners share the standard error of
 * the program that starts them. A run ends when no process has that open, so each test also shows
 * that no runner is left.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { runExample, startExample } from "../support/example.ts"

describe("examples/cluster.ts", () => {
  it.live(
    "the example asks the counters of two processes, one process takes over from the other, and none is left behind",
    () =>
      Effect.gen(function* () {
        const { stdout, ...rest } = yield* runExample("cluster")
        expect(rest).toEqual({ code: 0, signal: null, stderr: "" })
        const [processes, ...lines] = stdout.split("\n")
        const [, a, b] = /^runner A is process (\d+), runner B is process (\d+)$/.exec(processes!)!
        expect(a).not.toBe(b)
        expect(lines).toEqual([
          "counter 1: 1, on runner A",
          "counter 1: 2, on runner A",
          "the other: 1, on runner B",
          "the other, called by the first: 2, on runner B",
          "runner A is killed: SIGKILL",
          "counter 1: 1, on runner B",
          "the other: 3, on runner B",
          "runner B leaves: exit code 0",
          "everything is closed",
          ""
        ])
      }),
    180_000
  )

  it.live(
    "a runner leaves when the program that started it is gone, even if no runner can take over",
    () =>
      Effect.gen(function* () {
        // Nothing listens on port 1.
        const { child, exit } = yield* startExample("cluster", "--runner", "1")
        child.stdin.end()
        expect(yield* exit).toEqual([0, null])
      }).pipe(Effect.scoped),
    180_000
  )
})
