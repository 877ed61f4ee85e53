/** Making, opening, duplicating and taking over descriptors. */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Option, Scope } from "effect"
import { Fd } from "effect-amy"
import { openSync } from "node:fs"
import { join } from "node:path"
import * as Kernel from "../support/kernel.ts"
import { outcome } from "../support/opened.ts"
import * as Owned from "../support/owned.ts"
import { count, fifo, leavesNothing, text } from "../support/owned.ts"
import { encode, scopedFds } from "../support/watched.ts"

describe("Fd: constructors", () => {
  it.live("promise 11: every descriptor that it opens is close-on-exec and non-blocking", () =>
    leavesNothing(
      Effect.gen(function* () {
        const path = yield* fifo
        const { reader, writer } = yield* Fd.pipe
        const eventfd = yield* Fd.eventfd()
        const opened = [reader, writer, eventfd, yield* eventfd.dup, yield* reader.dup, yield* Fd.open(path, "both")]
        for (const { fd } of opened) {
          expect(Kernel.isCloseOnExec(fd)).toBe(true)
          expect(Kernel.isNonblocking(fd)).toBe(true)
        }
        expect(new Set(opened.map(({ fd }) => fd)).size).toBe(opened.length)
      })
    )
  )

  it.live("eventfd counts from its initial count, and refuses an invalid one", () =>
    leavesNothing(
      Effect.gen(function* () {
        for (const initial of [1, 5, 0xffff_ffff]) {
          const eventfd = yield* Fd.eventfd(initial)
          yield* eventfd.tryWrite(count(2n))
          const buffer = new BigUint64Array(1)
          expect(yield* eventfd.tryRead(new Uint8Array(buffer.buffer))).toEqual(Option.some(8))
          expect(buffer[0]).toBe(BigInt(initial) + 2n)
          expect(yield* eventfd.tryRead(new Uint8Array(buffer.buffer))).toEqual(Option.none())
        }
        for (const initial of [-1, 0.5, Number.NaN, 2 ** 32, "1" as never]) {
          expect(yield* outcome(Fd.eventfd(initial))).toBe("InvalidArgument")
        }
        const eventfd = yield* Fd.eventfd()
        const error = yield* Effect.flip(eventfd.tryRead(new Uint8Array(4)))
        expect(error.reason).toMatchObject({ _tag: "InvalidArgument", code: "EINVAL", syscall: "read" })
      })
    )
  )

  it.live("dup makes a second number for the same open file, which is closed separately", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { reader, writer } = yield* Fd.pipe
        const inner = yield* Scope.make()
        const copy = yield* Effect.provideService(writer.dup, Scope.Scope, inner)
        yield* writer.close
        yield* copy.tryWrite(encode("x"))
        expect(yield* reader.tryRead(new Uint8Array(8))).toEqual(Option.some(1))
        expect(yield* reader.tryRead(new Uint8Array(8))).toEqual(Option.none())
        yield* Scope.close(inner, Exit.void)
        expect(copy.fd).toBe(-1)
        expect(yield* reader.tryRead(new Uint8Array(8))).toEqual(Option.some(0))
      })
    )
  )

  it.live("setNonblocking sets and clears the mode of every duplicate, and changes no other flag", () =>
    leavesNothing(
      Effect.gen(function* () {
        const [read] = yield* scopedFds(Kernel.blockingPipe)
        const owned = yield* Fd.own(Kernel.dup(read))
        for (const mode of [true, true, false, false, true]) {
          yield* owned.setNonblocking(mode)
          expect(Kernel.isNonblocking(owned.fd)).toBe(mode)
          expect(Kernel.isNonblocking(read)).toBe(mode)
        }
        expect(yield* owned.tryRead(new Uint8Array(1))).toEqual(Option.none())
        for (const [fd, mode] of [
          [read, false],
          [{ fd: read }, true],
          [owned, false]
        ] as const) {
          yield* Fd.setNonblocking(fd, mode)
          expect(Kernel.isNonblocking(read)).toBe(mode)
        }
        for (const invalid of [Number.NaN, 1.5, "3", undefined, null, {}]) {
          expect(yield* outcome(Fd.setNonblocking(invalid as number, true))).toBe("InvalidArgument")
        }
        for (const mode of ["false", 1, null, undefined]) {
          expect(yield* outcome(Fd.setNonblocking(read, mode as never))).toBe("InvalidArgument")
          expect(yield* outcome(owned.setNonblocking(mode as never))).toBe("InvalidArgument")
        }
        expect(yield* outcome(Fd.setNonblocking(100_000, true))).toBe("BadDescriptor")
        expect(yield* outcome(Fd.setNonblocking(-1, true))).toBe("BadDescriptor")
        yield* owned.setNonblocking(true)
        const directory = yield* Owned.directory
        const appending = yield* Fd.own(openSync(join(directory, "file"), "a"))
        yield* appending.setNonblocking(true)
        yield* appending.tryWrite(encode("one"))
        const same = yield* Fd.own(openSync(join(directory, "file"), "a"))
        yield* same.tryWrite(encode("two"))
        yield* appending.tryWrite(encode("three"))
        const reader = yield* Fd.own(openSync(join(directory, "file"), "r"))
        const buffer = new Uint8Array(32)
        expect(text(buffer, Option.getOrThrow(yield* reader.tryRead(buffer)))).toBe("onetwothree")
      })
    )
  )

  it.live("own takes over an open descriptor, leaves its mode alone, and refuses everything else", () =>
    leavesNothing(
      Effect.gen(function* () {
        const [read, write] = yield* scopedFds(Kernel.blockingPipe)
        yield* Effect.scoped(Fd.own(read))
        expect(Kernel.isOpen(read)).toBe(false)
        expect(yield* outcome(Fd.own(read))).toBe("BadDescriptor")
        const owned = yield* Fd.own(write)
        expect(owned.fd).toBe(write)
        expect(Kernel.isNonblocking(write)).toBe(false)
        expect(yield* outcome(Fd.own(-1))).toBe("BadDescriptor")
        expect(yield* outcome(Fd.own(999_999))).toBe("BadDescriptor")
        for (const none of [0.5, Number.NaN, 2 ** 40, Infinity, "3" as never, null as never, undefined as never]) {
          expect(yield* outcome(Fd.own(none))).toBe("InvalidArgument")
        }
      })
    )
  )
})

describe("Fd: open", () => {
  it.live("a FIFO can be opened to read at once, to write once it is read, and for both at any time", () =>
    leavesNothing(
      Effect.gen(function* () {
        const path = yield* fifo
        const early = yield* Effect.flip(Fd.open(path, "write"))
        expect(early.reason).toMatchObject({ _tag: "SystemError", code: "ENXIO", syscall: `open("${path}")` })
        const reader = yield* Fd.open(path, "read")
        expect(yield* reader.tryRead(new Uint8Array(8))).toEqual(Option.some(0))
        const writer = yield* Fd.open(path, "write")
        expect(yield* reader.tryRead(new Uint8Array(8))).toEqual(Option.none())
        yield* writer.tryWrite(encode("hello"))
        expect(yield* reader.tryRead(new Uint8Array(8))).toEqual(Option.some(5))
        yield* writer.close
        expect(yield* reader.tryRead(new Uint8Array(8))).toEqual(Option.some(0))
        const both = yield* Fd.open(path, "both")
        expect(yield* reader.tryRead(new Uint8Array(8))).toEqual(Option.none())
        expect(yield* both.tryRead(new Uint8Array(8))).toEqual(Option.none())
        expect(yield* outcome(reader.tryWrite(encode("x")))).toBe("BadDescriptor")
      })
    )
  )

  it.live("a device can be opened", () =>
    leavesNothing(
      Effect.gen(function* () {
        const zero = yield* Fd.open("/dev/zero", "read")
        const buffer = new Uint8Array(4).fill(1)
        expect(yield* zero.tryRead(buffer)).toEqual(Option.some(4))
        expect(buffer).toEqual(new Uint8Array(4))
      })
    )
  )

  it.live("a path that does not exist is not created, and invalid paths and accesses are refused", () =>
    leavesNothing(
      Effect.gen(function* () {
        const directory = yield* Owned.directory
        for (const access of ["read", "write", "both"] as const) {
          const path = join(directory, "none")
          const error = yield* Effect.flip(Fd.open(path, access))
          expect(error.reason).toMatchObject({ _tag: "NotFound", code: "ENOENT", syscall: `open("${path}")` })
        }
        expect(yield* outcome(Fd.open(directory, "write"))).toBe("SystemError")
        expect(yield* outcome(Fd.open("a\0b", "read"))).toBe("InvalidArgument")
        expect(yield* outcome(Fd.open("/dev/null", "append" as never))).toBe("InvalidArgument")
        expect(yield* outcome(Fd.open(5 as never, "read"))).toBe("InvalidArgument")
        expect(yield* outcome(Fd.open("x".repeat(5000), "read"))).toBe("InvalidArgument")
      })
    )
  )
})
