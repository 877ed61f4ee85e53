/**
 * The rooms of src/internal: arrows run downwards only, and what holds that works.
 * docs/architecture.md has the reasons.
 */
import { describe, expect, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { copyFileSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join, normalize } from "node:path"
import { fileURLToPath } from "node:url"

const oxlint = fileURLToPath(new URL("../node_modules/oxlint/bin/oxlint", import.meta.url))
const configuration = fileURLToPath(new URL("../.oxlintrc.json", import.meta.url))

/** From the ground up. */
const rooms = [
  "libc",
  "kernel",
  "shared",
  "errors",
  "objects",
  "delivery",
  "descriptor",
  "foreign",
  "bytes",
  "channel",
  "net",
  "effectSocket",
  "system",
  "layers"
]

/** Lints a project that has just this file, and returns what the linter printed. */
const lint = (file: string, text: string): string => {
  const root = mkdtempSync(join(tmpdir(), "layout-"))
  try {
    copyFileSync(configuration, join(root, ".oxlintrc.json"))
    mkdirSync(join(root, dirname(file)), { recursive: true })
    writeFileSync(join(root, file), text)
    return spawnSync(process.execPath, [oxlint, "--deny-warnings"], { cwd: root, encoding: "utf8" }).stdout
  } finally {
    rmSync(root, { recursive: true })
  }
}

/** The files that a file imports. */
const importsOf = (file: string): ReadonlyArray<string> =>
  Array.from(readFileSync(file, "utf8").matchAll(/from "(\.[^"]+)"/g), ([, target]) =>
    normalize(join(dirname(file), target!))
  )

describe("npm run lint", () => {
  it("passes a file that imports from rooms below its own", () => {
    const text =
      'import { libc } from "../libc/koffi.ts"\nimport * as Effect from "effect/Effect"\nexport const a = [libc, Effect]\n'
    expect(lint("src/internal/delivery/a.ts", text)).toContain("0 warnings and 0 errors")
  })

  it("fails on a global timer or clock, which a test may have replaced", () => {
    const text = "setImmediate(() => {})\nexport const a = [performance.now(), Date.now(), process.hrtime()]\n"
    expect(lint("src/internal/delivery/a.ts", text)).toContain("4 errors")
    expect(lint("src/Poller.ts", "export const a = setTimeout\n")).toContain("libc/realTime.ts has the real one")
  })

  it("fails on an instanceof that a value of another realm would not pass", () => {
    const names = ["Uint8Array", "ArrayBuffer", "Error", "RangeError", "Map", "Promise"]
    const text = `export const a = (u: unknown) => [${names.map((name) => `u instanceof ${name}`).join()}]\n`
    expect(lint("src/internal/delivery/a.ts", text)).toContain("6 errors")
  })

  it("fails on an arrow upwards, whichever two rooms it joins", () => {
    // Each room with the next one above it.
    for (const [index, above] of rooms.slice(1).entries()) {
      const text = `import { b } from "../${above}/b.ts"\nexport const a = b\n`
      expect(lint(`src/internal/${rooms[index]!}/a.ts`, text), `${rooms[index]!} → ${above}`).toContain(
        "an arrow upwards"
      )
    }
    expect(
      lint("src/internal/libc/profiles/a.ts", 'import { b } from "../../layers/b.ts"\nexport const a = b\n')
    ).toContain("an arrow upwards")
  })

  it("fails on a type that is imported upwards", () => {
    const text = 'import type { B } from "../net/b.ts"\nexport const a: B = 1\n'
    expect(lint("src/internal/bytes/a.ts", text)).toContain("an arrow upwards")
  })

  it("fails on an import of koffi outside libc", () => {
    const text = 'import koffi from "koffi"\nexport const a = koffi\n'
    for (const file of ["src/internal/kernel/a.ts", "src/internal/layers/a.ts", "src/A.ts", "src/net/A.ts"]) {
      expect(lint(file, text), file).toContain("only libc imports koffi")
    }
    expect(lint("src/internal/libc/a.ts", text)).toContain("0 warnings and 0 errors")
  })

  it("fails on an import of effect in libc, kernel or shared", () => {
    for (const room of ["libc", "kernel", "shared"]) {
      const text = 'import type * as Effect from "effect/Effect"\nexport type A = Effect.Effect<void>\n'
      expect(lint(`src/internal/${room}/a.ts`, text), room).toContain("imports nothing of effect")
    }
  })

  it("fails on a value that an internal file imports of a public module, and passes a type", () => {
    expect(lint("src/internal/net/a.ts", 'import { b } from "../../Fd.ts"\nexport const a = b\n')).toContain(
      "of public modules"
    )
    expect(lint("src/internal/net/a.ts", 'import type { B } from "../../Fd.ts"\nexport const a: B = 1\n')).toContain(
      "0 errors"
    )
  })
})

describe("src/internal", () => {
  const files = globSync("src/internal/**/*.ts")

  it("has the rooms that the linter knows, and no other", () => {
    expect(new Set(files.map((file) => file.split("/")[2]!))).toEqual(new Set([...rooms, "codecs", "testing"]))
  })

  it("imports no node:process, which opens the standard streams and makes pipes there non-blocking", () => {
    const importing = globSync("src/**/*.ts").filter((file) =>
      /from "(node:)?process"/.test(readFileSync(file, "utf8"))
    )
    expect(importing).toEqual([])
  })

  it("has no cycle, types included", () => {
    const done = new Set<string>()
    const path: Array<string> = []
    const visit = (file: string): void => {
      if (done.has(file)) return
      if (path.includes(file)) expect.fail([...path.slice(path.indexOf(file)), file].join(" → "))
      path.push(file)
      importsOf(file)
        .filter((target) => target.startsWith("src/internal/"))
        .forEach(visit)
      path.pop()
      done.add(file)
    }
    files.forEach(visit)
    expect(done.size).toBe(files.length)
  })
})

describe("docs/architecture.md", () => {
  const page = readFileSync("docs/architecture.md", "utf8")

  it("names the rooms in their order", () => {
    const listed = Array.from(page.matchAll(/^\| `([a-zA-Z]+)` +\|/gm), ([, room]) => room)
    expect(listed).toEqual(rooms.toReversed())
  })

  it("names files that exist, and functions that are in them", () => {
    const hops = Array.from(page.matchAll(/`([\w/]+\.ts)`: ((?:`[\w.]+`(?:, then )?)+)/g))
    expect(hops.length).toBeGreaterThan(30)
    for (const [, file, functions] of hops) {
      const text = readFileSync(file!.startsWith("src/") ? file! : `src/internal/${file!}`, "utf8")
      for (const [, name] of functions!.matchAll(/`([\w.]+)`/g)) expect(text, `${file!}: ${name!}`).toContain(name!)
    }
  })
})
