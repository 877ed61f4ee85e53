/**
 * Garbage that keeps V8 from marking its whole heap over and over.
 *
 * V8 collects its young heap when that is full of objects, which is cheap. Memory outside the heap
 * does not fill it. A program that reads one large chunk after the other would soon have more such
 * memory than V8 allows, and V8 then marks the whole heap, several times a second.
 */

/** Bytes of V8's heap for each byte outside. A young heap is usually 16 to 32 MiB. */
const share = 1 / 2
const pointerBytes = 8
/** Larger objects would not be in the young heap. */
const most = 64 * 1024

// A property, so that no compiler leaves the array out.
const young: { garbage: unknown } = { garbage: undefined }

/** Makes the garbage for a number of bytes outside the heap. They are expected to be short-lived. */
export const balance = (bytes: number): void => {
  young.garbage = Array((Math.min(bytes * share, most) / pointerBytes) | 0)
}
