/** The notes by which a thread closes what a terminated one has left open. */
import { describe, expect, it } from "@effect/vitest"
import { Owners } from "../../src/internal/kernel/owners.ts"
import { libc } from "../../src/internal/libc/koffi.ts"
import { OpenedDescriptors } from "../../src/internal/shared/openedDescriptors.ts"
import * as Kernel from "../support/kernel.ts"

const [here, elsewhere, dead] = [1, 2, 3]
const isAlive = (thread: number) => thread !== dead

/** Makes notes, and functions that open an eventfd and close one, for each thread. */
const make = () => {
  const opened = OpenedDescriptors.make()
  const of = (thread: number) => {
    const { errno, functions, profile } = opened.noting(libc(), thread)
    if (profile.selector !== "epoll") throw new Error("there is no eventfd")
    return {
      open: () => functions.eventfd(0, profile.eventfd.CLOEXEC),
      duplicate: (fd: number) => functions.fcntl(fd, profile.fcntl.F_DUPFD_CLOEXEC, "int", 0),
      close: (fd: number) => functions.close(fd),
      errno
    }
  }
  return { opened, of, closeLeft: () => opened.closeLeft(libc(), here, isAlive, Owners.make().buffer) }
}

const isOpen = (fd: number) => Kernel.openDescriptors().has(fd)

describe("the notes of opened descriptors", () => {
  it("close what a terminated thread has left, and nothing of the others", () => {
    const { closeLeft, of, opened } = make()
    const left = [of(dead).open(), of(dead).duplicate(0)]
    const kept = [of(here).open(), of(elsewhere).open(), of(elsewhere).duplicate(left[0]!), of(0).open()]
    expect(closeLeft()).toBe(true)
    expect(left.map(isOpen)).toEqual([false, false])
    expect(kept.map(isOpen)).toEqual([true, true, true, true])
    expect(left.map((fd) => opened.threadOf(fd))).toEqual([0, 0])
    expect(kept.map((fd) => opened.threadOf(fd))).toEqual([here, elsewhere, elsewhere, 0])
    for (const fd of kept.slice(1)) of(elsewhere).close(fd)
    expect(closeLeft()).toBe(false)
    expect(isOpen(kept[0]!)).toBe(true)
    of(here).close(kept[0]!)
  })

  it("do not close a descriptor that has reused the number of one that its thread closed", () => {
    const { closeLeft, of } = make()
    const fd = of(dead).open()
    of(dead).close(fd)
    const reused = Kernel.source()
    expect(reused).toBe(fd)
    closeLeft()
    expect(isOpen(reused)).toBe(true)
    Kernel.close(reused)
  })

  it("are shared, and hold the number of every descriptor", () => {
    const { closeLeft, of, opened } = make()
    const { functions, profile } = opened.noting(libc(), dead)
    const highest = functions.fcntl(0, profile.fcntl.F_DUPFD_CLOEXEC, "int", 5000)
    expect(highest).toBeGreaterThanOrEqual(5000)
    expect(new OpenedDescriptors(opened.buffer).threadOf(highest)).toBe(dead)
    for (const fd of [-1, NaN, 2 ** 40, 100_000]) expect(opened.threadOf(fd)).toBe(0)
    closeLeft()
    expect(isOpen(highest)).toBe(false)
    expect(OpenedDescriptors.isBuffer(opened.buffer)).toBe(true)
    of(here).close(-1)
  })

  it("leave failures of the system as they are", () => {
    const { of } = make()
    expect(of(here).duplicate(-1)).toBe(-1)
    expect(of(here).errno()).toBe(libc().profile.errno.EBADF)
    expect(of(here).close(-1)).toBe(-1)
    expect(of(here).errno()).toBe(libc().profile.errno.EBADF)
  })

  it("are not taken from a foreign buffer", () => {
    const { buffer } = OpenedDescriptors.make()
    for (const foreign of [
      new SharedArrayBuffer(buffer.byteLength),
      new SharedArrayBuffer(buffer.byteLength, { maxByteLength: buffer.maxByteLength + 4 }),
      new SharedArrayBuffer(0, { maxByteLength: buffer.maxByteLength })
    ]) {
      expect(OpenedDescriptors.isBuffer(foreign)).toBe(false)
    }
  })
})
