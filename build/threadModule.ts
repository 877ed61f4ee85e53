/** The program of the polling thread as text. */
import { rolldown } from "rolldown"

/**
 * Returns the text of a module to use in place of `layers/threadProgram`. It holds the whole program
 * of the polling thread, which begins in the given file.
 */
export const threadModule = async (input: string): Promise<string> => {
  const build = await rolldown({ input, platform: "node" })
  // With lines and names, which an error of the thread shows.
  const minify = { compress: true, mangle: false, codegen: { removeWhitespace: false } }
  const { output } = await build.generate({ format: "cjs", comments: false, minify })
  await build.close()
  if (output.length !== 1) throw new Error(`the polling thread has ${output.length} files: expected one`)
  // As a function of its `require`, which only loads modules of Node. A module has none of its own.
  const program = `((require) => {\n"use strict"\n${output[0].code}\n})(process.getBuiltinModule)`
  return `const known = { program: ${JSON.stringify(program)}, isText: true }\nexport const threadProgram = () => known\n`
}
