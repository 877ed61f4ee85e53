/**
 * Bundles the checks into one file, with the library from its sources: reading many small files is
 * what takes most of the time under Wine. Usage: node test/windows/build.ts output.mjs
 */
import { fileURLToPath } from "node:url"
import { rolldown } from "rolldown"
import { threadModule } from "../../build/threadModule.ts"

const pathOf = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const output = process.argv[2]
if (output === undefined) throw new Error("usage: node test/windows/build.ts output.mjs")

const program = await threadModule(pathOf("../../src/internal/shared/pollingThread.ts"))
const build = await rolldown({
  input: pathOf("checks.ts"),
  platform: "node",
  external: ["koffi"],
  // What of the helpers no check uses may need functions of another system.
  logLevel: "silent",
  resolve: { conditionNames: ["effect-amy-source", "node", "import", "module", "default"] },
  plugins: [
    {
      name: "windows",
      resolveId(source) {
        return source === "@effect/vitest" ? pathOf("expect.ts") : null
      },
      load: (id) => (id.endsWith("threadProgram.ts") ? program : null)
    }
  ]
})
await build.write({ file: output, format: "esm", codeSplitting: false })
await build.close()
