/**
 * Work for a handler: a hash over a number of blocks. The hash is Node's own, in C. A loop in
 * JavaScript took one or three times as long for the same work, depending on the stage of the
 * compiler.
 */
import { hash } from "node:crypto"

const block = 64
const most = 1 << 16
const text = new Uint8Array(block * most)

/** Hashes a number of blocks. */
export const burn = (blocks: number): void => void hash("sha256", text.subarray(0, blocks * block), "buffer")

/** Returns the number of blocks that take `micros` microseconds on this machine. */
export const blocksFor = (micros: number): number => {
  const blocks = 1024
  let fastest = Infinity
  // A disturbance makes it slower, never faster, so the fastest run counts.
  for (let i = 0; i < 1000; i++) {
    const from = performance.now()
    burn(blocks)
    fastest = Math.min(fastest, performance.now() - from)
  }
  return Math.min(most, Math.round((blocks * micros) / (fastest * 1e3)))
}
