/** The example of libcurl, against the real library. */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { runExample } from "../support/example.ts"
import { hasLibrary, nameWith } from "../support/libraries.ts"

const isThere = hasLibrary("libcurl.so.4")

describe.skipIf(!isThere)(`${nameWith("examples/curl.ts", isThere, "libcurl4")}`, () => {
  it.live("the example of libcurl makes transfers at once, and ends one that is interrupted", () =>
    Effect.gen(function* () {
      const { stdout, ...rest } = yield* runExample("curl")
      expect(rest).toEqual({ code: 0, signal: null, stderr: "" })
      expect(stdout.split("\n")).toEqual([
        "20 transfers at once, 10500000 bytes",
        "no reply: None",
        "refused: Couldn't connect to server",
        ""
      ])
    })
  )
})
