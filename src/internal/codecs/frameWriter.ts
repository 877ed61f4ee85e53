/**
 * Keeps frames until they are written. Puts them together in blocks: one call for many costs less
 * than one for each.
 */
import * as Result from "effect/Result"
import type { CodecError } from "../../codecs/CodecError.ts"
import type { Attempt, FrameWriter } from "../../codecs/FrameWriter.ts"
import { detachMethods } from "../objects/publicObject.ts"
import { CodecObject, notMadeBy } from "./codecObject.ts"
import { prefixLength, tooLong, writeFrame } from "./frame.ts"
import { blockSize } from "./options.ts"

const smallest = 1024
/** The largest block that is kept for the next frame once everything is written. */
const keep = 4096

export const TypeId = "~effect-amy/FrameWriter"

class Block {
  readonly bytes: Uint8Array<ArrayBuffer>
  /** How far it is written. */
  start = 0
  /** How far it is filled. */
  end = 0
  next: Block | undefined = undefined

  constructor(size: number) {
    this.bytes = new Uint8Array(size)
  }
}

export class FrameWriterImpl extends CodecObject implements FrameWriter {
  static {
    detachMethods(this)
  }

  static is(u: unknown): u is FrameWriterImpl {
    return typeof u === "object" && u !== null && #maxLength in u
  }

  /** Returns the argument of an operation. Throws if it was not made by this class. */
  static of(self: FrameWriter, operation: string): FrameWriterImpl {
    if (FrameWriterImpl.is(self)) return self
    throw notMadeBy("FrameWriter", operation)
  }

  readonly #maxLength: number
  #head: Block | undefined = undefined
  #tail: Block | undefined = undefined
  #pendingBytes = 0
  #isWritable = true

  constructor(maxLength: number) {
    super()
    this.#maxLength = maxLength
  }

  get [TypeId](): typeof TypeId {
    return TypeId
  }

  protected get kind(): string {
    return "FrameWriter"
  }

  get maxLength(): number {
    return this.#maxLength
  }

  get pendingBytes(): number {
    return this.#pendingBytes
  }

  get isWritable(): boolean {
    return this.#isWritable
  }

  push(frame: Uint8Array): Result.Result<void, CodecError> {
    if (frame.length > this.#maxLength) return Result.fail(tooLong(frame.length, this.#maxLength))
    const size = prefixLength + frame.length
    const block = this.#blockFor(size)
    block.end = writeFrame(block.bytes, block.end, frame)
    this.#pendingBytes += size
    return Result.succeed(undefined)
  }

  write(attempt: Attempt): "done" | "blocked" {
    while (this.#pendingBytes > 0) {
      const block = this.#head!
      const bytes = block.bytes.subarray(block.start, block.end)
      const taken = attempt(bytes)
      // An attempt that takes nothing would take nothing again at once.
      if (taken === -1 || taken === 0) {
        this.#isWritable = false
        return "blocked"
      }
      if (!Number.isInteger(taken) || taken < 0 || taken > bytes.length) {
        throw new RangeError(
          `the attempt to write ${bytes.length} bytes returned ${String(taken)}: expected the bytes taken, or -1`
        )
      }
      this.#advance(block, taken)
    }
    this.#isWritable = true
    return "done"
  }

  #blockFor(size: number): Block {
    const tail = this.#tail
    if (tail !== undefined && tail.bytes.length - tail.end >= size) return tail
    const usual = Math.max(smallest, Math.min(blockSize, (tail?.bytes.length ?? 0) * 2))
    const block = new Block(Math.max(size, usual))
    if (this.#pendingBytes === 0) this.#head = block
    else tail!.next = block
    this.#tail = block
    return block
  }

  #advance(block: Block, taken: number): void {
    block.start += taken
    this.#pendingBytes -= taken
    if (block.start < block.end) return
    if (block.next !== undefined) {
      this.#head = block.next
    } else if (block.bytes.length <= keep) {
      block.start = 0
      block.end = 0
    } else {
      this.#head = undefined
      this.#tail = undefined
    }
  }
}
