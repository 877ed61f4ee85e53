/** What works under `node --permission`, what it needs, and what is said if that is missing. */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { isLong } from "../support/long.ts"
import { runProgram } from "../support/programs.ts"

/** The warnings say that native code and threads can get round the permissions. */
const permission = ["--permission", "--no-warnings"]
const readProject = `--allow-fs-read=${fileURLToPath(new URL("../..", import.meta.url))}`
const needed = [...permission, readProject, "--allow-addons", "--allow-worker"]

/** A path at which a process with these options may neither read nor write. */
const forbiddenPath = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "permission-"))),
    (directory) => Effect.sync(() => rmSync(directory, { recursive: true }))
  ),
  (directory) => join(directory, "socket")
)

const run = (args: ReadonlyArray<string>, options: ReadonlyArray<string>) =>
  Effect.map(runProgram("permission", args, undefined, options), ({ code, errors, output }) => ({
    code,
    errors,
    output
  }))

/** Node 22 cannot drop a permission. */
const canDrop = Number.parseInt(process.versions.node) >= 24

describe.concurrent("under node --permission, without /proc", () => {
  for (const layer of ["layerWorker", "layerEventLoop", "layerBlocking"]) {
    // Each takes more than a second.
    for (const dropped of isLong || layer === "layerWorker" ? [undefined, "fs.read"] : []) {
      const when = dropped === undefined ? "" : `, also once ${dropped} is dropped`
      it.live.skipIf(dropped !== undefined && !canDrop)(
        `threads attach and end, and nothing is left open (${layer}${when})`,
        () =>
          Effect.gen(function* () {
            const path = yield* forbiddenPath
            const options = dropped === undefined ? needed : [...needed, `--allow-${dropped.replace(".", "-")}=*`]
            const ended = yield* run(["use", layer, path, ...(dropped === undefined ? [] : [dropped])], options)
            expect(ended).toEqual({
              code: 0,
              errors: "",
              output: ["listened twice", "attached and terminated", "ready"]
            })
            expect(existsSync(path)).toBe(false)
          })
      )
    }
  }
})

describe.concurrent("node --permission", () => {
  it.live("without --allow-addons makes each layer fail with the option that is missing", () =>
    Effect.gen(function* () {
      const sentence =
        "dlopen: ERR_DLOPEN_DISABLED, node --permission forbids native code (start node with --allow-addons, and for layerWorker with --allow-worker)"
      expect(yield* run(["open", "layerWorker", "/dev/null"], [...permission, readProject])).toEqual({
        code: 0,
        errors: "",
        output: [sentence, sentence, "ready"]
      })
    })
  )

  it.live("without --allow-worker makes layerWorker alone fail, and Fd.open needs --allow-fs-read", () =>
    Effect.gen(function* () {
      const options = [...permission, readProject, "--allow-addons"]
      expect(yield* run(["open", "layerWorker", "/dev/null"], options)).toEqual({
        code: 0,
        errors: "",
        output: [
          "new Worker: ERR_ACCESS_DENIED, node --permission forbids it (start node with --allow-worker)",
          'open("/dev/null"): ERR_ACCESS_DENIED, node --permission forbids it (start node with --allow-fs-read=/dev/null)',
          "ready"
        ]
      })
    })
  )

  it.live("is not named where --no-addons forbids native code", () =>
    Effect.gen(function* () {
      const sentence = "dlopen: ERR_DLOPEN_DISABLED, node --no-addons forbids native code (start node without it)"
      expect(yield* run(["open", "layerEventLoop", "/dev/null"], ["--no-addons"])).toEqual({
        code: 0,
        errors: "",
        output: [sentence, sentence, "ready"]
      })
    })
  )
})
