/** Finds the examples in doc comments and pages. */
import { globSync, readFileSync } from "node:fs"

export interface DocumentedExample {
  /** The file, and the line of its first statement. */
  readonly source: string
  readonly code: string
  /** What it needs of the machine to run: the word after `needs=`. */
  readonly needs: string | undefined
  /**
   * The lines that it must print, from the comments after its statements: `console.log(1 + 1) // =>
   * 2`.
   */
  readonly prints: ReadonlyArray<string>
}

const fence = /^([ *]*)```ts(?: needs=(\w+))?\n([\s\S]*?)^[ *]*```$/gm
const expectation = /\/\/ => (.*)$/gm

/** Returns every `ts` block of the files that match a pattern. Each block is a whole program. */
export const documentedExamples = (pattern: string): ReadonlyArray<DocumentedExample> =>
  globSync(pattern)
    .toSorted()
    .flatMap((file) => {
      const text = readFileSync(file, "utf8")
      return Array.from(text.matchAll(fence), (match) => {
        const indent = match[1]!
        const code = match[3]!
          .split("\n")
          .map((line) => (line.startsWith(indent) ? line.slice(indent.length) : line.slice(indent.trimEnd().length)))
          .join("\n")
        return {
          needs: match[2],
          source: `${file}:${text.slice(0, match.index).split("\n").length + 1}`,
          code,
          prints: Array.from(code.matchAll(expectation), (found) => found[1]!)
        }
      })
    })
