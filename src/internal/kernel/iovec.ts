/** `struct iovec`: an address and a length for each buffer of a call. */
import type { Libc } from "../libc/koffi.ts"
import { makePointers, type PointerArray, setPointer } from "../libc/prototypes/pointers.ts"

/** Makes room for a number of buffers. */
export const makeIovec = ({ profile }: Libc, count: number): PointerArray =>
  makePointers(profile.pointerBytes, 2 * count)

/** Writes one buffer, which the caller holds until the call is over. */
export const setIovec = (
  libc: Libc,
  vector: PointerArray,
  index: number,
  buffer: Uint8Array,
  length = buffer.length
): void => {
  setPointer(vector, 2 * index, libc.addressOf(buffer))
  setPointer(vector, 2 * index + 1, length)
}
