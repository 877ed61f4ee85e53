/** The selector over epoll(7), on this machine's kernel. */
import { afterEach, beforeEach, describe, expect, it } from "@effect/vitest"
import { attach, borrow, open } from "../../src/internal/kernel/openSelector.ts"
import type { Selector } from "../../src/internal/kernel/selector.ts"
import { Interest, Readiness } from "../../src/internal/kernel/selector.ts"
import { SystemCallError } from "../../src/internal/kernel/systemCallError.ts"
import { joinId } from "../../src/internal/kernel/userData.ts"
import type { Libc } from "../../src/internal/libc/koffi.ts"
import { libc } from "../../src/internal/libc/koffi.ts"
import * as Kernel from "../support/kernel.ts"
import { entriesOf, ids, mailboxes } from "./support.ts"

const EEXIST = 17
const ENOENT = 2
const EBADF = 9
const EPERM = 1

/** Returns a C library whose waits fail. */
const failing = (errno: number): Libc => {
  const real = libc()
  return { ...real, errno: () => errno, functions: { ...real.functions, epoll_wait: () => -1 } }
}

describe("the epoll selector", () => {
  let before: ReadonlyMap<number, string>
  let selector: Selector
  let fd: number

  beforeEach(() => {
    before = Kernel.openDescriptors()
    selector = open(libc(), 4)
    fd = Kernel.eventfd()
  })

  afterEach(() => {
    selector.close()
    Kernel.close(fd)
    expect(Kernel.openDescriptors()).toEqual(before)
  })

  const reported = () => entriesOf(selector)

  it("reports a descriptor once for each change of its state", () => {
    expect(selector.add(fd, Interest.Read, 3, 42)).toBe(0)
    expect(reported()).toEqual([])
    Kernel.signal(fd)
    expect(reported()).toEqual([[3, 42, Readiness.Readable]])
    expect(reported()).toEqual([])
    Kernel.signal(fd)
    expect(reported()).toEqual([[3, 42, Readiness.Readable]])
  })

  it("reports a modified registration again, to its new mailbox, and a removed one no more", () => {
    expect(selector.add(fd, Interest.Read | Interest.Write, 3, 42)).toBe(0)
    expect(reported()).toEqual([[3, 42, Readiness.Writable]])
    expect(selector.modify(fd, Interest.Write, 4, 42)).toBe(0)
    expect(reported()).toEqual([[4, 42, Readiness.Writable]])
    expect(selector.modify(fd, Interest.Write | Interest.Oneshot, 4, 42)).toBe(0)
    expect(reported()).toEqual([[4, 42, Readiness.Writable]])
    Kernel.signal(fd)
    Kernel.drain(fd)
    expect(reported()).toEqual([])
    expect(selector.modify(fd, Interest.Write, 4, 42)).toBe(0)
    expect(selector.remove(fd, 42)).toBe(0)
    expect(reported()).toEqual([])
  })

  it("returns the kernel's error numbers", () => {
    expect(selector.modify(fd, Interest.Read, 1, 1)).toBe(ENOENT)
    expect(selector.remove(fd)).toBe(ENOENT)
    expect(selector.add(fd, Interest.Read, 1, 1)).toBe(0)
    expect(selector.add(fd, Interest.Read, 1, 2)).toBe(EEXIST)
    for (const call of [
      selector.add(-1, Interest.Read, 1, 1),
      selector.modify(-1, Interest.Read, 1, 1),
      selector.remove(-1)
    ]) {
      expect(call).toBe(EBADF)
    }
    expect(selector.syscalls).toEqual({ add: "epoll_ctl(ADD)", modify: "epoll_ctl(MOD)", remove: "epoll_ctl(DEL)" })
  })

  it("reports in several batches what does not fit into one", () => {
    expect(selector.capacity).toBe(4)
    const fds = Array.from({ length: 10 }, () => Kernel.eventfd())
    fds.forEach((each, index) => {
      expect(selector.add(each, Interest.Read, 1, index + 1)).toBe(0)
      Kernel.signal(each)
    })
    const batches = [reported(), reported(), reported(), reported()]
    expect(batches.map(({ length }) => length)).toEqual([4, 4, 2, 0])
    expect(batches.flat().map(([, id]) => id)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    for (const each of fds) Kernel.close(each)
  })

  it("is woken once for any number of wake-ups, including those before the wait", () => {
    selector.wake()
    selector.wake()
    expect(selector.wait(-1)).toBe(1)
    expect(selector.mailbox(0)).toBe(0)
    expect(reported()).toEqual([])
    selector.wake()
    expect(reported().map(([mailbox]) => mailbox)).toEqual([0])
  })

  it("is shared by the threads that attach to it or borrow it", () => {
    const attached = attach(libc(), selector.handle)
    expect(attached.handle.fd).not.toBe(selector.handle.fd)
    expect(attached.handle.wake).not.toBe(selector.handle.wake)
    for (const own of [attached.handle.fd, attached.handle.wake]) expect(Kernel.isCloseOnExec(own)).toBe(true)
    expect(attached.add(fd, Interest.Read, 2, 7)).toBe(0)
    Kernel.signal(fd)
    attached.wake()
    expect(reported().toSorted()).toEqual([
      [0, 0, Readiness.Readable],
      [2, 7, Readiness.Readable]
    ])
    attached.close()
    Kernel.signal(fd)
    const borrowed = borrow(libc(), selector.handle, 2)
    expect(borrowed.capacity).toBe(2)
    expect(borrowed.wait(0)).toBe(1)
    expect(joinId(borrowed.low(0), borrowed.high(0))).toBe(7)
  })

  it("ends a wait early for a signal, and throws any other failure of a wait", () => {
    expect(borrow(failing(4), selector.handle, 1).wait(1000)).toBe(0)
    const dead = borrow(libc(), { ...selector.handle, fd: -1 }, 1)
    expect(() => dead.wait(0)).toThrow(new SystemCallError("epoll_wait", EBADF))
  })

  it("closes what it has opened if it cannot open the rest", () => {
    const real = libc()
    const withoutEventfd: Libc = { ...real, functions: { ...real.functions, eventfd: () => real.functions.close(-1) } }
    const count = Kernel.openDescriptors().size
    expect(() => open(withoutEventfd, 1)).toThrow("eventfd failed with errno 9")
    const refusing: Libc = { ...real, errno: () => EPERM, functions: { ...real.functions, epoll_ctl: () => -1 } }
    expect(() => open(refusing, 1)).toThrow("epoll_ctl(ADD) failed with errno 1")
    expect(() => attach(real, { ...selector.handle, fd, wake: -1 })).toThrow(
      "fcntl(F_DUPFD_CLOEXEC) failed with errno 9"
    )
    expect(Kernel.openDescriptors().size).toBe(count)
  })

  it("carries every mailbox and id through the kernel and back", () => {
    Kernel.signal(fd)
    for (const id of ids) {
      for (const mailbox of mailboxes.slice(1)) {
        expect(selector.add(fd, Interest.Read, mailbox, id)).toBe(0)
        expect(selector.wait(0)).toBe(1)
        expect(selector.mailbox(0)).toBe(mailbox)
        expect(joinId(selector.low(0), selector.high(0))).toBe(id)
        expect(selector.readiness(0)).toBe(Readiness.Readable)
        expect(selector.remove(fd)).toBe(0)
      }
    }
  })
})
