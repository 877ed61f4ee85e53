/** The example of c-ares, against the real library. */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { runExample } from "../support/example.ts"
import { hasLibrary, nameWith } from "../support/libraries.ts"

const isThere = hasLibrary("libcares.so.2")

describe.skipIf(!isThere)(`${nameWith("examples/cares.ts", isThere, "libc-ares2")}`, () => {
  it.live("the example of c-ares gets replies, and sees a dead server time out", () =>
    Effect.gen(function* () {
      const { stdout, ...rest } = yield* runExample("cares")
      expect(rest).toEqual({ code: 0, signal: null, stderr: "" })
      expect(stdout.split("\n")).toEqual([
        "the second server replied: [ '192.0.2.7' ]",
        "20 names at once: true",
        "the silent server alone: Timeout while contacting DNS servers",
        ""
      ])
    })
  )
})
