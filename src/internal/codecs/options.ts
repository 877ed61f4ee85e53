/** Limits as users give them. */

/** How much is written at once where many small things are put together, in bytes. */
export const blockSize = 65_536

/** The limit to use. An option that is out of range is a mistake in the program, so it throws. */
export const maxLengthOf = (
  options: { readonly maxLength?: number | undefined } | undefined,
  otherwise: number,
  most: number
): number => {
  const maxLength = options?.maxLength ?? otherwise
  if (!Number.isInteger(maxLength) || maxLength < 0 || maxLength > most) {
    throw new RangeError(`maxLength is ${String(maxLength)}: give a whole number of bytes from 0 to ${most}`)
  }
  return maxLength
}
