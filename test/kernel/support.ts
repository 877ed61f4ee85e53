/** What the tests of both selectors share. */
import type { Selector } from "../../src/internal/kernel/selector.ts"
import { joinId, maxMailboxes } from "../../src/internal/kernel/userData.ts"

/** Ids around the borders of their two words. */
export const ids = [
  1,
  0x7fff_ffff,
  0x8000_0000,
  0xffff_ffff,
  0x1_0000_0000,
  0x1_0000_0001,
  2 ** 52 + 3,
  Number.MAX_SAFE_INTEGER
]

export const mailboxes = [0, 1, 2, 1023, 1024, maxMailboxes]

export type Entry = readonly [mailbox: number, id: number, readiness: number]

/** Polls, and returns the entries of the batch. */
export const entriesOf = (selector: Selector): ReadonlyArray<Entry> =>
  Array.from({ length: selector.wait(0) }, (_, index) => [
    selector.mailbox(index),
    joinId(selector.low(index), selector.high(index)),
    selector.readiness(index)
  ])
