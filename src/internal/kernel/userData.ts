/** The kernel's 64 bits of user data: which mailbox a report is for, and the id of its registration. */

/**
 * Ids are 53 bits: 32 low ones, and 21 high ones that share a word with whatever else has to travel along (the mailbox
 * in the kernel's user data, the readiness in a mailbox).
 */
export const highBits = 21
export const highMask = (1 << highBits) - 1

export const joinId = (low: number, high: number): number => (high & highMask) * 0x1_0000_0000 + (low >>> 0)
export const lowOf = (id: number): number => id | 0
export const highOf = (id: number): number => Math.floor(id / 0x1_0000_0000)

/** How many mailboxes the user data can tell apart. Number 0 is the library's own. */
export const maxMailboxes = 0x7ff
