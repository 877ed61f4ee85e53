/**
 * Compiles every example of the documentation as a user's program, runs it, and checks what it
 * prints.
 */
import { afterAll, beforeAll, describe, expect, it } from "@effect/vitest"
import { execFile, spawnSync } from "node:child_process"
import { mkdirSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { promisify } from "node:util"
import { bundle } from "./support/bundle.ts"
import { documentedExamples } from "./support/documentation.ts"

// Inside the project, where the package can be imported by its own name.
const directory = ".documentation"
const examples = ["src/**/*.ts", "README.md", "docs/*.md"].flatMap((pattern) => documentedExamples(pattern))
const fileOf = (index: number) => join(directory, `example${index}.ts`)
const bundleOf = (index: number) => join(directory, "bundled", directory, `example${index}.js`)

beforeAll(async () => {
  rmSync(directory, { recursive: true, force: true })
  mkdirSync(directory)
  examples.forEach(({ code }, index) => writeFileSync(fileOf(index), code))
  writeFileSync(
    join(directory, "tsconfig.json"),
    JSON.stringify({ extends: "../tsconfig.json", include: ["*.ts"], compilerOptions: { noUnusedLocals: false } })
  )
  await bundle(
    examples.map((_, index) => fileOf(index)),
    join(directory, "bundled")
  )
})

afterAll(() => rmSync(directory, { recursive: true, force: true }))

const run = promisify(execFile)

describe("the documentation", () => {
  it("has examples", () => {
    expect(examples.length).toBeGreaterThan(5)
  })

  it("compiles", () => {
    const compiler = join("node_modules", "typescript", "bin", "tsc")
    const result = spawnSync(process.execPath, [compiler, "--project", directory], { encoding: "utf8" })
    expect(result.stdout.replaceAll(/example(\d+)\.ts/g, (_, index) => examples[Number(index)]!.source)).toBe("")
  })

  // The others run where there is what they need: test/examples.
  const runnable = examples.map(({ needs, source }, index) => [source, index, needs] as const)
  it.concurrent.each(runnable.filter(([, , needs]) => needs === undefined))("runs %s", async (_, index) => {
    const { stdout } = await run(process.execPath, [bundleOf(index)])
    expect(stdout.trimEnd().split("\n")).toEqual(examples[index]!.prints.length === 0 ? [""] : examples[index]!.prints)
  })
})
