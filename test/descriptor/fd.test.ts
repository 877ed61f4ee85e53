/**
 * Reading and writing with owned descriptors: one call each, into or from a part of the caller's
 * buffer.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Option } from "effect"
import { AsyncFd, Fd } from "effect-amy"
import { openSync } from "node:fs"
import { tmpdir } from "node:os"
import { describeLayers } from "../support/layers.ts"
import { outcome } from "../support/opened.ts"
import { leavesNothing, text } from "../support/owned.ts"
import { encode } from "../support/watched.ts"

describe("Fd: reading and writing", () => {
  it.live("an empty pipe and a full one give none, and the end is 0", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { reader, writer } = yield* Fd.pipe
        const buffer = new Uint8Array(1 << 20)
        expect(yield* reader.tryRead(buffer)).toEqual(Option.none())
        expect(yield* reader.tryReadv([buffer])).toEqual(Option.none())
        const taken = Option.getOrThrow(yield* writer.tryWrite(buffer))
        expect(taken).toBe(65_536)
        expect(yield* writer.tryWrite(buffer)).toEqual(Option.none())
        expect(yield* writer.tryWritev([buffer])).toEqual(Option.none())
        expect(yield* reader.tryRead(buffer)).toEqual(Option.some(taken))
        yield* writer.close
        expect(yield* reader.tryRead(buffer)).toEqual(Option.some(0))
      })
    )
  )

  it.live("an offset and a length select a part of the buffer, and nothing around it is touched", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { reader, writer } = yield* Fd.pipe
        expect(yield* writer.tryWrite(encode("0123456789"), 3, 4)).toEqual(Option.some(4))
        const buffer = new Uint8Array(10).fill(46)
        expect(yield* reader.tryRead(buffer, 5)).toEqual(Option.some(4))
        expect(text(buffer)).toBe(".....3456.")
        yield* writer.tryWrite(encode("abcdef"), 4)
        yield* writer.tryWrite(encode("xyz"))
        expect(yield* reader.tryRead(buffer, 1, 3)).toEqual(Option.some(3))
        expect(text(buffer)).toBe(".efx.3456.")
        expect(yield* reader.tryRead(buffer, 9, 1)).toEqual(Option.some(1))
        expect(text(buffer)).toBe(".efx.3456y")
      })
    )
  )

  it.live("a buffer may be a part of a larger one", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { reader, writer } = yield* Fd.pipe
        const whole = new Uint8Array(8).fill(46)
        yield* writer.tryWrite(encode("--abc--").subarray(2, 5))
        yield* reader.tryRead(whole.subarray(3, 7), 1)
        expect(text(whole)).toBe("....abc.")
      })
    )
  )

  it.live("tryWritev and tryReadv go through their buffers one after the other", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { reader, writer } = yield* Fd.pipe
        const pieces = ["one", "", "two", "three"].map(encode)
        expect(yield* writer.tryWritev(pieces)).toEqual(Option.some(11))
        const whole = new Uint8Array(16).fill(46)
        const parts = [whole.subarray(0, 4), whole.subarray(5, 10), whole.subarray(11)]
        expect(yield* reader.tryReadv(parts)).toEqual(Option.some(11))
        expect(text(whole)).toBe("onet.wothr.ee...")
        expect(yield* writer.tryWritev(Array.from({ length: 1024 }, () => encode("x")))).toEqual(Option.some(1024))
        expect(yield* reader.tryReadv(Array.from({ length: 1024 }, () => new Uint8Array(2)))).toEqual(Option.some(1024))
      })
    )
  )

  it.live("the call is made each time the effect runs", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { reader, writer } = yield* Fd.pipe
        const write = writer.tryWrite(encode("ab"))
        const buffer = new Uint8Array(8)
        const read = reader.tryRead(buffer)
        expect(yield* reader.tryRead(buffer)).toEqual(Option.none())
        yield* write
        yield* write
        expect(yield* read).toEqual(Option.some(4))
        expect(yield* read).toEqual(Option.none())
      })
    )
  )

  it.live("writing to a pipe without readers fails with BrokenPipe, and the process survives", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { reader, writer } = yield* Fd.pipe
        yield* reader.close
        const error = yield* Effect.flip(writer.tryWrite(encode("x")))
        expect(error.reason).toMatchObject({ _tag: "BrokenPipe", syscall: "write", code: "EPIPE", fd: writer.fd })
        expect(yield* outcome(writer.tryWritev([encode("x")]))).toBe("BrokenPipe")
      })
    )
  )

  it.live("writing to a descriptor that is open for reading, and reading a directory, fail as the kernel says", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { reader } = yield* Fd.pipe
        expect(yield* outcome(reader.tryWrite(encode("x")))).toBe("BadDescriptor")
        const directory = yield* Fd.own(openSync(tmpdir(), "r"))
        const error = yield* Effect.flip(directory.tryRead(new Uint8Array(8)))
        expect(error.reason).toMatchObject({ _tag: "SystemError", code: "EISDIR" })
      })
    )
  )
})

const transferred = (): Uint8Array<ArrayBuffer> => {
  const buffer = new Uint8Array(8)
  structuredClone(buffer.buffer, { transfer: [buffer.buffer] })
  return buffer
}

describe("Fd: a buffer that was transferred", () => {
  it.live("is refused, whether it was transferred before or after the effect was made", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { reader, writer } = yield* Fd.pipe
        const later = new Uint8Array(8)
        const effects = [reader.tryRead(later), writer.tryWrite(later), reader.tryReadv([later])]
        structuredClone(later.buffer, { transfer: [later.buffer] })
        effects.push(reader.tryRead(transferred()), writer.tryWrite(transferred()))
        for (const [i, effect] of effects.entries()) expect([i, yield* outcome(effect)]).toEqual([i, "InvalidArgument"])
      })
    )
  )
})

describe("Fd: parts outside a buffer", () => {
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
    it.live(`are refused, and nothing is read or written (offset ${offset}, length ${length})`, () =>
      leavesNothing(
        Effect.gen(function* () {
          const { reader, writer } = yield* Fd.pipe
          const buffer = new Uint8Array(8)
          expect(yield* outcome(writer.tryWrite(buffer, offset, length))).toBe("InvalidArgument")
          expect(yield* outcome(reader.tryRead(buffer, offset, length))).toBe("InvalidArgument")
          expect(yield* reader.tryRead(buffer)).toEqual(Option.none())
        })
      )
    )
  }

  it.live("an empty part is refused for reading, where it would look like the end, and allowed for writing", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { reader, writer } = yield* Fd.pipe
        expect(yield* outcome(reader.tryRead(new Uint8Array(0)))).toBe("InvalidArgument")
        expect(yield* outcome(reader.tryReadv([new Uint8Array(0), new Uint8Array(0)]))).toBe("InvalidArgument")
        expect(yield* outcome(reader.tryRead(new Uint8Array(8), 8))).toBe("InvalidArgument")
        expect(yield* outcome(reader.tryRead(new Uint8Array(8), 0, 0))).toBe("InvalidArgument")
        expect(yield* writer.tryWrite(new Uint8Array(0))).toEqual(Option.some(0))
        expect(yield* writer.tryWrite(new Uint8Array(8), 8)).toEqual(Option.some(0))
      })
    )
  )

  it.live("values that are not buffers, and too many buffers or none, are refused", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { reader, writer } = yield* Fd.pipe
        for (const none of ["text", [1, 2], new Uint16Array(4), new ArrayBuffer(4), 5, {}]) {
          expect(yield* outcome(writer.tryWrite(none as never))).toBe("InvalidArgument")
          expect(yield* outcome(reader.tryRead(none as never))).toBe("InvalidArgument")
          expect(yield* outcome(writer.tryWritev([none as never]))).toBe("InvalidArgument")
        }
        for (const pieces of [[], Array.from({ length: 1025 }, () => encode("x"))]) {
          expect(yield* outcome(writer.tryWritev(pieces))).toBe("InvalidArgument")
          expect(yield* outcome(reader.tryReadv(pieces))).toBe("InvalidArgument")
        }
        expect(yield* reader.tryRead(new Uint8Array(8))).toEqual(Option.none())
      })
    )
  )
})

describeLayers("Fd with AsyncFd", (layer) => {
  it.live("its calls can be retried by readWhenReady", () =>
    Effect.gen(function* () {
      const { reader, writer } = yield* Fd.pipe
      const watched = yield* AsyncFd.make(reader, { event: "Read" })
      const parts = [new Uint8Array(2), new Uint8Array(8)]
      const waiting = yield* Effect.forkChild(watched.readWhenReady(reader.tryReadv(parts)), { startImmediately: true })
      yield* writer.tryWritev([encode("ab"), encode("cde")])
      expect(yield* Fiber.join(waiting)).toBe(5)
      expect(text(parts[0]!) + text(parts[1]!, 3)).toBe("abcde")
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )
})
