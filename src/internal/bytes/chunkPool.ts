/**
 * Copies of what was read, in memory that small ones share, as Node's own buffers do: memory of its own for each would take
 * five times as long. Unlike those they are plain arrays of bytes, which compare equal to others.
 */
import { markAsUntransferable } from "node:worker_threads"

const poolSize = 64 * 1024
const longest = 4 * 1024
const alignment = 8

let pool = new Uint8Array(0)
let used = 0

/** A copy of so many bytes. */
export const copyOf = (source: Buffer, from: number, length: number): Uint8Array => {
  if (length > longest) return new Uint8Array(source.subarray(from, from + length))
  if (used + length > pool.length) {
    pool = new Uint8Array(poolSize)
    // With one copy, all the others would go.
    markAsUntransferable(pool.buffer)
    used = 0
  }
  const copy = pool.subarray(used, used + length)
  used += Math.ceil(length / alignment) * alignment
  source.copy(copy, 0, from, from + length)
  return copy
}

/** A part of it in memory of its own. What `slice` answers of a `Buffer` is the same memory. */
export const ownCopyOf = (bytes: Uint8Array, from: number, to: number): Uint8Array =>
  new Uint8Array(bytes.subarray(from, to))
