/** On Windows, the checks that need no Vitest, in a process of their own. */
import { expect, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { fileURLToPath } from "node:url"

const build = fileURLToPath(new URL("build.ts", import.meta.url))
const root = fileURLToPath(new URL("../../node_modules/.cache", import.meta.url))

const run = (...args: ReadonlyArray<string>) => spawnSync(process.execPath, args, { encoding: "utf8" })

it.skipIf(process.platform !== "win32")("the behaviours hold on the sockets of Windows", { timeout: 600_000 }, () => {
  // Where koffi is found.
  const folder = mkdtempSync(`${root}/windows-`)
  try {
    const output = `${folder}/checks.mjs`
    const built = run("--conditions=effect-amy-source", build, output)
    expect(built.stderr + built.stdout).toBe("")
    const { status, stdout } = run(output)
    expect(stdout).toMatch(/^\d+ passed, 0 failed, 0 skipped\n$/)
    expect(status).toBe(0)
  } finally {
    rmSync(folder, { recursive: true })
  }
})
