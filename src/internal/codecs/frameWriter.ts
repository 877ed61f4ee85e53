/** Frames on their way out: put together in blocks, for one call that takes many costs less than many that take one. */
import * as Result from "effect/Result"
import type { CodecError } from "../../codecs/CodecError.ts"
import { prefixLength, tooLong, writeFrame } from "./frame.ts"
import { blockSize } from "./options.ts"

const smallest = 1024
/** What is kept for the next frame once all is written. */
const keep = 4096

export const TypeId = "~effect-amy/FrameWriter"

class Block {
  readonly bytes: Uint8Array<ArrayBuffer>
  /** How far it is written, and how far it is filled. */
  start = 0
  end = 0
  next: Block | undefined = undefined

  constructor(size: number) {
    this.bytes = new Uint8Array(size)
  }
}

export class FrameWriterImpl {
  readonly [TypeId]: typeof TypeId = TypeId
  readonly maxLength: number
  #head: Block | undefined = undefined
  #tail: Block | undefined = undefined
  pendingBytes = 0
  isWritable = true

  constructor(maxLength: number) {
    this.maxLength = maxLength
  }

  push(frame: Uint8Array): Result.Result<void, CodecError> {
    if (frame.length > this.maxLength) return Result.fail(tooLong(frame.length, this.maxLength))
    const size = prefixLength + frame.length
    const block = this.#blockFor(size)
    block.end = writeFrame(block.bytes, block.end, frame)
    this.pendingBytes += size
    return Result.succeed(undefined)
  }

  write(attempt: (bytes: Uint8Array<ArrayBuffer>) => number): "done" | "blocked" {
    while (this.pendingBytes > 0) {
      const block = this.#head!
      const bytes = block.bytes.subarray(block.start, block.end)
      const taken = attempt(bytes)
      // Whoever takes nothing of something would do so again at once.
      if (taken === -1 || taken === 0) {
        this.isWritable = false
        return "blocked"
      }
      if (!Number.isInteger(taken) || taken < 0 || taken > bytes.length) {
        throw new RangeError(
          `the attempt to write ${bytes.length} bytes answered ${String(taken)}: give how many were taken, or -1`
        )
      }
      this.#advance(block, taken)
    }
    this.isWritable = true
    return "done"
  }

  #blockFor(size: number): Block {
    const tail = this.#tail
    if (tail !== undefined && tail.bytes.length - tail.end >= size) return tail
    const usual = Math.max(smallest, Math.min(blockSize, (tail?.bytes.length ?? 0) * 2))
    const block = new Block(Math.max(size, usual))
    if (this.pendingBytes === 0) this.#head = block
    else tail!.next = block
    this.#tail = block
    return block
  }

  #advance(block: Block, taken: number): void {
    block.start += taken
    this.pendingBytes -= taken
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
