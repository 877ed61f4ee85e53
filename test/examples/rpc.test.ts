/** Runs the example of RPC, and checks what it prints. */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { runExample } from "../support/example.ts"

describe("examples/rpc.ts", () => {
  it.live(
    "the example replies, fails with the error of its schema, streams until the client has enough, and closes",
    () =>
      Effect.gen(function* () {
        const { stdout, ...rest } = yield* runExample("rpc")
        expect(rest).toEqual({ code: 0, signal: null, stderr: "" })
        expect(stdout.replace(/:\d+$/m, ":(port)").split("\n")).toEqual([
          "the server listens on 127.0.0.1:(port)",
          "360 = 2 * 2 * 2 * 3 * 3 * 5",
          "1 has no prime factors: it is less than 2",
          "the first five primes from 1000 on: 1009, 1013, 1019, 1021, 1031",
          "the server has stopped searching",
          "both are closed",
          ""
        ])
      })
  )
})
