/** The example of ZeroMQ, against the real library. */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { runExample } from "../support/example.ts"
import { hasLibrary, nameWith } from "../support/libraries.ts"

const isThere = hasLibrary("libzmq.so.5")

describe.skipIf(!isThere)(`${nameWith("examples/zeromq.ts", isThere, "libzmq5")}`, () => {
  it.live("the example of ZeroMQ passes messages in both directions", () =>
    Effect.gen(function* () {
      const { stdout, ...rest } = yield* runExample("zeromq")
      expect(rest).toEqual({ code: 0, signal: null, stderr: "" })
      expect(stdout.split("\n")).toEqual([
        "100000 messages in each direction, in order; the sums are 5000050000 and 5000050000",
        ""
      ])
    })
  )
})
