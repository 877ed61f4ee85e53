/** The distribution of what the kernel reports. */
import { describe, expect, it } from "@effect/vitest"
import { open } from "../../src/internal/kernel/openSelector.ts"
import { Interest } from "../../src/internal/kernel/selector.ts"
import { joinId } from "../../src/internal/kernel/userData.ts"
import { libc } from "../../src/internal/libc/koffi.ts"
import { MailboxReader } from "../../src/internal/shared/mailbox.ts"
import { PollerMemory } from "../../src/internal/shared/pollerMemory.ts"
import { Router } from "../../src/internal/shared/router.ts"
import * as Kernel from "../support/kernel.ts"

/** A router, the reader of one mailbox, and three descriptors that are registered for it. */
const opened = (batchSize: number) => {
  const memory = PollerMemory.make(2, 4)
  memory.mailboxes.claim(1)
  const mailbox = memory.mailboxes.claim(1)
  const reader = new MailboxReader(memory, mailbox)
  const selector = open(libc(), batchSize)
  const router = new Router(memory, selector, undefined)
  const fds = [Kernel.source(), Kernel.source(), Kernel.source()] as const
  fds.forEach((fd, index) => expect(selector.add(fd, Interest.Read, mailbox, index + 1)).toBe(0))
  return { fds, reader, router, selector }
}

describe("the router", () => {
  it("brings in all that is ready for a sync, even if the kernel's list begins with an older wake-up", () => {
    const { fds, reader, router, selector } = opened(1)
    selector.wake()
    for (const fd of fds) Kernel.signal(fd)
    const request = reader.requestSync()
    selector.wake()
    router.poll(0)
    expect(reader.synced).toBe(request)
    const ids: Array<number> = []
    reader.drain((low, word) => ids.push(joinId(low, word)))
    expect(ids).toEqual([1, 2, 3])
    for (const fd of fds) Kernel.close(fd)
    selector.close()
  })

  it("says whether the thread that it has notified had taken everything before", () => {
    const { fds, reader, router, selector } = opened(8)
    const notify = (fd: number) => {
      Kernel.signal(fd)
      while (router.poll(1000) === 0);
      return router.isAwaited
    }
    // Windows reports a readiness once, so each notification has a descriptor of its own.
    const [first, second, third] = fds
    expect(notify(first)).toBe(true)
    expect(notify(second)).toBe(false)
    reader.drain(() => {})
    expect(notify(third)).toBe(true)
    // A wake-up notifies no thread.
    reader.drain(() => {})
    selector.wake()
    router.poll(1000)
    expect(router.isAwaited).toBe(false)
    for (const fd of fds) Kernel.close(fd)
    selector.close()
  })
})
