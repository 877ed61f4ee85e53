/** Finds where UTF-8 goes wrong: the platform's decoder only says that it does. */

/**
 * Returns how many bytes at the start are whole, valid characters. The first `from` are known to be. Follows table 3-7 of the Unicode
 * standard: no overlong forms, no surrogates, nothing above U+10FFFF.
 */
export const validUpTo = (bytes: Uint8Array, from = 0): number => {
  let start = from
  while (start < bytes.length) {
    const length = characterAt(bytes, start)
    if (length === 0) return start
    start += length
  }
  return start
}

/** Returns the length of the character that starts here, or 0 if it is invalid. */
const characterAt = (bytes: Uint8Array, start: number): number => {
  const first = bytes[start]!
  if (first < 0x80) return 1
  if (first < 0xc2 || first > 0xf4) return 0
  const length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4
  // Only the second byte has bounds that depend on the first.
  const low = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80
  const high = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf
  if (!within(bytes[start + 1], low, high)) return 0
  for (let i = 2; i < length; i++) {
    if (!within(bytes[start + i], 0x80, 0xbf)) return 0
  }
  return length
}

const within = (byte: number | undefined, low: number, high: number): boolean =>
  byte !== undefined && byte >= low && byte <= high
