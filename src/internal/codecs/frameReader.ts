/**
 * Cuts bytes into frames. Copies a frame that lies within one chunk once, and any other about
 * twice.
 */
import type * as Option from "effect/Option"
import type * as Result from "effect/Result"
import { type CodecError, FrameTooLong, IncompleteFrame } from "../../codecs/CodecError.ts"
import type { FrameReader } from "../../codecs/FrameReader.ts"
import { detachMethods } from "../objects/publicObject.ts"
import { CodecObject, notMadeBy } from "./codecObject.ts"
import { prefixLength } from "./frame.ts"
import { GrowingBuffer } from "./growingBuffer.ts"
import { Results } from "./results.ts"
import type { Incremental } from "./stream.ts"

export const TypeId = "~effect-amy/FrameReader"

export class FrameReaderImpl extends CodecObject implements FrameReader, Incremental<Uint8Array<ArrayBuffer>> {
  static {
    detachMethods(this)
  }

  static is(u: unknown): u is FrameReaderImpl {
    return typeof u === "object" && u !== null && #maxLength in u
  }

  /** Returns the argument of an operation. Throws if it was not made by this class. */
  static of(self: FrameReader, operation: string): FrameReaderImpl {
    if (FrameReaderImpl.is(self)) return self
    throw notMadeBy("FrameReader", operation)
  }

  readonly #maxLength: number
  readonly #results = new Results<Uint8Array<ArrayBuffer>>()
  /** Bytes of the length that have arrived. */
  #prefix = 0
  /** What these bytes say so far. */
  #length = 0
  readonly #begun = new GrowingBuffer()
  /** Bytes left of a frame that was too long. */
  #skip = 0

  constructor(maxLength: number) {
    super()
    this.#maxLength = maxLength
  }

  get [TypeId](): typeof TypeId {
    return TypeId
  }

  protected get kind(): string {
    return "FrameReader"
  }

  get maxLength(): number {
    return this.#maxLength
  }

  get pendingBytes(): number {
    return this.#prefix + this.#begun.length
  }

  next(): Option.Option<Result.Result<Uint8Array<ArrayBuffer>, CodecError>> {
    return this.#results.next()
  }

  takeAll(): Array<Result.Result<Uint8Array<ArrayBuffer>, CodecError>> {
    return this.#results.takeAll()
  }

  stopAtError(): void {
    this.#results.stopAtError()
  }

  feed(chunk: Uint8Array): void {
    let at = 0
    while (at < chunk.length && !this.#results.isOver) {
      if (this.#skip > 0) {
        const skipped = Math.min(this.#skip, chunk.length - at)
        this.#skip -= skipped
        at += skipped
      } else if (this.#prefix < prefixLength) {
        // Not by shifting, whose results are signed.
        this.#length = this.#length * 256 + chunk[at++]!
        if (++this.#prefix === prefixLength) this.#start()
      } else {
        const part = chunk.subarray(at, at + this.#length - this.#begun.length)
        this.#body(part)
        at += part.length
      }
    }
  }

  end(): void {
    if (this.#prefix > 0) {
      const expected = this.#prefix < prefixLength ? prefixLength : prefixLength + this.#length
      const received = this.pendingBytes
      this.#results.addError(() => new IncompleteFrame({ expected, received }))
    }
    this.#begun.clear()
    this.#skip = 0
    this.#reset()
  }

  /** Called when the length has arrived. */
  #start(): void {
    const [length, limit] = [this.#length, this.#maxLength]
    if (length > limit) {
      this.#results.addError(() => new FrameTooLong({ length, limit }))
      this.#skip = this.#length
      this.#reset()
    } else if (this.#length === 0) {
      this.#finish(new Uint8Array(0))
    }
  }

  #body(part: Uint8Array): void {
    if (part.length === this.#length) {
      this.#finish(new Uint8Array(part))
    } else {
      this.#begun.append(part, this.#length)
      if (this.#begun.length === this.#length) this.#finish(this.#begun.take())
    }
  }

  #finish(frame: Uint8Array<ArrayBuffer>): void {
    this.#results.add(frame)
    this.#reset()
  }

  #reset(): void {
    this.#prefix = 0
    this.#length = 0
  }
}
