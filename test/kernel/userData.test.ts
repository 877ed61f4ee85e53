/** The two words of user data. */
import { describe, expect, it } from "@effect/vitest"
import { highOf, highWordOf, joinId, lowOf } from "../../src/internal/kernel/userData.ts"
import { ids, mailboxes } from "./support.ts"

describe("user data", () => {
  it("splits and joins ids of up to 53 bits", () => {
    for (const id of ids) expect(joinId(lowOf(id), highOf(id))).toBe(id)
  })

  it("keeps the id apart from the mailbox above it", () => {
    for (const id of ids) {
      for (const mailbox of mailboxes) expect(joinId(lowOf(id), highWordOf(mailbox, id))).toBe(id)
    }
  })
})
