/** Builds the baselines, and composes commands. */
import { spawnSync } from "node:child_process"
import { mkdirSync, readdirSync } from "node:fs"
import { fileURLToPath } from "node:url"
import type { Command, Toolbox } from "./question.ts"

const path = (relative: string): string => fileURLToPath(new URL(`../${relative}`, import.meta.url))
const has = (program: string): boolean => spawnSync(program, ["--version"]).status === 0

/** Descriptors that the writer makes ready in B1. */
export const descriptors = 1000

/** Length of a request in B5 and B6. */
const requestBytes = 64

export interface Machine {
  readonly toolbox: Toolbox
  /** Sentences about missing tools. */
  readonly lacking: ReadonlyArray<string>
}

/** Builds the baselines if there is a C compiler, and looks for the other tools. */
export const prepare = (): Machine => {
  const hasCompiler = has("cc")
  const hasTaskset = has("taskset")
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
      loaded(connections, server) {
        const load = baseline("load")
        if (server === undefined || load === undefined) return undefined
        return [...load, String(connections), String(requestBytes), "--", ...server]
      },
      compiled: compile,
      pinned: (command) => (hasTaskset && command !== undefined ? ["taskset", "-c", "0", ...command] : undefined)
    },
    lacking: [
      ...(hasCompiler ? [] : ["no C compiler (cc): no baseline"]),
      ...(hasTaskset ? [] : ["no taskset: nothing is pinned to one CPU"])
    ]
  }
}

/** Compiles the library, and returns the path of its main module. */
const compile = (): string => {
  const target = path(".build/dist")
  const compiler = path("../node_modules/typescript/bin/tsc")
  const options = ["--project", path("../tsconfig.build.json"), "--outDir", target]
  const { status, stdout } = spawnSync(process.execPath, [compiler, ...options])
  if (status !== 0) throw new Error(`the library does not compile:\n${String(stdout)}`)
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
