/** Pointers, and integers of the same width, in memory: `size_t` and `long` are as wide as they. */
export type PointerBytes = 4 | 8

/** An array of pointers and lengths, as C has it on this machine. */
export type PointerArray = BigUint64Array | Uint32Array

const narrow: ReadonlySet<string> = new Set(["arm", "ia32", "mips", "mipsel", "ppc", "s390"])

/** Returns the bytes of a pointer on an architecture of Node's. */
export const pointerBytesOf = (arch: NodeJS.Architecture): PointerBytes => (narrow.has(arch) ? 4 : 8)

export const makePointers = (bytes: PointerBytes, count: number): PointerArray =>
  bytes === 8 ? new BigUint64Array(count) : new Uint32Array(count)

/** Writes one member of an array. */
export const setPointer = (array: PointerArray, index: number, value: bigint | number): void => {
  const word = array.BYTES_PER_ELEMENT === 8 ? BigInt(value) : Number(value)
  array[index] = word as never
}
