/** What the package declares for a user's compiler. */
import { afterAll, beforeAll, describe, expect, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import { globSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const directory = mkdtempSync(join(tmpdir(), "effect-amy-declarations-"))

beforeAll(() => {
  const compiler = join("node_modules", "typescript", "bin", "tsc")
  const options = ["--project", "tsconfig.build.json", "--emitDeclarationOnly", "--declarationMap", "false"]
  execFileSync(process.execPath, [compiler, ...options, "--outDir", directory])
})

afterAll(() => rmSync(directory, { recursive: true }))

/** The declarations of the public modules. */
const declarations = () =>
  globSync(["*.d.ts", "*/*.d.ts"], { cwd: directory })
    .filter((file) => !file.startsWith("internal"))
    .map((file) => ({ file, text: readFileSync(join(directory, file), "utf8") }))

describe("the public declarations", () => {
  it("mention no internal file", () => {
    expect(declarations().length).toBeGreaterThan(20)
    expect(
      declarations()
        .filter(({ text }) => /["'][./]*\/internal\//.test(text))
        .map(({ file }) => file)
    ).toEqual([])
  })

  it("load the types of Node themselves, where they use them", () => {
    const using = declarations().filter(({ text }) => /^(import|export) .*"node:/m.test(text))
    expect(using.map(({ file }) => file)).toContain("PollChannel.d.ts")
    expect(using.filter(({ text }) => !text.includes('/// <reference types="node"')).map(({ file }) => file)).toEqual(
      []
    )
  })
})
