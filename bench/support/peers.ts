/** The echo servers in other languages. Each is there if its tool is. */
import { spawnSync } from "node:child_process"
import { copyFileSync, mkdirSync } from "node:fs"
import type { Command } from "./question.ts"

/** Finds a path in bench/. */
type Path = (relative: string) => string

/** Returns the command of a server, or a sentence that says what is missing. */
type Peer = (path: Path) => Command | string

const has = (program: string, ...version: ReadonlyArray<string>): boolean => spawnSync(program, version).status === 0

/**
 * Runs a compiler. Returns why it failed, for example because it cannot load a library, or
 * `undefined`.
 */
const compile = (program: string, cwd: string, ...options: ReadonlyArray<string>): string | undefined => {
  const { status, stderr } = spawnSync(program, options, { cwd })
  if (status === 0) return undefined
  return `${program} ${options[0]} failed, ${String(stderr).trimEnd().split("\n").at(-1)!.trim()}`
}

export const bun: Peer = (path) =>
  has("bun", "--version") ? ["bun", path("baseline/echo.bun.js")] : "no bun: nothing against Bun"

export const go: Peer = (path) => {
  if (!has("go", "version")) return "no go: nothing against Go"
  const program = path(".build/echo-go")
  const failure = compile("go", path("baseline"), "build", "-o", program, "echo.go")
  return failure === undefined ? [program] : `nothing against Go: ${failure}`
}

/** Is built from a copy, because cargo writes beside its sources which versions it has chosen. */
export const tokio: Peer = (path) => {
  if (!has("cargo", "--version")) return "no cargo: nothing against tokio"
  mkdirSync(path(".build/tokio/src"), { recursive: true })
  for (const file of ["Cargo.toml", "src/main.rs"])
    copyFileSync(path(`baseline/tokio/${file}`), path(`.build/tokio/${file}`))
  const failure = compile("cargo", path(".build/tokio"), "build", "--release")
  return failure === undefined ? [path(".build/tokio/target/release/echo")] : `nothing against tokio: ${failure}`
}
