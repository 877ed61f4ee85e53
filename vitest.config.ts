import { fileURLToPath } from "node:url"
import { configDefaults, defineConfig } from "vitest/config"
import { excludedOn } from "./test/support/files.ts"

// What Node has compiled once, the threads and processes of the tests need not compile again.
process.env["NODE_COMPILE_CACHE"] ??= fileURLToPath(new URL("node_modules/.cache/effect-amy/compiled", import.meta.url))

export default defineConfig({
  test: {
    globalSetup: "./test/support/bundle.ts",
    setupFiles: process.platform === "win32" ? "./test/windows/setup.ts" : [],
    include: ["test/**/*.test.ts", "examples/**/*.test.ts"],
    exclude: [...configDefaults.exclude, ...excludedOn(process.platform)],
    reporters: ["default", "./test/support/summary.ts"],
    // Descriptors, threads and memory are counted, so no two files share a process.
    pool: "forks",
    // Two at a time: most tests run several threads of their own.
    maxWorkers: 2,
    // Of the tests of one file that may run at the same time: those that only start a process and wait for it.
    maxConcurrency: 2,
    // Only a test that hangs takes so long: under a load of twenty, a tenth of a processor is left for each.
    testTimeout: 120_000,
    hookTimeout: 120_000
  },
  // What `--conditions` is to the programs that the tests start: the sources instead of the built package.
  ssr: { resolve: { conditions: ["effect-amy-source", "node", "import", "module", "default"] } }
})
