/** Lines as bytes. */
import * as Result from "effect/Result"
import { CodecError, LineEndInLine } from "../../codecs/CodecError.ts"
import type { EncodeOptions } from "../../codecs/LineReader.ts"
import { blockSize } from "./options.ts"

const utf8 = new TextEncoder()

export type LineEnd = "\n" | "\r\n"

/** Returns the line end to use. Throws if it is invalid, which is a mistake in the program. */
export const lineEndOf = (options: EncodeOptions | undefined): LineEnd => {
  const lineEnd = options?.lineEnd ?? "\n"
  if (lineEnd !== "\n" && lineEnd !== "\r\n") {
    throw new RangeError(`invalid lineEnd ${JSON.stringify(lineEnd)}: expected "\\n" or "\\r\\n"`)
  }
  return lineEnd
}

/** Returns where a reader would cut or shorten a line, or -1. */
const lineEndIn = (line: string, lineEnd: LineEnd): number => {
  const index = line.indexOf("\n")
  if (index !== -1) return index
  // Together with the line feed after it, the carriage return would be a line end.
  return lineEnd === "\n" && line.endsWith("\r") ? line.length - 1 : -1
}

/** Turns lines into bytes, up to the first that has a line end in it. Puts short lines together. */
export const encodeLines = (
  lines: ReadonlyArray<string>,
  lineEnd: LineEnd
): Array<Result.Result<Uint8Array<ArrayBuffer>, CodecError>> => {
  const results: Array<Result.Result<Uint8Array<ArrayBuffer>, CodecError>> = []
  let text = ""
  const flush = (): void => {
    if (text !== "") results.push(Result.succeed(utf8.encode(text)))
    text = ""
  }
  for (const line of lines) {
    const index = lineEndIn(line, lineEnd)
    if (index !== -1) {
      flush()
      results.push(Result.fail(new CodecError({ reason: new LineEndInLine({ index }) })))
      return results
    }
    text += line + lineEnd
    if (text.length >= blockSize) flush()
  }
  flush()
  return results
}
