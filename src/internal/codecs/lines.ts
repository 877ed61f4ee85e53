/** Lines as bytes. */
import * as Result from "effect/Result"
import { CodecError, LineEndInLine } from "../../codecs/CodecError.ts"
import { blockSize } from "./options.ts"

const utf8 = new TextEncoder()

export type LineEnd = "\n" | "\r\n"

/** A line end that is none is a mistake in the program, so it throws. */
export const lineEndOf = (options: { readonly lineEnd?: LineEnd | undefined } | undefined): LineEnd => {
  const lineEnd = options?.lineEnd ?? "\n"
  if (lineEnd !== "\n" && lineEnd !== "\r\n") {
    throw new RangeError(`lineEnd is ${JSON.stringify(lineEnd)}: give "\\n" or "\\r\\n"`)
  }
  return lineEnd
}

/** Where a line would be cut or shortened by whoever reads it, or -1. */
const lineEndIn = (line: string, lineEnd: LineEnd): number => {
  const index = line.indexOf("\n")
  if (index !== -1) return index
  // Together with the line feed behind it, it would be a line end.
  return lineEnd === "\n" && line.endsWith("\r") ? line.length - 1 : -1
}

/** Lines as bytes, short ones put together, up to the first that is none. */
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
