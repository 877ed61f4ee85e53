/**
 * The 64 bits of user data that the kernel keeps for a registration and reports with it. They are
 * two words, and name the registration's mailbox and id.
 */

/**
 * An id has 53 bits: 32 in the low word, and 21 in the high word. The high word has room for one
 * more number above them: the mailbox in the kernel's user data, the readiness in a mailbox.
 */
export const highBits = 21
export const highMask = (1 << highBits) - 1

export const joinId = (low: number, high: number): number => (high & highMask) * 0x1_0000_0000 + (low >>> 0)
export const lowOf = (id: number): number => id | 0
export const highOf = (id: number): number => Math.floor(id / 0x1_0000_0000)

/** Returns the high word of a registration's user data. */
export const highWordOf = (mailbox: number, id: number): number => highOf(id) | (mailbox << highBits)

/** The largest number of a mailbox that fits into the user data. Number 0 is the library's own. */
export const maxMailboxes = 0x7ff
