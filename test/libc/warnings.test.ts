/** Node's warnings: the library causes none, whichever of them Node is asked to show. */
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { runProgram } from "../support/programs.ts"

it.live("no layer uses what Node deprecates, and the warnings of a program are shown", () =>
  Effect.gen(function* () {
    const { code, errors, output } = yield* runProgram("warnings", [], undefined, [
      "--pending-deprecation",
      "--throw-deprecation"
    ])
    expect({ code, output }).toEqual({
      code: 0,
      output: [...Array.from({ length: 4 }, () => "Warning: from the program"), "ready"]
    })
    expect(errors).not.toContain("_tickCallback")
  })
)
