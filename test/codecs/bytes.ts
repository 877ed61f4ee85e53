/** Bytes, places to cut them at, and both of any kind for the properties. */
import { Arbitrary, Schema } from "effect"

export const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)

export const concat = (chunks: ReadonlyArray<Uint8Array>): Uint8Array => new Uint8Array(Buffer.concat(chunks))

/** A whole number from one to another, both included. */
export const between = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))

/** Bytes out of which lines, line ends, characters of every length and all kinds of broken ones come about by chance. */
const telling = [
  0x0a, 0x0a, 0x0d, 0x61, 0x62, 0xc3, 0xa9, 0xe2, 0x82, 0xac, 0xf0, 0x9f, 0x98, 0x80, 0xed, 0xa0, 0xc0, 0xff
]

/** Any bytes: every other run of them telling ones, the rest from all 256. */
export const anyBytes: Arbitrary.Arbitrary<Uint8Array> = Arbitrary.all([
  between(0, 1),
  Arbitrary.array(between(0, 255), { maxLength: 60 })
]).pipe(
  Arbitrary.map(([kind, numbers]) =>
    Uint8Array.from(numbers, (number) => (kind === 0 ? number : telling[number % telling.length]!))
  )
)

/** Sizes of pieces, used over and over. */
export const anyCuts = Arbitrary.array(between(0, 7), { maxLength: 8 })

/** The bytes in pieces of these sizes, again from the first size after the last; whole if no size is above zero. */
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

/** Feeds each piece from one and the same buffer, which is full of something else afterwards: as a reading loop does. */
export const feedAll = (feed: (chunk: Uint8Array) => void, pieces: ReadonlyArray<Uint8Array>): void => {
  const buffer = new Uint8Array(Math.max(0, ...pieces.map((piece) => piece.length)))
  for (const piece of pieces) {
    buffer.set(piece)
    feed(buffer.subarray(0, piece.length))
    buffer.fill(0x0a)
  }
}

/** By how many bytes the array buffers that are alive have grown. What `work` answers is alive when that is measured. */
export const allocatedBy = (work: () => unknown): number => {
  const before = process.memoryUsage().arrayBuffers
  const measured = { held: work(), after: process.memoryUsage().arrayBuffers }
  return measured.after - before
}
