/** io_uring(7): what is its own. */
import { expect, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { readFileSync } from "node:fs"
import { libc } from "../../src/internal/libc/koffi.ts"
import type { Functions } from "../../src/internal/libc/prototypes/index.ts"
import { linux } from "../../src/internal/libc/profiles/linux.ts"
import { openIoUring } from "../../src/internal/kernel/ioUring.ts"
import type { SubmissionQueue } from "../../src/internal/kernel/submissionQueue.ts"
import { changeFunctions, describeUring, uringDescriptors } from "../support/batch.ts"
import * as Kernel from "../support/kernel.ts"
import { memory, socketPair, submit } from "../support/queues.ts"

const EAGAIN = 11
const ENOTSOCK = 88

const openedUring = (capacity: number): Effect.Effect<SubmissionQueue, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => openIoUring(libc(), capacity)!),
    (uring) => Effect.sync(() => uring.close())
  )

const mappings = () => readFileSync("/proc/self/maps", "utf8").match(/.*io_uring.*/g)?.length ?? 0

/** Changes what io_uring_setup returns. */
const setup = (change: (result: number, params: Uint32Array) => number) =>
  changeFunctions(({ io_uring_setup }) => ({
    io_uring_setup: (number, entries, params) => change(io_uring_setup(number, entries, params), params)
  }))

const opensNone = (name: string, change: Effect.Effect<void, never, Scope.Scope>) =>
  it.live(`opens no ring ${name}, and leaves nothing behind`, () =>
    Effect.gen(function* () {
      const before = Kernel.openDescriptors()
      const mapped = mappings()
      yield* change
      expect(openIoUring(libc(), 128)).toBeUndefined()
      expect(Kernel.openDescriptors()).toEqual(before)
      expect(mappings()).toBe(mapped)
    }).pipe(Effect.scoped)
  )

describeUring("opening and closing", () => {
  it.live("leaves no descriptor and no memory after two hundred rings", () =>
    Effect.gen(function* () {
      const [near, far] = yield* socketPair
      const { address } = memory(8)
      const before = Kernel.openDescriptors()
      const mapped = mappings()
      const rings = uringDescriptors()
      for (let i = 0; i < 200; i++) {
        const uring = openIoUring(libc(), 128)!
        expect(uringDescriptors()).toBe(rings + 1)
        expect(mappings()).toBeGreaterThan(mapped)
        far.write("x")
        uring.receive(near.fd, address, 8)
        expect(submit(uring, 1)).toEqual([1])
        uring.close()
      }
      expect(Kernel.openDescriptors()).toEqual(before)
      expect(mappings()).toBe(mapped)
    }).pipe(Effect.scoped)
  )

  opensNone(
    "if the kernel has no io_uring, or forbids it",
    changeFunctions(() => ({ io_uring_setup: () => -1 }))
  )
  opensNone(
    "if the kernel is too old",
    setup((fd, params) => {
      params[linux.ioUring.params.features]! &= ~linux.ioUring.FEAT_FAST_POLL
      return fd
    })
  )
  opensNone(
    "if its memory cannot be mapped",
    changeFunctions(() => ({ mmap: () => -1 }))
  )
  opensNone(
    "if only one part of its memory can be mapped",
    changeFunctions(({ mmap }) => {
      let count = 0
      const once: Functions["mmap"] = (...all) => (count++ === 0 ? mmap(...all) : -1)
      return { mmap: once }
    })
  )

  opensNone(
    "if it is turned off for Node",
    Effect.acquireRelease(
      Effect.sync(() => {
        const before = process.env["UV_USE_IO_URING"]
        process.env["UV_USE_IO_URING"] = "0"
        return before
      }),
      (before) =>
        Effect.sync(() => {
          if (before === undefined) delete process.env["UV_USE_IO_URING"]
          else process.env["UV_USE_IO_URING"] = before
        })
    )
  )

  it.live("tries again without flags on a kernel that does not know them", () =>
    Effect.gen(function* () {
      const asked: Array<number> = []
      yield* changeFunctions(({ io_uring_setup }) => ({
        io_uring_setup: (number, entries, params) => {
          const flags = params[linux.ioUring.params.flags]!
          asked.push(flags)
          return flags === 0 ? io_uring_setup(number, entries, params) : -1
        }
      }))
      const uring = yield* openedUring(4)
      expect(asked).toEqual([linux.ioUring.SETUP_SINGLE_ISSUER | linux.ioUring.SETUP_COOP_TASKRUN, 0])
      const [near, far] = yield* socketPair
      far.write("x")
      const { address } = memory(8)
      uring.receive(near.fd, address, 8)
      expect(submit(uring, 1)).toEqual([1])
    }).pipe(Effect.scoped)
  )
})

describeUring("a ring", () => {
  it.live("has a capacity that is rounded up to a power of two", () =>
    Effect.gen(function* () {
      expect((yield* openedUring(5)).capacity).toBe(8)
    }).pipe(Effect.scoped)
  )

  it.live("receives from sockets only", () =>
    Effect.gen(function* () {
      const uring = yield* openedUring(1)
      const fd = Kernel.eventfd()
      uring.receive(fd, memory(8).address, 8)
      expect(submit(uring, 1)).toEqual([-ENOTSOCK])
      Kernel.close(fd)
    }).pipe(Effect.scoped)
  )

  it.live("makes each call once if it is interrupted, or takes only some of the calls", () =>
    Effect.gen(function* () {
      let isInterrupted = false
      let errno = 0
      yield* changeFunctions(({ io_uring_enter }) => ({
        io_uring_enter: (number, fd, count, ...rest) => {
          isInterrupted = !isInterrupted
          errno = isInterrupted ? 4 : 0
          return isInterrupted ? -1 : io_uring_enter(number, fd, Math.min(count, 1), ...rest)
        }
      }))
      const changed = { ...libc(), errno: () => errno }
      const uring = openIoUring(changed, 4)!
      yield* Effect.addFinalizer(() => Effect.sync(() => uring.close()))
      const [near, far] = yield* socketPair
      const { address, bytes } = memory(8)
      for (let round = 0; round < 10; round++) {
        far.write("abc")
        for (let i = 0; i < 4; i++) uring.receive(near.fd, address + i, 1)
        expect(submit(uring, 4)).toEqual([1, 1, 1, -EAGAIN])
        expect(bytes.subarray(0, 3).toString()).toBe("abc")
      }
    }).pipe(Effect.scoped)
  )
})
