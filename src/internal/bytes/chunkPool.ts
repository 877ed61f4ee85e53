/**
 * Copies of bytes that were read. Small copies share memory, as Node's own buffers do: separate
 * memory for each would take five times as long. Unlike Node's buffers they are plain
 * `Uint8Array`s, which compare equal to others.
 */
import { markAsUntransferable } from "node:worker_threads"
import { balance } from "./ballast.ts"

const poolSize = 64 * 1024
const longest = 4 * 1024
const alignment = 8

let pool = new Uint8Array(0)
let used = 0

/** Returns a copy of `length` bytes. */
export const copyOf = (source: Buffer, from: number, length: number): Uint8Array => {
  if (length > longest) {
    balance(length)
    return new Uint8Array(source.subarray(from, from + length))
  }
  if (used + length > pool.length) {
    balance(poolSize)
    pool = new Uint8Array(poolSize)
    // To transfer one copy would take all the others along.
    markAsUntransferable(pool.buffer)
    used = 0
  }
  const copy = pool.subarray(used, used + length)
  used += Math.ceil(length / alignment) * alignment
  source.copy(copy, 0, from, from + length)
  return copy
}

/**
 * Returns copies of the parts of `size` bytes that `length` bytes consist of. Only the last may be
 * shorter. Small ones share memory: all of them are copied at once.
 */
export const partsOf = (source: Buffer, from: number, length: number, size: number): Array<Uint8Array> => {
  const parts: Array<Uint8Array> = []
  const isSmall = size <= longest
  balance(length)
  const all = isSmall ? new Uint8Array(source.subarray(from, from + length)) : source
  if (isSmall) markAsUntransferable(all.buffer)
  const start = isSmall ? 0 : from
  for (let at = start; at < start + length; at += size) {
    const end = Math.min(at + size, start + length)
    parts.push(isSmall ? all.subarray(at, end) : ownCopyOf(source, at, end))
  }
  return parts
}

/** Returns a copy of a part, in separate memory. `Buffer.slice` would return the same memory. */
export const ownCopyOf = (bytes: Uint8Array, from: number, to: number): Uint8Array =>
  new Uint8Array(bytes.subarray(from, to))
