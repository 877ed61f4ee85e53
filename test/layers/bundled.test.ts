/** A program that is bundled with the library runs on every layer, far from the files of both. */
import { afterAll, beforeAll, describe, expect, it } from "@effect/vitest"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { text } from "node:stream/consumers"
import { rolldown } from "rolldown"
import { threadModule } from "../../build/threadModule.ts"

const root = realpathSync(".")
const directory = mkdtempSync(join(tmpdir(), "effect-amy-bundled-"))
const koffi = createRequire(import.meta.url).resolve("koffi")
const everyLayer = ["layerWorker", "layerEventLoop", "layerBlocking", "layerAttach"].map((layer) => `${layer} hello\n`)

let thread: string

beforeAll(async () => {
  thread = await threadModule(join(root, "src/internal/shared/pollingThread.ts"))
  mkdirSync(join(directory, "installed", "node_modules"), { recursive: true })
  symlinkSync(join(root, "node_modules", "koffi"), join(directory, "installed", "node_modules", "koffi"))
})

afterAll(() => rmSync(directory, { recursive: true }))

/** What stands in place of the module that `npm run build` replaces. */
const embedThread = {
  name: "embed-thread",
  load: (id: string) => (id.endsWith("/layers/threadProgram.ts") ? thread : undefined)
}

/** Bundles the program that .ci/package runs. `url` is what the bundler makes of `import.meta.url`. */
const bundle = async (file: string, format: "es" | "cjs", url?: string, plugins = [embedThread]): Promise<string> => {
  const build = await rolldown({
    cwd: root,
    input: "./.ci/app/layers.mjs",
    platform: "node",
    resolve: { alias: { "effect-amy/net": join(root, "src/net"), "effect-amy": join(root, "src/index.ts") } },
    ...(url === undefined ? {} : { transform: { define: { "import.meta.url": url } } }),
    plugins
  })
  await build.write({ file, format })
  await build.close()
  return file
}

const run = async (args: ReadonlyArray<string>, cwd = directory) => {
  const child = spawn(process.execPath, args, { cwd, stdio: ["ignore", "pipe", "pipe"] })
  const [output, errors] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "close")])
  return { output, errors }
}

const complete = { output: everyLayer.join(""), errors: "" }

describe("a bundle beside koffi runs on every layer", () => {
  it("as an ES module", async () => {
    expect(await run([await bundle(join(directory, "installed", "a.mjs"), "es")])).toEqual(complete)
  })

  it("as a CommonJS module, in which import.meta is empty", async () => {
    expect(await run([await bundle(join(directory, "installed", "a.cjs"), "cjs", "undefined")])).toEqual(complete)
  })

  it.each(["es", "cjs"] as const)("with the URL of the machine that bundled it (%s)", async (format) => {
    const file = join(directory, "installed", format === "es" ? "b.mjs" : "b.cjs")
    expect(await run([await bundle(file, format, '"file:///builder/places.js"')])).toEqual(complete)
  })
})

describe("a bundle", () => {
  it("says what to install where there is no koffi", async () => {
    const { errors, output } = await run([await bundle(join(directory, "alone.mjs"), "es")])
    expect(output).toBe("")
    expect(errors).toContain("koffi was not found (install it beside the program")
  })

  it("starts its polling thread with the hooks that the process finds koffi by, such as Yarn's", async () => {
    // A koffi that is found by a hook, and finds the rest of itself by the hook as well.
    const hook = join(directory, "hook.cjs")
    writeFileSync(join(directory, "zipped.cjs"), 'module.exports = require("only-the-hook-knows")')
    writeFileSync(
      hook,
      `const paths = { koffi: ${JSON.stringify(join(directory, "zipped.cjs"))}, "only-the-hook-knows": ${JSON.stringify(koffi)} }
      const { Module } = require("node:module")
      const resolve = Module._resolveFilename
      Module._resolveFilename = (name, ...rest) => paths[name] ?? resolve(name, ...rest)`
    )
    const file = await bundle(join(directory, "hooked.mjs"), "es")
    expect(await run(["--require", hook, file])).toEqual(complete)
    expect(await run([`--import=${hook}`, file])).toEqual(complete)
  })

  it("of the sources finds the file of the polling thread in the package", async () => {
    const file = await bundle(join(directory, "installed", "sources.mjs"), "es", undefined, [])
    expect(await run([file], root)).toEqual(complete)
  })
})
