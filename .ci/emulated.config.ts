/** Runs tests by a Node of another architecture, which an emulator runs: `EMULATED_NODE` is a program that starts it. */
import { fileURLToPath } from "node:url"
import { mergeConfig } from "vitest/config"
import project from "../vitest.config.ts"

// Vitest starts the processes of the tests by this path. It itself, and what it compiles with, run natively.
process.execPath = process.env["EMULATED_NODE"]!

export default mergeConfig(project, {
  test: {
    root: fileURLToPath(new URL("..", import.meta.url)),
    setupFiles: fileURLToPath(new URL("emulated.setup.ts", import.meta.url)),
    // An emulator takes a minute to load the library, so the files share one process.
    isolate: false,
    maxWorkers: 1,
    testTimeout: 300_000
  }
})
