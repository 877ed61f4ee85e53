/** Linux AIO: what is its own. */
import { describe, expect, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { closeSync, constants, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { libc, type Libc } from "../../src/internal/libc/koffi.ts"
import { linux } from "../../src/internal/libc/profiles/linux.ts"
import { openAio } from "../../src/internal/kernel/aio.ts"
import { destroyContext, releaseContext } from "../../src/internal/kernel/aioContext.ts"
import type { SubmissionQueue } from "../../src/internal/kernel/submissionQueue.ts"
import { aioContexts, changeFunctions, describeAio, withoutSpare } from "../support/batch.ts"
import * as Kernel from "../support/kernel.ts"
import { iocb, iocbsAt } from "../support/olderKernel.ts"
import { memory, socketPair, submit } from "../support/queues.ts"

const EAGAIN = 11
const EBADF = 9
const calls = linux.aio.calls[process.arch]!

const openedAio = (capacity: number): Effect.Effect<SubmissionQueue, never, Scope.Scope> =>
  Effect.gen(function* () {
    const place = new BigInt64Array(1)
    return yield* Effect.acquireRelease(
      Effect.sync(() => openAio(libc(), capacity, place)!),
      (aio) =>
        Effect.sync(() => {
          aio.close()
          destroyContext(libc(), calls, place)
        })
    )
  })

const opensNone = (name: string, change: Effect.Effect<unknown, never, Scope.Scope>) =>
  it.live(`opens no queue ${name}, and leaves nothing behind`, () =>
    Effect.gen(function* () {
      yield* withoutSpare
      const before = Kernel.openDescriptors()
      const contexts = aioContexts()
      yield* change
      const place = new BigInt64Array(1)
      expect(openAio(libc(), 128, place)).toBeUndefined()
      expect(place[0]).toBe(0n)
      expect(Kernel.openDescriptors()).toEqual(before)
      expect(aioContexts()).toBe(contexts)
    }).pipe(Effect.scoped)
  )

describeAio("opening and closing", () => {
  opensNone(
    "if the kernel has no AIO, forbids it, or has no context left",
    changeFunctions(() => ({ io_setup: () => -1 }))
  )
  opensNone(
    "if there is no socket with which to try it",
    changeFunctions(() => ({ socket: () => -1 }))
  )
  opensNone(
    "if calls may not be submitted",
    changeFunctions(() => ({ io_submit: () => -1 }))
  )
  opensNone(
    "if results come later",
    changeFunctions(() => ({ io_submit: () => 1 }))
  )
  opensNone(
    "if its ring cannot be read",
    changeFunctions(({ io_setup }) => ({
      io_setup: (number, entries, place) => {
        const result = io_setup(number, entries, place)
        new Int32Array(libc().memoryAt(Number(place[0]), 32))[4] = 0
        return result
      }
    }))
  )
  opensNone(
    "if it is turned off",
    Effect.acquireRelease(
      Effect.sync(() => void (process.env["EFFECT_AMY_USE_AIO"] = "0")),
      () => Effect.sync(() => delete process.env["EFFECT_AMY_USE_AIO"])
    )
  )

  it("opens no queue on an architecture whose numbers are unknown", () => {
    const unknown = { ...libc(), profile: { ...linux, aio: { ...linux.aio, calls: {} } } } as Libc
    expect(openAio(unknown, 1, new BigInt64Array(1))).toBeUndefined()
    releaseContext(unknown, new BigInt64Array(1))
  })

  it.live("a context that a thread has left is used by the next one, without what was not read", () =>
    Effect.gen(function* () {
      const [near, far] = yield* socketPair
      const { address } = memory(8)
      let dies = false
      yield* changeFunctions(({ io_submit }) => ({
        io_submit: (...all) => {
          const taken = io_submit(...all)
          if (dies) throw new Error("the thread is terminated")
          return taken
        }
      }))
      const place = new BigInt64Array(1)
      const first = openAio(libc(), 4, place)!
      const noted = place[0]
      const contexts = aioContexts()
      far.write("xyz")
      for (let i = 0; i < 3; i++) first.receive(near.fd, address, 1)
      dies = true
      expect(() => submit(first, 3)).toThrow("the thread is terminated")
      dies = false
      const second = openAio(libc(), 4, place)!
      expect(place[0]).toBe(noted)
      expect(aioContexts()).toBe(contexts)
      far.write("ab")
      for (let i = 0; i < 3; i++) second.receive(near.fd, address, 1)
      expect(submit(second, 3)).toEqual([1, 1, -EAGAIN])
      destroyContext(libc(), calls, place)
      expect(place[0]).toBe(0n)
      expect(aioContexts()).toBe(contexts - 1)
    }).pipe(Effect.scoped)
  )

  it.live("the main thread keeps a context for its next poller, and makes no system call for it", () =>
    Effect.gen(function* () {
      yield* withoutSpare
      const place = new BigInt64Array(1)
      openAio(libc(), 4, place)!.close()
      const noted = place[0]
      const contexts = aioContexts()
      releaseContext(libc(), place)
      expect(place[0]).toBe(0n)
      expect(aioContexts()).toBe(contexts)
      yield* changeFunctions(() => ({ io_setup: () => -1 }))
      const aio = openAio(libc(), 4, place)
      expect(place[0]).toBe(noted)
      expect(aio).toBeDefined()
      destroyContext(libc(), calls, place)
    }).pipe(Effect.scoped)
  )
})

describeAio("a queue", () => {
  it.live("holds no more calls than its context has room for", () =>
    Effect.gen(function* () {
      expect((yield* openedAio(5)).capacity).toBe(5)
      expect((yield* openedAio(4096)).capacity).toBe(128)
    }).pipe(Effect.scoped)
  )

  it.live("goes on after a closed descriptor, wherever it is", () =>
    Effect.gen(function* () {
      const aio = yield* openedAio(4)
      const [near, far] = yield* socketPair
      const [closed] = yield* socketPair
      closed.close()
      const { address } = memory(8)
      for (let broken = 0; broken < 16; broken++) {
        const isBroken = (i: number) => (broken & (1 << i)) !== 0
        far.write("abcd")
        for (let i = 0; i < 4; i++) aio.receive(isBroken(i) ? closed.fd : near.fd, address + i, 1)
        expect(submit(aio, 4)).toEqual([0, 1, 2, 3].map((i) => (isBroken(i) ? -EBADF : 1)))
        near.read()
      }
    }).pipe(Effect.scoped)
  )

  it.live("takes results meanwhile if there is no room for more", () =>
    Effect.gen(function* () {
      let unread = 0
      yield* changeFunctions(({ io_submit }) => ({
        io_submit: (number, context, count, at) => {
          const taken = unread >= 2 ? 0 : io_submit(number, context, Math.min(count, 2), at)
          unread = taken === 0 ? 0 : unread + taken
          if (taken > 0) return taken
          libc().errno(EAGAIN)
          return -1
        }
      }))
      const aio = yield* openedAio(4)
      const [near, far] = yield* socketPair
      const { address, bytes } = memory(8)
      for (let round = 0; round < 3; round++) {
        unread = 0
        far.write("abcd")
        for (let i = 0; i < 4; i++) aio.receive(near.fd, address + i, 1)
        expect(submit(aio, 4)).toEqual([1, 1, 1, 1])
        expect(bytes.toString("latin1", 0, 4)).toBe("abcd")
      }
    }).pipe(Effect.scoped)
  )

  it.live("waits for a call that the kernel does not complete at once, as for a file", () =>
    Effect.gen(function* () {
      // The caller's memory is in use until then. A temporary directory may have no such files.
      const root = mkdtempSync(fileURLToPath(new URL(".direct-", import.meta.url)))
      const path = join(root, "file")
      writeFileSync(path, Buffer.alloc(1 << 20, "x"))
      const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECT)
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          closeSync(fd)
          rmSync(root, { recursive: true })
        })
      )
      const { address, bytes } = memory(3 << 19)
      const aligned = 4096 - (address % 4096)
      // A file has no mode in which its reads do not wait.
      yield* changeFunctions(({ io_submit }) => ({
        io_submit: (number, context, count, at) => {
          for (const words of iocbsAt(count, at)) words[iocb.flags] = 0
          return io_submit(number, context, count, at)
        }
      }))
      const aio = yield* openedAio(2)
      for (let round = 0; round < 20; round++) {
        bytes.fill(0)
        aio.receive(fd, address + aligned, 1 << 20)
        expect(submit(aio, 1)).toEqual([1 << 20])
        expect(bytes.subarray(aligned, aligned + (1 << 20)).every((byte) => byte === 0x78)).toBe(true)
      }
    }).pipe(Effect.scoped)
  )
})

/**
 * The numbers of the kernel's own tables: `arch/x86/entry/syscalls/syscall_64.tbl` and
 * `syscall_32.tbl`, `arch/arm/tools/syscall.tbl`, `arch/powerpc/kernel/syscalls/syscall.tbl`,
 * `arch/s390/kernel/syscalls/syscall.tbl`, and `scripts/syscall.tbl` for arm64, riscv64 and loong64. In
 * this order: io_setup, io_destroy, io_getevents, io_submit, io_uring_setup, io_uring_enter, gettid, tgkill.
 */
const tables: { readonly [arch: string]: ReadonlyArray<number> } = {
  x64: [206, 207, 208, 209, 425, 426, 186, 234],
  ia32: [245, 246, 247, 248, 425, 426, 224, 270],
  arm: [243, 244, 245, 246, 425, 426, 224, 268],
  arm64: [0, 1, 4, 2, 425, 426, 178, 131],
  riscv64: [0, 1, 4, 2, 425, 426, 178, 131],
  loong64: [0, 1, 4, 2, 425, 426, 178, 131],
  ppc64: [227, 228, 229, 230, 425, 426, 207, 250],
  s390x: [243, 244, 245, 246, 425, 426, 236, 241]
}

describe("the numbers of the system calls", () => {
  it.each(Object.keys(tables) as Array<NodeJS.Architecture>)("are those of the kernel's table (%s)", (arch) => {
    const { destroy, getevents, setup, submit } = linux.aio.calls[arch]!
    const { gettid, tgkill } = linux.threadCalls[arch]!
    expect([setup, destroy, getevents, submit, linux.ioUring.setup, linux.ioUring.enter, gettid, tgkill]).toEqual(
      tables[arch]
    )
  })

  it("are known for the same architectures", () => {
    expect(Object.keys(linux.aio.calls).toSorted()).toEqual(Object.keys(tables).toSorted())
    expect(Object.keys(linux.threadCalls).toSorted()).toEqual(Object.keys(tables).toSorted())
  })
})
