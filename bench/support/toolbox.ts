/** Builds the baselines, and composes commands. */
import { spawnSync } from "node:child_process"
import { mkdirSync, readdirSync } from "node:fs"
import { fileURLToPath } from "node:url"
import * as Peers from "./peers.ts"
import type { Command, Toolbox } from "./question.ts"

const path = (relative: string): string => fileURLToPath(new URL(`../${relative}`, import.meta.url))
const has = (program: string): boolean => spawnSync(program, ["--version"]).status === 0

/** Descriptors that the writer makes ready in B1. */
export const descriptors = 1000

export interface Machine {
  readonly toolbox: Toolbox
  /** Sentences about missing tools. Those that a question lacks are there once it was asked. */
  readonly lacking: ReadonlySet<string>
}

/** Builds the baselines if there is a C compiler, and looks for the other tools. */
export const prepare = (): Machine => {
  // The baselines use epoll, which only Linux has.
  const hasCompiler = process.platform === "linux" && has("cc")
  const hasTaskset = has("taskset")
  const lacking = new Set<string>()
  if (!hasCompiler)
    lacking.add("no C compiler (cc) on Linux: no baseline and no load, so b5, b6 and b11 are not measured")
  if (!hasTaskset) lacking.add("no taskset: nothing is pinned to one CPU")
  if (hasCompiler) build()
  const baseline = (name: string): Command | undefined => (hasCompiler ? [path(`.build/${name}`)] : undefined)
  return {
    toolbox: {
      side: (file, argument = [], nodeOption) => [
        process.execPath,
        "--conditions=effect-amy-source",
        ...(nodeOption === undefined ? [] : [nodeOption]),
        path(`sides/${file}`),
        ...(typeof argument === "string" ? [argument] : argument)
      ],
      baseline,
      written(mode, command) {
        const writer = baseline("writer")
        if (command === undefined || writer === undefined) return mode === "each" ? command : undefined
        return [...writer, mode, String(descriptors), ...command]
      },
      peer(name) {
        // Without the load, which is in C, there is no need to build it.
        if (!hasCompiler) return undefined
        const server = Peers[name](path)
        if (typeof server !== "string") return server
        lacking.add(server)
        return undefined
      },
      loaded({ bytes, connections, outstanding }, server) {
        const load = baseline("load")
        if (server === undefined || load === undefined) return undefined
        return [...load, String(connections), String(bytes), String(outstanding), "--", ...server]
      },
      forbidden(command) {
        const forbid = baseline("forbid")
        if (forbid === undefined) return undefined
        if (spawnSync(forbid[0]!, ["true"]).status === 0) return [...forbid, ...command]
        lacking.add("no seccomp(2): nothing is forbidden")
        return undefined
      },
      compiled: compile,
      pinned: (command) => (hasTaskset && command !== undefined ? ["taskset", "-c", "0", ...command] : undefined)
    },
    lacking
  }
}

/** Compiles the library as `npm run build` does, and returns the path of its main module. */
const compile = (): string => {
  const target = path(".build/dist")
  const compiler = path("../node_modules/typescript/bin/tsc")
  for (const step of [
    [compiler, "--project", path("../tsconfig.build.json"), "--outDir", target],
    [path("../build/embedThread.ts"), target]
  ]) {
    const { status, stderr, stdout } = spawnSync(process.execPath, step)
    if (status !== 0) throw new Error(`the library does not compile:\n${String(stdout)}${String(stderr)}`)
  }
  return `${target}/index.js`
}

const build = (): void => {
  mkdirSync(path(".build"), { recursive: true })
  for (const source of readdirSync(path("baseline"))) {
    if (!source.endsWith(".c")) continue
    const program = path(`.build/${source.slice(0, -2)}`)
    const { status, stderr } = spawnSync("cc", ["-O2", "-pthread", "-o", program, path(`baseline/${source}`)])
    if (status !== 0) throw new Error(`${source} does not compile:\n${String(stderr)}`)
  }
}
