/**
 * Puts the program of the polling thread into the package as text, in place of
 * `layers/threadProgram`. A bundle or a single executable then has it, too, and needs no other file.
 */
import { rmSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { rolldown } from "rolldown"

const dist = fileURLToPath(new URL("../dist/internal", import.meta.url))

const build = await rolldown({ input: `${dist}/shared/pollingThread.js`, platform: "node" })
const { output } = await build.generate({ format: "cjs", minify: true })
await build.close()
if (output.length !== 1) throw new Error(`the polling thread has ${output.length} files: expected one`)

// As a function of its `require`, which only loads modules of Node. So the text runs as a script and
// as a module (`--input-type=module` in NODE_OPTIONS), and in a thread that may read no file.
const program = `((require) => {\n"use strict"\n${output[0].code}\n})(process.getBuiltinModule)`
const module = `const known = { program: ${JSON.stringify(program)}, isText: true }
export const threadProgram = () => known
`
writeFileSync(`${dist}/layers/threadProgram.js`, module)
rmSync(`${dist}/layers/threadProgram.js.map`)
