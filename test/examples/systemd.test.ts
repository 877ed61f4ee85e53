/** The documentation's programs for libsystemd: sd-event, and sd-bus on a bus of the test's own. */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { execFile } from "node:child_process"
import { existsSync } from "node:fs"
import { promisify } from "node:util"
import { documentedExamples } from "../support/documentation.ts"
import { hasLibrary, nameWith } from "../support/libraries.ts"

const bus = "/usr/bin/dbus-run-session"
const isThere = hasLibrary("libsystemd.so.0") && existsSync(bus)

const documented = ["README.md", "docs/*.md"]
  .flatMap(documentedExamples)
  .filter(({ needs }) => needs === "dbus" || needs === "systemd")

describe.skipIf(!isThere)(`${nameWith("libsystemd", isThere, "libsystemd0 dbus")}`, () => {
  it("has programs", () => expect(documented.map(({ needs }) => needs).toSorted()).toEqual(["dbus", "systemd"]))

  for (const { code, needs, prints, source } of documented) {
    it.live(`the documentation runs ${source}`, () =>
      Effect.gen(function* () {
        const program = ["--conditions=effect-amy-source", "--input-type=module-typescript", "--eval", code]
        const command = needs === "dbus" ? [bus, "--", process.execPath] : [process.execPath]
        const [file, ...options] = [...command, ...program]
        const { stdout } = yield* Effect.promise(() => promisify(execFile)(file!, options))
        expect(stdout.trimEnd().split("\n")).toEqual(prints)
      })
    )
  }
})
