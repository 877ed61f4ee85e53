/** Every example in the documentation is compiled as a user's program would be, run, and prints what it says. */
import { afterAll, beforeAll, describe, expect, it } from "@effect/vitest"
import { execFileSync, spawnSync } from "node:child_process"
import { mkdirSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { documentedExamples } from "./support/documentation.ts"

// Inside the project, for there its own name is known.
const directory = ".documentation"
const examples = ["src/**/*.ts", "README.md", "docs/*.md"].flatMap((pattern) => documentedExamples(pattern))
const fileOf = (index: number) => join(directory, `example${index}.ts`)

beforeAll(() => {
  rmSync(directory, { recursive: true, force: true })
  mkdirSync(directory)
  examples.forEach(({ code }, index) => writeFileSync(fileOf(index), code))
  writeFileSync(
    join(directory, "tsconfig.json"),
    JSON.stringify({ extends: "../tsconfig.json", include: ["*.ts"], compilerOptions: { noUnusedLocals: false } })
  )
})

afterAll(() => rmSync(directory, { recursive: true, force: true }))

describe("the documentation", () => {
  it("has examples", () => {
    expect(examples.length).toBeGreaterThan(5)
  })

  it("compiles", () => {
    const compiler = join("node_modules", "typescript", "bin", "tsc")
    const result = spawnSync(process.execPath, [compiler, "--project", directory], { encoding: "utf8" })
    expect(result.stdout.replaceAll(/example(\d+)\.ts/g, (_, index) => examples[Number(index)]!.source)).toBe("")
  })

  it.each(examples.map((example, index) => [example.source, index] as const))("runs %s", (_, index) => {
    const output = execFileSync(process.execPath, ["--conditions=effect-amy-source", fileOf(index)], {
      encoding: "utf8",
      timeout: 20_000
    })
    expect(output.trimEnd().split("\n")).toEqual(examples[index]!.prints.length === 0 ? [""] : examples[index]!.prints)
  })
})
