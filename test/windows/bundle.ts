/**
 * Bundles test files so that they run without Vitest: each becomes a program that runs its tests.
 * Reading many small files is what takes most of the time under Wine.
 */
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { rolldown } from "rolldown"
import { threadModule } from "../../build/threadModule.ts"

const rootPath = fileURLToPath(new URL("../..", import.meta.url))

/** Each program keeps the path of its file within the directory, and ends with `.js`. */
export const bundleTests = async (files: ReadonlyArray<string>, directory: string): Promise<void> => {
  const program = await threadModule(join(rootPath, "src/internal/shared/pollingThread.ts"))
  const build = await rolldown({
    cwd: rootPath,
    input: Object.fromEntries(files.map((file) => [file.slice(0, -".ts".length), `run:${file}`])),
    platform: "node",
    external: ["koffi", "rolldown", "typescript", "vite"],
    // What of the helpers no test uses may need what is not there.
    logLevel: "silent",
    // The tests are what a file does when it is loaded.
    treeshake: { moduleSideEffects: [{ test: /\.test\.ts$/, sideEffects: true }] },
    resolve: { conditionNames: ["effect-amy-source", "node", "import", "module", "default"] },
    plugins: [
      {
        name: "tests",
        resolveId(source) {
          if (source.startsWith("run:")) return source
          return source === "vitest" ? join(rootPath, "test/windows/vitest.ts") : null
        },
        load(id) {
          if (id.endsWith("threadProgram.ts")) return program
          if (!id.startsWith("run:")) return null
          const file = id.slice("run:".length)
          const name = file.slice("test/".length, -".test.ts".length)
          return [
            `import { skipsOf } from ${JSON.stringify(join(rootPath, "test/windows/skips.ts"))}`,
            `import { runFile } from ${JSON.stringify(join(rootPath, "test/windows/runFile.ts"))}`,
            `import ${JSON.stringify(join(rootPath, file))}`,
            `await runFile(skipsOf(${JSON.stringify(name)}, process.env.WINEPREFIX !== undefined))`
          ].join("\n")
        }
      }
    ]
  })
  await build.write({
    dir: directory,
    codeSplitting: {
      groups: [
        { name: "effect", test: /node_modules[\\/](@effect[\\/]vitest|effect|vitest|chai|expect-type)[\\/]/ },
        { name: "modules", test: /node_modules/ },
        { name: "library", test: /[\\/]src[\\/]/ }
      ]
    }
  })
  await build.close()
}
