/** Bytes, places to cut them at, and arbitrary ones of both for properties. */
import { Arbitrary, Schema } from "effect"

export const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)

export const concat = (chunks: ReadonlyArray<Uint8Array>): Uint8Array => new Uint8Array(Buffer.concat(chunks))

/** An integer within bounds, both included. */
export const between = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))

/**
 * Bytes that by chance form lines, line ends, characters of every length, and invalid characters of
 * every kind.
 */
const interesting = [
  0x0a, 0x0a, 0x0d, 0x61, 0x62, 0xc3, 0xa9, 0xe2, 0x82, 0xac, 0xf0, 0x9f, 0x98, 0x80, 0xed, 0xa0, 0xc0, 0xff
]

/** Any bytes: in half of the runs interesting ones, otherwise from all 256. */
export const anyBytes: Arbitrary.Arbitrary<Uint8Array> = Arbitrary.all([
  between(0, 1),
  Arbitrary.array(between(0, 255), { maxLength: 60 })
]).pipe(
  Arbitrary.map(([kind, numbers]) =>
    Uint8Array.from(numbers, (number) => (kind === 0 ? number : interesting[number % interesting.length]!))
  )
)

/** Sizes of pieces. After the last, the first is used again. */
export const anyCuts = Arbitrary.array(between(0, 7), { maxLength: 8 })

/**
 * Cuts bytes into pieces of these sizes, over and over. Leaves them whole if no size is above zero.
 */
export const cut = (bytes: Uint8Array, sizes: ReadonlyArray<number>): ReadonlyArray<Uint8Array> => {
  if (sizes.every((size) => size === 0)) return [bytes]
  const pieces: Array<Uint8Array> = []
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const piece = bytes.subarray(at, at + sizes[i % sizes.length]!)
    pieces.push(piece)
    at += piece.length
  }
  return pieces
}

/**
 * Feeds each piece from the same buffer, which is overwritten afterwards, as a reading loop does.
 */
export const feedAll = (feed: (chunk: Uint8Array) => void, pieces: ReadonlyArray<Uint8Array>): void => {
  const buffer = new Uint8Array(Math.max(0, ...pieces.map((piece) => piece.length)))
  for (const piece of pieces) {
    buffer.set(piece)
    feed(buffer.subarray(0, piece.length))
    buffer.fill(0x0a)
  }
}

/**
 * Returns by how many bytes the live array buffers grow during `work`. What it returns is alive
 * when they are measured.
 */
export const allocatedBy = (work: () => unknown): number => {
  const before = process.memoryUsage().arrayBuffers
  const measured = { held: work(), after: process.memoryUsage().arrayBuffers }
  return measured.after - before
}
