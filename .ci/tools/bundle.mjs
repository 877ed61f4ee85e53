// Bundles layers.mjs of the given application with every bundler, moves the result to where nothing but koffi is
// installed, and runs it there. docs/bundling.md says what each bundler needs.
import nodeResolve from "@rollup/plugin-node-resolve"
import { build as esbuild } from "esbuild"
import { rolldown } from "rolldown"
import { rollup } from "rollup"
import { build as vite } from "vite"
import webpack from "webpack"
import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { promisify } from "node:util"

const app = resolve(process.argv[2])
const input = join(app, "layers.mjs")
const directory = mkdtempSync(join(tmpdir(), "bundles-"))

const withEsbuild = (format) => (outfile) =>
  esbuild({ entryPoints: [input], bundle: true, platform: "node", format, outfile, logLevel: "error" })

const quiet = { onLog: () => {} }

const withRollup = (format) => async (file) => {
  const build = await rollup({ input, plugins: [nodeResolve()], ...quiet })
  await build.write({ file, format })
}

const withRolldown = (format) => async (file) => {
  const build = await rolldown({ input, platform: "node", ...quiet })
  await build.write({ file, format })
}

const withVite = (_file, folder) =>
  vite({
    root: app,
    logLevel: "error",
    ssr: { noExternal: true },
    build: { ssr: input, outDir: folder, rollupOptions: { output: { entryFileNames: "bundle.mjs" } } }
  })

const withWebpack = (options) => async (_file, path) => {
  const { output, ...others } = options
  const configuration = { mode: "production", target: "node", entry: input, output: { path, ...output }, ...others }
  const stats = await promisify(webpack)(configuration)
  const { errors, warnings } = stats.toJson({ all: false, errors: true, warnings: true })
  assert.deepEqual([...errors, ...warnings], [])
}

const webpackModule = {
  experiments: { outputModule: true },
  output: { filename: "bundle.mjs", module: true, chunkFormat: "module" }
}

const bundles = {
  "esbuild (esm)": ["bundle.mjs", withEsbuild("esm")],
  "esbuild (cjs)": ["bundle.cjs", withEsbuild("cjs")],
  "rollup (es)": ["bundle.mjs", withRollup("es")],
  "rollup (cjs)": ["bundle.cjs", withRollup("cjs")],
  "rolldown (es)": ["bundle.mjs", withRolldown("es")],
  "rolldown (cjs)": ["bundle.cjs", withRolldown("cjs")],
  "vite (ssr)": ["bundle.mjs", withVite],
  "webpack (commonjs)": ["bundle.cjs", withWebpack({ output: { filename: "bundle.cjs" } })],
  "webpack (module)": ["bundle.mjs", withWebpack(webpackModule)]
}

/** Puts koffi beside a program, and nothing else. */
const installKoffi = (folder) => {
  for (const name of ["koffi", "@koromix"]) {
    cpSync(join(app, "node_modules", name), join(folder, "node_modules", name), { recursive: true })
  }
}

const run = (name, command, args, layers) => {
  const output = execFileSync(command, args, { cwd: "/", encoding: "utf8", timeout: 60_000 })
  assert.equal(output, layers.map((layer) => `${layer} hello\n`).join(""))
  console.log(`${name}: ${layers.length} layers work`)
}

const layers = ["layerWorker", "layerEventLoop", "layerBlocking"]

for (const [name, [file, bundle]] of Object.entries(bundles)) {
  const folder = join(directory, name.replaceAll(/\W+/g, "-"))
  mkdirSync(folder)
  await bundle(join(folder, file), folder)
  installKoffi(folder)
  run(name, process.execPath, [join(folder, file)], [...layers, "layerAttach"])
}

if (Number(process.versions.node.split(".")[0]) >= 26) {
  const folder = join(directory, "executable")
  mkdirSync(folder)
  await withEsbuild("cjs")(join(folder, "bundle.cjs"))
  const configuration = { main: "bundle.cjs", output: "program", disableExperimentalSEAWarning: true }
  writeFileSync(join(folder, "sea.json"), JSON.stringify(configuration))
  execFileSync(process.execPath, ["--build-sea", "sea.json"], { cwd: folder })
  rmSync(join(folder, "bundle.cjs"))
  installKoffi(folder)
  run("a single executable", join(folder, "program"), [], layers)
}

rmSync(directory, { recursive: true })
