/** Descriptors that are owned: what each call does, and that a number is given back once and not touched afterwards. */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Option, Scope } from "effect"
import { AsyncFd, Fd } from "effect-amy"
import { execFileSync } from "node:child_process"
import { closeSync, mkdtempSync, openSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Kernel from "./support/kernel.ts"
import { describeLayers } from "./support/layers.ts"
import { outcome } from "./support/opened.ts"
import { encode, scopedFds } from "./support/watched.ts"

const text = (buffer: Uint8Array, length = buffer.length) => new TextDecoder().decode(buffer.subarray(0, length))

const count = (value: bigint) => new Uint8Array(new BigUint64Array([value]).buffer)

const fifo = Effect.acquireRelease(
  Effect.sync(() => {
    const directory = mkdtempSync(join(tmpdir(), "fd-test-"))
    const path = join(directory, "fifo")
    execFileSync("mkfifo", [path])
    return { directory, path }
  }),
  ({ directory }) => Effect.sync(() => rmSync(directory, { recursive: true }))
)

/** Nothing that the test opened is open after it. */
const leavesNothing = <A, E>(effect: Effect.Effect<A, E, Scope.Scope>) =>
  Effect.gen(function* () {
    const before = Kernel.openDescriptors()
    yield* Effect.scoped(effect)
    expect(Kernel.openDescriptors()).toEqual(before)
  })

/** Every call of a descriptor, none of which may do anything once it is closed. */
const calls: {
  readonly [name: string]: (
    fd: Fd.Fd
  ) => Effect.Effect<
    unknown,
    Parameters<typeof outcome>[0] extends Effect.Effect<unknown, infer E, unknown> ? E : never,
    Scope.Scope
  >
} = {
  read: (fd) => fd.read(new Uint8Array(8)),
  write: (fd) => fd.write(count(1n)),
  readv: (fd) => fd.readv([new Uint8Array(8)]),
  writev: (fd) => fd.writev([count(1n)]),
  setNonblocking: (fd) => fd.setNonblocking(false),
  dup: (fd) => fd.dup,
  close: (fd) => fd.close,
  take: (fd) => fd.take
}

describe("Fd: reading and writing", () => {
  it.live("an empty pipe would block, a full one would block, and the end is zero", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { reader, writer } = yield* Fd.pipe
        const buffer = new Uint8Array(1 << 20)
        expect(yield* reader.read(buffer)).toEqual(Option.none())
        expect(yield* reader.readv([buffer])).toEqual(Option.none())
        const taken = Option.getOrThrow(yield* writer.write(buffer))
        expect(taken).toBe(65_536)
        expect(yield* writer.write(buffer)).toEqual(Option.none())
        expect(yield* writer.writev([buffer])).toEqual(Option.none())
        expect(yield* reader.read(buffer)).toEqual(Option.some(taken))
        yield* writer.close
        expect(yield* reader.read(buffer)).toEqual(Option.some(0))
      })
    )
  )

  it.live("an offset and a length are a part of the buffer, and nothing around it is touched", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { reader, writer } = yield* Fd.pipe
        expect(yield* writer.write(encode("0123456789"), 3, 4)).toEqual(Option.some(4))
        const buffer = new Uint8Array(10).fill(46)
        expect(yield* reader.read(buffer, 5)).toEqual(Option.some(4))
        expect(text(buffer)).toBe(".....3456.")
        yield* writer.write(encode("abcdef"), 4)
        yield* writer.write(encode("xyz"))
        expect(yield* reader.read(buffer, 1, 3)).toEqual(Option.some(3))
        expect(text(buffer)).toBe(".efx.3456.")
        expect(yield* reader.read(buffer, 9, 1)).toEqual(Option.some(1))
        expect(text(buffer)).toBe(".efx.3456y")
      })
    )
  )

  it.live("a buffer may itself be a part of a larger one", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { reader, writer } = yield* Fd.pipe
        const whole = new Uint8Array(8).fill(46)
        yield* writer.write(encode("--abc--").subarray(2, 5))
        yield* reader.read(whole.subarray(3, 7), 1)
        expect(text(whole)).toBe("....abc.")
      })
    )
  )

  it.live("writev and readv go through their buffers one after the other", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { reader, writer } = yield* Fd.pipe
        const pieces = ["one", "", "two", "three"].map(encode)
        expect(yield* writer.writev(pieces)).toEqual(Option.some(11))
        const whole = new Uint8Array(16).fill(46)
        const parts = [whole.subarray(0, 4), whole.subarray(5, 10), whole.subarray(11)]
        expect(yield* reader.readv(parts)).toEqual(Option.some(11))
        expect(text(whole)).toBe("onet.wothr.ee...")
        expect(yield* writer.writev(Array.from({ length: 1024 }, () => encode("x")))).toEqual(Option.some(1024))
        expect(yield* reader.readv(Array.from({ length: 1024 }, () => new Uint8Array(2)))).toEqual(Option.some(1024))
      })
    )
  )

  it.live("the work is done when the effect runs, each time it runs", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { reader, writer } = yield* Fd.pipe
        const write = writer.write(encode("ab"))
        const buffer = new Uint8Array(8)
        const read = reader.read(buffer)
        expect(yield* reader.read(buffer)).toEqual(Option.none())
        yield* write
        yield* write
        expect(yield* read).toEqual(Option.some(4))
        expect(yield* read).toEqual(Option.none())
      })
    )
  )

  it.live("a pipe that nobody reads any more is BrokenPipe, and the process lives", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { reader, writer } = yield* Fd.pipe
        yield* reader.close
        const error = yield* Effect.flip(writer.write(encode("x")))
        expect(error.reason).toMatchObject({ _tag: "BrokenPipe", syscall: "write", code: "EPIPE", fd: writer.fd })
        expect(yield* outcome(writer.writev([encode("x")]))).toBe("BrokenPipe")
      })
    )
  )

  it.live("writing to what is open to read, and reading a directory, say what the kernel says", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { reader } = yield* Fd.pipe
        expect(yield* outcome(reader.write(encode("x")))).toBe("BadDescriptor")
        const directory = yield* Fd.own(openSync(tmpdir(), "r"))
        const error = yield* Effect.flip(directory.read(new Uint8Array(8)))
        expect(error.reason).toMatchObject({ _tag: "SystemError", code: "EISDIR" })
      })
    )
  )
})

describe("Fd: parts that are outside of a buffer", () => {
  const bad: ReadonlyArray<readonly [offset: number, length?: number]> = [
    [-1],
    [9],
    [0.5],
    [Number.NaN],
    [Infinity],
    [0, 9],
    [4, 5],
    [0, -1],
    [0, 1.5],
    [0, Number.NaN],
    [0, 2 ** 32 + 1]
  ]
  for (const [offset, length] of bad) {
    it.live(`InvalidArgument, and nothing is read or written (offset ${offset}, length ${length})`, () =>
      leavesNothing(
        Effect.gen(function* () {
          const { reader, writer } = yield* Fd.pipe
          const buffer = new Uint8Array(8)
          expect(yield* outcome(writer.write(buffer, offset, length))).toBe("InvalidArgument")
          expect(yield* outcome(reader.read(buffer, offset, length))).toBe("InvalidArgument")
          expect(yield* reader.read(buffer)).toEqual(Option.none())
        })
      )
    )
  }

  it.live("reading into nothing would look like the end; writing nothing is fine", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { reader, writer } = yield* Fd.pipe
        expect(yield* outcome(reader.read(new Uint8Array(0)))).toBe("InvalidArgument")
        expect(yield* outcome(reader.read(new Uint8Array(8), 8))).toBe("InvalidArgument")
        expect(yield* outcome(reader.read(new Uint8Array(8), 0, 0))).toBe("InvalidArgument")
        expect(yield* writer.write(new Uint8Array(0))).toEqual(Option.some(0))
        expect(yield* writer.write(new Uint8Array(8), 8)).toEqual(Option.some(0))
      })
    )
  )

  it.live("what is no buffer at all, and too many or no pieces", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { reader, writer } = yield* Fd.pipe
        for (const none of ["text", [1, 2], new Uint16Array(4), new ArrayBuffer(4), 5, {}]) {
          expect(yield* outcome(writer.write(none as never))).toBe("InvalidArgument")
          expect(yield* outcome(reader.read(none as never))).toBe("InvalidArgument")
          expect(yield* outcome(writer.writev([none as never]))).toBe("InvalidArgument")
        }
        for (const pieces of [[], Array.from({ length: 1025 }, () => encode("x"))]) {
          expect(yield* outcome(writer.writev(pieces))).toBe("InvalidArgument")
          expect(yield* outcome(reader.readv(pieces))).toBe("InvalidArgument")
        }
        expect(yield* reader.read(new Uint8Array(8))).toEqual(Option.none())
      })
    )
  )
})

describe("Fd: constructors", () => {
  it.live("promise 11: everything it opens is close-on-exec, and does not block", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { path } = yield* fifo
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

  it.live("eventfd counts from what it is given, and refuses what is no count", () =>
    leavesNothing(
      Effect.gen(function* () {
        for (const initial of [1, 5, 0xffff_ffff]) {
          const eventfd = yield* Fd.eventfd(initial)
          yield* eventfd.write(count(2n))
          const buffer = new BigUint64Array(1)
          expect(yield* eventfd.read(new Uint8Array(buffer.buffer))).toEqual(Option.some(8))
          expect(buffer[0]).toBe(BigInt(initial) + 2n)
          expect(yield* eventfd.read(new Uint8Array(buffer.buffer))).toEqual(Option.none())
        }
        for (const initial of [-1, 0.5, Number.NaN, 2 ** 32, "1" as never]) {
          expect(yield* outcome(Fd.eventfd(initial))).toBe("InvalidArgument")
        }
        const eventfd = yield* Fd.eventfd()
        const error = yield* Effect.flip(eventfd.read(new Uint8Array(4)))
        expect(error.reason).toMatchObject({ _tag: "InvalidArgument", code: "EINVAL", syscall: "read" })
      })
    )
  )

  it.live("dup is the same open file under a number of its own; each is closed on its own", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { reader, writer } = yield* Fd.pipe
        const inner = yield* Scope.make()
        const copy = yield* Effect.provideService(writer.dup, Scope.Scope, inner)
        yield* writer.close
        yield* copy.write(encode("x"))
        expect(yield* reader.read(new Uint8Array(8))).toEqual(Option.some(1))
        expect(yield* reader.read(new Uint8Array(8))).toEqual(Option.none())
        yield* Scope.close(inner, Exit.void)
        expect(copy.fd).toBe(-1)
        expect(yield* reader.read(new Uint8Array(8))).toEqual(Option.some(0))
      })
    )
  )

  it.live("setNonblocking sets and clears, for every duplicate, and changes no other flag", () =>
    leavesNothing(
      Effect.gen(function* () {
        const [read] = yield* scopedFds(Kernel.blockingPipe)
        const owned = yield* Fd.own(Kernel.dup(read))
        for (const mode of [true, true, false, false, true]) {
          yield* owned.setNonblocking(mode)
          expect(Kernel.isNonblocking(owned.fd)).toBe(mode)
          expect(Kernel.isNonblocking(read)).toBe(mode)
        }
        expect(yield* owned.read(new Uint8Array(1))).toEqual(Option.none())
        const directory = mkdtempSync(join(tmpdir(), "fd-test-"))
        const appending = yield* Fd.own(openSync(join(directory, "file"), "a"))
        yield* appending.setNonblocking(true)
        yield* appending.write(encode("one"))
        const same = yield* Fd.own(openSync(join(directory, "file"), "a"))
        yield* same.write(encode("two"))
        yield* appending.write(encode("three"))
        const reader = yield* Fd.own(openSync(join(directory, "file"), "r"))
        const buffer = new Uint8Array(32)
        expect(text(buffer, Option.getOrThrow(yield* reader.read(buffer)))).toBe("onetwothree")
        rmSync(directory, { recursive: true })
      })
    )
  )

  it.live("own: takes over what is open, leaves its mode alone, and refuses what is none", () =>
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
  it.live("a FIFO to read at once, to write only when it is read, and for both at any time", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { path } = yield* fifo
        const early = yield* Effect.flip(Fd.open(path, "write"))
        expect(early.reason).toMatchObject({ _tag: "SystemError", code: "ENXIO", syscall: "open" })
        const reader = yield* Fd.open(path, "read")
        expect(yield* reader.read(new Uint8Array(8))).toEqual(Option.some(0))
        const writer = yield* Fd.open(path, "write")
        expect(yield* reader.read(new Uint8Array(8))).toEqual(Option.none())
        yield* writer.write(encode("hello"))
        expect(yield* reader.read(new Uint8Array(8))).toEqual(Option.some(5))
        yield* writer.close
        expect(yield* reader.read(new Uint8Array(8))).toEqual(Option.some(0))
        const both = yield* Fd.open(path, "both")
        expect(yield* reader.read(new Uint8Array(8))).toEqual(Option.none())
        expect(yield* both.read(new Uint8Array(8))).toEqual(Option.none())
        expect(yield* outcome(reader.write(encode("x")))).toBe("BadDescriptor")
      })
    )
  )

  it.live("a device", () =>
    leavesNothing(
      Effect.gen(function* () {
        const zero = yield* Fd.open("/dev/zero", "read")
        const buffer = new Uint8Array(4).fill(1)
        expect(yield* zero.read(buffer)).toEqual(Option.some(4))
        expect(buffer).toEqual(new Uint8Array(4))
      })
    )
  )

  it.live("what does not exist is not created; bad paths and accesses are refused", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { directory } = yield* fifo
        for (const access of ["read", "write", "both"] as const) {
          const error = yield* Effect.flip(Fd.open(join(directory, "none"), access))
          expect(error.reason).toMatchObject({ _tag: "SystemError", code: "ENOENT", syscall: "open" })
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

describe("Fd: closed exactly once, and never used afterwards", () => {
  /** What may end a descriptor; each answers once the number is free, or somebody else's. */
  const ends: { readonly [name: string]: (fd: Fd.Fd, scope: Scope.Closeable) => Effect.Effect<unknown, unknown> } = {
    close: (fd) => fd.close,
    "the end of its scope": (_, scope) => Scope.close(scope, Exit.void),
    take: (fd) => Effect.map(fd.take, Kernel.close)
  }
  for (const [name, end] of Object.entries(ends)) {
    it.live(`after ${name}: everything is Closed, and the number, which is another's by then, stays as it is`, () =>
      leavesNothing(
        Effect.gen(function* () {
          const scope = yield* Scope.make()
          const owned = yield* Effect.provideService(Fd.eventfd(), Scope.Scope, scope)
          const number = owned.fd
          // Built before, run afterwards.
          const prepared = Object.entries(calls).map(([call, make]) => [call, make(owned)] as const)
          yield* end(owned, scope)
          expect(owned.fd).toBe(-1)
          const [mine] = yield* scopedFds(() => [Kernel.eventfd()] as const)
          if (mine !== number) Kernel.dup2(mine, number)
          yield* Effect.addFinalizer(() => Effect.sync(() => Kernel.isOpen(number) && Kernel.close(number)))
          Kernel.signal(number)
          for (const [call, make] of Object.entries(calls)) {
            expect([call, yield* outcome(make(owned))]).toEqual([call, "Closed"])
          }
          for (const [call, effect] of prepared) expect([call, yield* outcome(effect)]).toEqual([call, "Closed"])
          yield* Scope.close(scope, Exit.void)
          expect(Kernel.isOpen(number)).toBe(true)
          expect(Kernel.isNonblocking(number)).toBe(true)
          // Neither read, nor written: it would be gone, or more than one.
          const buffer = new BigUint64Array(1)
          yield* (yield* Fd.own(Kernel.dup(number))).read(new Uint8Array(buffer.buffer))
          expect(buffer[0]).toBe(1n)
        })
      )
    )
  }

  it.live("take gives the number away: it stays open after the scope", () =>
    leavesNothing(
      Effect.gen(function* () {
        const number = yield* Effect.scoped(
          Effect.gen(function* () {
            const owned = yield* Fd.eventfd(1)
            return yield* owned.take
          })
        )
        expect(Kernel.isOpen(number)).toBe(true)
        yield* Effect.scoped(Fd.own(number))
        expect(Kernel.isOpen(number)).toBe(false)
      })
    )
  )

  it.live("both ends of a pipe are closed by its scope, and one that was closed before is not closed again", () =>
    leavesNothing(
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const { reader, writer } = yield* Effect.provideService(Fd.pipe, Scope.Scope, scope)
        const number = reader.fd
        const other = writer.fd
        yield* reader.close
        const mine = openSync("/dev/null", "r")
        if (mine !== number) Kernel.dup2(mine, number)
        yield* Scope.close(scope, Exit.void)
        expect(Kernel.isOpen(number)).toBe(true)
        expect(Kernel.isOpen(other)).toBe(false)
        expect(writer.fd).toBe(-1)
        closeSync(number)
        if (mine !== number) closeSync(mine)
      })
    )
  )

  it.live("a program that fails, dies or is interrupted leaves nothing open", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { path } = yield* fifo
        const many = Effect.gen(function* () {
          const { reader } = yield* Fd.pipe
          yield* reader.dup
          yield* Fd.eventfd()
          yield* Fd.open(path, "both")
          yield* Fd.own(openSync("/dev/null", "r"))
        })
        const before = Kernel.openDescriptors()
        yield* Effect.exit(Effect.scoped(Effect.andThen(many, Effect.fail("no"))))
        expect(Kernel.openDescriptors()).toEqual(before)
        yield* Effect.exit(Effect.scoped(Effect.andThen(many, Effect.die("no"))))
        expect(Kernel.openDescriptors()).toEqual(before)
        const fiber = yield* Effect.forkChild(Effect.scoped(Effect.andThen(many, Effect.never)), {
          startImmediately: true
        })
        expect(Kernel.openDescriptors().size).toBeGreaterThanOrEqual(before.size + 6)
        yield* Fiber.interrupt(fiber)
        expect(Kernel.openDescriptors()).toEqual(before)
      })
    )
  )
})

describeLayers("Fd: with AsyncFd", (layer) => {
  it.live("its calls are attempts that can be retried", () =>
    Effect.gen(function* () {
      const { reader, writer } = yield* Fd.pipe
      const watched = yield* AsyncFd.make(reader, { event: "Read" })
      const parts = [new Uint8Array(2), new Uint8Array(8)]
      const waiting = yield* Effect.forkChild(watched.readWhenReady(reader.readv(parts)), { startImmediately: true })
      yield* writer.writev([encode("ab"), encode("cde")])
      expect(yield* Fiber.join(waiting)).toBe(5)
      expect(text(parts[0]!) + text(parts[1]!, 3)).toBe("abcde")
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )
})
