/** Calls of a program's own through koffi. */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { Syscall } from "effect-amy"
import koffi from "koffi"
import { cFunction } from "../support/cLibrary.ts"
import * as Kernel from "../support/kernel.ts"
import { outcome } from "../support/opened.ts"
import { scopedFds } from "../support/watched.ts"

const EINTR = 4
const EXDEV = 18
const EAGAIN = process.platform === "linux" ? 11 : 35

const read = cFunction("intptr_t read(int fd, void *buffer, size_t count)") as (
  fd: number,
  buffer: Uint8Array,
  count: number
) => number

/** A call that fails with each errno in turn, and then succeeds. */
const failing = (errnos: Array<number>, failure: unknown = -1) => {
  let calls = 0
  return {
    get calls() {
      return calls
    },
    attempt: () => {
      const errno = errnos[calls++]
      if (errno === undefined) return "done"
      koffi.errno(errno)
      return failure
    }
  }
}

const hasFailed = (result: unknown) => result === null

describe("Syscall.call", () => {
  it.live("gives the result of a call", () =>
    Effect.gen(function* () {
      const [reader, writer] = yield* scopedFds(Kernel.pipe)
      Kernel.write(writer, 3)
      const buffer = new Uint8Array(8)
      expect(yield* Syscall.call("read", () => read(reader, buffer, 8))).toBe(3)
      // The call is made when the effect runs, each time.
      const call = failing([])
      const effect = Syscall.call("call", call.attempt)
      expect(call.calls).toBe(0)
      yield* effect
      yield* effect
      expect(call.calls).toBe(2)
    }).pipe(Effect.scoped)
  )

  it.live("fails with the reason of the errno, and names the call, the descriptor and the address", () =>
    Effect.gen(function* () {
      const attempt = Syscall.call("read", () => read(-1, new Uint8Array(1), 1), { fd: -1, address: "/dev/none" })
      const error = yield* Effect.flip(attempt)
      expect(error.reason).toMatchObject({ _tag: "BadDescriptor", syscall: "read", errno: 9, code: "EBADF", fd: -1 })
      expect(error.message).toMatch(/read.*\/dev\/none.*EBADF/)
      expect(yield* outcome(Syscall.call("call", failing([EXDEV]).attempt))).toBe("SystemError")
    })
  )

  it.live("is made again for as long as a signal interrupts it", () =>
    Effect.gen(function* () {
      const call = failing([EINTR, EINTR, EINTR])
      expect(yield* Syscall.call("call", call.attempt)).toBe("done")
      expect(call.calls).toBe(4)
    })
  )

  it.live("has failed if its result is -1, as a number or as a bigint, or as hasFailed says", () =>
    Effect.gen(function* () {
      expect(yield* outcome(Syscall.call("call", failing([9], -1n).attempt))).toBe("BadDescriptor")
      expect(yield* outcome(Syscall.call("call", failing([9], 0).attempt))).toBe("success")
      expect(yield* outcome(Syscall.call("call", failing([9], null).attempt, { hasFailed }))).toBe("BadDescriptor")
      expect(yield* outcome(Syscall.call("call", failing([9], -1).attempt, { hasFailed }))).toBe("success")
    })
  )

  it.live("is not made for ever if it fails without an errno after another was interrupted", () =>
    Effect.gen(function* () {
      koffi.errno(EINTR)
      let calls = 0
      const attempt = () => {
        if (++calls > 3) throw new Error("it was called again")
        return -1
      }
      const error = yield* Effect.flip(Syscall.call("pthread_join", attempt))
      expect(error.reason).toMatchObject({ _tag: "SystemError", errno: 0 })
      expect(calls).toBe(1)
    })
  )

  it.live("dies of what it throws", () =>
    Effect.gen(function* () {
      const thrown = new TypeError("Unexpected null value")
      const attempt = () => {
        throw thrown
      }
      expect(yield* Effect.sandbox(Syscall.call("call", attempt)).pipe(Effect.flip)).toMatchObject({
        reasons: [{ defect: thrown }]
      })
    })
  )
})

describe("Syscall.unlessBlocked", () => {
  it.live("gives none for a call that would block, and otherwise does as call does", () =>
    Effect.gen(function* () {
      const [reader, writer] = yield* scopedFds(Kernel.pipe)
      const attempt = Syscall.unlessBlocked("read", () => read(reader, new Uint8Array(8), 8), { fd: reader })
      expect(yield* attempt).toEqual(Option.none())
      Kernel.write(writer, 2)
      expect(yield* attempt).toEqual(Option.some(2))
      Kernel.close(writer)
      expect(yield* attempt).toEqual(Option.some(0))
      const interrupted = failing([EINTR, EAGAIN])
      expect(yield* Syscall.unlessBlocked("call", interrupted.attempt)).toEqual(Option.none())
      expect(yield* Syscall.unlessBlocked("call", interrupted.attempt)).toEqual(Option.some("done"))
      expect(yield* outcome(Syscall.unlessBlocked("call", failing([9]).attempt))).toBe("BadDescriptor")
    }).pipe(Effect.scoped)
  )
})
