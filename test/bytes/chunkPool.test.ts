/** Copies that share memory: each is a separate part of it. */
import { expect, it } from "@effect/vitest"
import { copyOf } from "../../src/internal/bytes/chunkPool.ts"

const source = Buffer.from(Uint8Array.from({ length: 10_000 }, (_, i) => i % 251))

it("copies of any length are what was read, and none changes another", () => {
  const lengths = Array.from({ length: 3000 }, (_, i) => (i * 37) % 5000)
  const copies = lengths.map((length, i) => {
    source[0] = i % 256
    const copy = copyOf(source, 0, length)
    expect(copy.constructor).toBe(Uint8Array)
    return copy
  })
  for (const [i, copy] of copies.entries()) {
    expect(copy.length).toBe(lengths[i])
    if (copy.length > 0) expect(copy[0]).toBe(i % 256)
    if (copy.length > 1) expect(copy.at(-1)).toBe((copy.length - 1) % 251)
  }
  for (const [i, copy] of copies.entries()) copy.fill(i % 256)
  expect(copies.every((copy, i) => copy.every((byte) => byte === i % 256))).toBe(true)
})

it("shared memory is not transferred to another thread with one of its parts", () => {
  const copy = copyOf(source, 0, 10)
  expect(() => structuredClone(copy, { transfer: [copy.buffer as ArrayBuffer] })).toThrow(
    /could not be (cloned|transferred)|transfer/i
  )
  expect(copy.length).toBe(10)
})
