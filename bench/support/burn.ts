/**
 * Work for a handler: a hash of so many blocks. It is Node's own, in C: a loop in JavaScript took one or three times as
 * long for the same work, depending on which stage of the compiler had had its turn with it.
 */
import { hash } from "node:crypto"

const block = 64
const most = 1 << 16
const text = new Uint8Array(block * most)

export const burn = (blocks: number): void => void hash("sha256", text.subarray(0, blocks * block), "buffer")

/** How many blocks take so many microseconds on this machine. */
export const blocksFor = (micros: number): number => {
  const blocks = 1024
  let fastest = Infinity
  // What disturbs it makes it slower, never faster.
  for (let i = 0; i < 1000; i++) {
    const from = performance.now()
    burn(blocks)
    fastest = Math.min(fastest, performance.now() - from)
  }
  return Math.min(most, Math.round((blocks * micros) / (fastest * 1e3)))
}
