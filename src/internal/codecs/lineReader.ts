/** Cuts bytes into lines. Looks at each byte once, and keeps at most the limit and one byte. */
import type * as Option from "effect/Option"
import type * as Result from "effect/Result"
import { type CodecError, InvalidUtf8, LineTooLong } from "../../codecs/CodecError.ts"
import type { LineReader } from "../../codecs/LineReader.ts"
import { detachMethods } from "../objects/publicObject.ts"
import { CodecObject, notMadeBy } from "./codecObject.ts"
import { GrowingBuffer } from "./growingBuffer.ts"
import { Results } from "./results.ts"
import type { Incremental } from "./stream.ts"
import { validUpTo } from "./utf8.ts"

const LF = 0x0a
const CR = 0x0d

// A byte order mark is a character like any other: what was sent is what arrives.
// It does not throw, since exceptions are dear, and a peer decides how many lines are invalid.
const utf8 = new TextDecoder("utf-8", { ignoreBOM: true })

/** What the decoder puts in the place of invalid bytes. It may have been sent as well. */
const replacement = "\uFFFD"

export const TypeId = "~effect-amy/LineReader"

export class LineReaderImpl extends CodecObject implements LineReader, Incremental<string> {
  static {
    detachMethods(this)
  }

  static is(u: unknown): u is LineReaderImpl {
    return typeof u === "object" && u !== null && #maxLength in u
  }

  /** Returns the argument of an operation. Throws if it was not made by this class. */
  static of(self: LineReader, operation: string): LineReaderImpl {
    if (LineReaderImpl.is(self)) return self
    throw notMadeBy("LineReader", operation)
  }

  readonly #maxLength: number
  readonly #results = new Results<string>()
  /** The beginning of a line whose end has not arrived. */
  readonly #begun = new GrowingBuffer()
  /** True while the rest of a line that was too long is passed over. */
  #skipping = false
  /** Where in the input the present line starts. */
  #lineStart = 0
  /** Where in the input the next chunk starts. */
  #fed = 0

  constructor(maxLength: number) {
    super()
    this.#maxLength = maxLength
  }

  get [TypeId](): typeof TypeId {
    return TypeId
  }

  protected get kind(): string {
    return "LineReader"
  }

  get maxLength(): number {
    return this.#maxLength
  }

  get pendingBytes(): number {
    return this.#begun.length
  }

  next(): Option.Option<Result.Result<string, CodecError>> {
    return this.#results.next()
  }

  takeAll(): Array<Result.Result<string, CodecError>> {
    return this.#results.takeAll()
  }

  stopAtError(): void {
    this.#results.stopAtError()
  }

  feed(chunk: Uint8Array): void {
    if (this.#results.isOver) return
    let from = 0
    for (let to = chunk.indexOf(LF); to !== -1; to = chunk.indexOf(LF, from)) {
      this.#finish(chunk.subarray(from, to))
      if (this.#results.isOver) return
      from = to + 1
      this.#lineStart = this.#fed + from
    }
    if (from < chunk.length) this.#begin(chunk.subarray(from))
    this.#fed += chunk.length
  }

  end(): void {
    // Without a line feed, a carriage return at the end belongs to the line.
    if (!this.#skipping && this.#begun.length > 0) this.#line(this.#begun.view(this.#begun.length))
    this.#begun.clear()
    this.#skipping = false
    this.#lineStart = 0
    this.#fed = 0
  }

  /** Finishes a line with the part before its line feed. */
  #finish(part: Uint8Array): void {
    if (this.#skipping) {
      this.#skipping = false
      return
    }
    const length = this.#begun.length + part.length
    const last = part.length > 0 ? part[part.length - 1] : this.#begun.last
    const content = last === CR ? length - 1 : length
    if (content > this.#maxLength) {
      this.#tooLong()
    } else if (this.#begun.length === 0) {
      this.#line(part.subarray(0, content))
    } else {
      this.#begun.append(part, this.#maxLength + 1)
      this.#line(this.#begun.view(content))
    }
    this.#begun.clear()
  }

  /** Keeps a part of a line, or all of it, whose line feed has not arrived. */
  #begin(part: Uint8Array): void {
    if (this.#skipping) return
    const length = this.#begun.length + part.length
    // A carriage return may turn out to be half of a line end.
    const content = part[part.length - 1] === CR ? length - 1 : length
    if (content > this.#maxLength) {
      this.#tooLong()
      this.#begun.clear()
      this.#skipping = true
    } else {
      this.#begun.append(part, this.#maxLength + 1)
    }
  }

  #line(bytes: Uint8Array): void {
    if (bytes.length > this.#maxLength) return this.#tooLong()
    const line = utf8.decode(bytes)
    const replaced = line.indexOf(replacement)
    if (replaced !== -1) {
      // What comes before it is valid.
      const offsetInLine = validUpTo(bytes, replaced < 32 ? 0 : Buffer.byteLength(line.slice(0, replaced)))
      if (offsetInLine < bytes.length) {
        const offset = this.#lineStart + offsetInLine
        return this.#results.addError(() => new InvalidUtf8({ offset, offsetInLine }))
      }
    }
    this.#results.add(line)
  }

  #tooLong(): void {
    const limit = this.#maxLength
    this.#results.addError(() => new LineTooLong({ length: limit + 1, limit }))
  }
}
