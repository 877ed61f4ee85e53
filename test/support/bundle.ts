/**
 * Bundles programs, so that each is a few files that hold no more of `effect` than they use. A
 * thread or a process that loads the sources instead imports some 300 files, and takes ten times as
 * long to start.
 */
import { globSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { rolldown } from "rolldown"

const root = fileURLToPath(new URL("../..", import.meta.url))

const pollingThread = "src/internal/shared/pollingThread.ts"

/**
 * Bundles TypeScript files of the project. Each keeps its path within the directory, and ends with
 * `.js`.
 */
export const bundle = async (files: ReadonlyArray<string>, directory: string): Promise<void> => {
  const build = await rolldown({
    cwd: root,
    input: Object.fromEntries([...files, pollingThread].map((file) => [file.slice(0, -".ts".length), `./${file}`])),
    platform: "node",
    // It loads native code, which it finds beside its own files.
    external: ["koffi"],
    resolve: { conditionNames: ["effect-amy-source", "node", "import", "default"] }
  })
  // The library locates the polling thread from a file of a sibling folder, which is here that of
  // the shared chunks.
  await build.write({ dir: directory, cleanDir: true, chunkFileNames: "src/internal/chunks/[name]-[hash].js" })
  await build.close()
  // Node 22 does not see by its contents that a file which begins with an `await import` is a module.
  writeFileSync(join(directory, "package.json"), '{ "type": "module" }\n')
}

/** Returns the paths of the programs that the tests start. */
export const programs = (): ReadonlyArray<string> =>
  ["test/programs/*.ts", "test/support/*Thread.ts", "test/support/nodeWorker.ts"].flatMap((pattern) =>
    globSync(pattern, { cwd: root })
  )

/** Bundles the programs that the tests start. Vitest calls it once, before it starts any test. */
export const setup = async (): Promise<void> => {
  const directory = join(root, "node_modules", ".cache", "effect-amy", "programs")
  await bundle(programs(), directory)
  process.env["EFFECT_AMY_PROGRAMS"] = directory
}
