// Compiles a program of the given application that imports every path of the package, without `types` and without
// skipLibCheck. Errors of other packages' declarations are not ours to mend.
import assert from "node:assert/strict"
import { execFile } from "node:child_process"
import { readFileSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { fileURLToPath } from "node:url"

const app = resolve(process.argv[2])
const { exports } = JSON.parse(readFileSync(join(app, "node_modules/effect-amy/package.json"), "utf8"))
const paths = Object.keys(exports).filter((path) => exports[path]?.types !== undefined)
const imports = paths.map((path, index) => `import * as module${index} from "effect-amy${path.slice(1)}"\n`)
const uses = paths.map((_, index) => `module${index}`)
writeFileSync(join(app, "all.mts"), `${imports.join("")}export const all = [${uses.join(", ")}] as const\n`)

const common = ["--noEmit", "--strict", "--target", "es2024", "--lib", "es2024,esnext.disposable"]
const resolutions = {
  nodenext: ["--module", "nodenext", "--moduleResolution", "nodenext"],
  bundler: ["--module", "esnext", "--moduleResolution", "bundler"]
}

const compile = (version, options) =>
  new Promise((done) => {
    const compiler = fileURLToPath(new URL(`node_modules/${version}/bin/tsc`, import.meta.url))
    const args = [compiler, ...common, ...options, "--skipLibCheck", "false", "all.mts"]
    execFile(process.execPath, args, { cwd: app, maxBuffer: 2 ** 26 }, (_error, stdout, stderr) => {
      const errors = stdout.split("\n").filter((line) => line.includes("error TS"))
      // Without a file's name it is about the options, and nothing was compiled.
      const ours = errors.filter((line) => /effect-amy|^all\.mts|^error/.test(line))
      done([...ours, ...stderr.split("\n").filter((line) => line !== "")])
    })
  })

for (const version of ["typescript-5", "typescript-7"]) {
  const names = Object.keys(resolutions)
  const results = await Promise.all(names.map((name) => compile(version, resolutions[name])))
  names.forEach((name, index) => assert.deepEqual(results[index], [], `${version}, ${name}`))
  console.log(`${paths.length} import paths compile with ${version} (${names.join(", ")})`)
}
