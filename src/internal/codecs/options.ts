/** Limits, as users pass them. */

/** How many bytes are written at once where many small things are put together. */
export const blockSize = 65_536

/** Returns the limit to use. Throws if it is out of range, which is a mistake in the program. */
export const maxLengthOf = (
  options: { readonly maxLength?: number | undefined } | undefined,
  defaultLimit: number,
  most: number
): number => {
  const maxLength = options?.maxLength ?? defaultLimit
  if (!Number.isInteger(maxLength) || maxLength < 0 || maxLength > most) {
    throw new RangeError(`invalid maxLength ${String(maxLength)}: expected an integer from 0 to ${most}`)
  }
  return maxLength
}
