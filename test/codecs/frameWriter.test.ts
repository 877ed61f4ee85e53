/** The frame writer: with descriptors that take little or nothing or fail, and with a real pipe. */
import { describe, expect, it } from "@effect/vitest"
import { Arbitrary, Effect, Option, Result } from "effect"
import { FrameReader, FrameWriter, Poller, Registrar } from "effect-amy"
import { readSync, writeSync } from "node:fs"
import * as Kernel from "../support/kernel.ts"
import { someLayer } from "../support/layers.ts"
import { allocatedBy, anyBytes, between, concat } from "./bytes.ts"

/**
 * A descriptor that has these numbers of bytes of room, one after the other. With 0 or -1 it would
 * block.
 */
const narrow = (rooms: ReadonlyArray<number>) => {
  const taken: Array<Uint8Array> = []
  let attempts = 0
  return {
    taken: () => concat(taken),
    attempt: (bytes: Uint8Array): number => {
      const room = attempts < rooms.length ? rooms[attempts]! : bytes.length
      attempts++
      if (room <= 0) return room
      const count = Math.min(room, bytes.length)
      taken.push(bytes.slice(0, count))
      return count
    },
    attempts: () => attempts
  }
}

const readAll = (bytes: Uint8Array): ReadonlyArray<Uint8Array> => {
  const reader = FrameReader.make()
  FrameReader.feed(reader, bytes)
  FrameReader.end(reader)
  return FrameReader.takeAll(reader).map(Result.getOrThrow)
}

const pushAll = (writer: FrameWriter.FrameWriter, frames: ReadonlyArray<Uint8Array>): void => {
  for (const frame of frames) Result.getOrThrow(FrameWriter.push(writer, frame))
}

const sizeOf = (frames: ReadonlyArray<Uint8Array>): number => frames.reduce((sum, { length }) => sum + 4 + length, 0)

describe("promise 14: frames arrive the same however much a descriptor takes at a time", () => {
  it.prop(
    "for any frames and room, pushed before and between the writes",
    [
      Arbitrary.array(anyBytes, { maxLength: 8 }),
      Arbitrary.array(anyBytes, { maxLength: 8 }),
      Arbitrary.array(between(-1, 9), { maxLength: 40 })
    ],
    ([before, between, rooms]) => {
      const writer = FrameWriter.make()
      const descriptor = narrow(rooms)
      pushAll(writer, before)
      const frames = [...before]
      for (const frame of between) {
        const outcome = FrameWriter.write(writer, descriptor.attempt)
        expect(outcome).toBe(writer.pendingBytes === 0 ? "done" : "blocked")
        expect(writer.isWritable).toBe(outcome === "done")
        expect(writer.pendingBytes).toBe(sizeOf(frames) - descriptor.taken().length)
        pushAll(writer, [frame])
        frames.push(frame)
      }
      while (FrameWriter.write(writer, descriptor.attempt) === "blocked");
      expect(writer.pendingBytes).toBe(0)
      expect(readAll(descriptor.taken())).toEqual(frames)
    },
    { arbitrary: { runs: 1000 } }
  )

  it("for frames of every size around that of a block", () => {
    const frames = [0, 1, 1019, 1020, 1021, 4092, 4093, 65_531, 65_532, 65_533, 200_000, 3, 5].map((length, i) =>
      new Uint8Array(length).fill(i + 1)
    )
    for (const room of [997, 4096, 65_536, 1_000_000]) {
      const writer = FrameWriter.make()
      const descriptor = narrow(Array.from({ length: 5000 }, (_, i) => (i % 3 === 2 ? -1 : room)))
      pushAll(writer, frames)
      expect(writer.pendingBytes).toBe(sizeOf(frames))
      while (FrameWriter.write(writer, descriptor.attempt) === "blocked");
      expect(readAll(descriptor.taken())).toEqual(frames)
    }
  })

  it("with a length of four bytes, big-endian", () => {
    const writer = FrameWriter.make()
    const descriptor = narrow([])
    pushAll(writer, [new Uint8Array(0x010203)])
    FrameWriter.write(writer, descriptor.attempt)
    expect(Array.from(descriptor.taken().subarray(0, 5))).toEqual([0, 1, 2, 3, 0])
  })

  it("although the caller reuses a frame's memory after the push", () => {
    const writer = FrameWriter.make()
    const descriptor = narrow([])
    const frame = Uint8Array.of(1, 2)
    pushAll(writer, [frame])
    frame.fill(9)
    FrameWriter.write(writer, descriptor.attempt)
    expect(Array.from(descriptor.taken())).toEqual([0, 0, 0, 2, 1, 2])
  })
})

describe("FrameWriter.write", () => {
  it("is done at once, without an attempt, if nothing is pending", () => {
    const descriptor = narrow([])
    expect(FrameWriter.write(FrameWriter.make(), descriptor.attempt)).toBe("done")
    expect(descriptor.attempts()).toBe(0)
  })

  it.each([-1, 0])("is blocked by an attempt that returns %i, and the writer is until a write is done", (taken) => {
    const writer = FrameWriter.make()
    expect(writer.isWritable).toBe(true)
    pushAll(writer, [Uint8Array.of(1)])
    expect(FrameWriter.write(writer, () => taken)).toBe("blocked")
    expect([writer.isWritable, writer.pendingBytes]).toEqual([false, 5])
    pushAll(writer, [Uint8Array.of(2)])
    expect([writer.isWritable, writer.pendingBytes]).toEqual([false, 10])
    expect(FrameWriter.write(writer, (bytes) => bytes.length)).toBe("done")
    expect([writer.isWritable, writer.pendingBytes]).toEqual([true, 0])
  })

  it("tries again after a short write, until it would block", () => {
    const writer = FrameWriter.make()
    pushAll(writer, [new Uint8Array(10)])
    const descriptor = narrow([3, 3, -1])
    expect(FrameWriter.write(writer, descriptor.attempt)).toBe("blocked")
    expect([descriptor.attempts(), writer.pendingBytes]).toEqual([3, 8])
  })

  it("puts small frames together", () => {
    const writer = FrameWriter.make()
    pushAll(
      writer,
      Array.from({ length: 10_000 }, () => Uint8Array.of(1, 2, 3))
    )
    const descriptor = narrow([])
    expect(FrameWriter.write(writer, descriptor.attempt)).toBe("done")
    expect(descriptor.taken()).toHaveLength(70_000)
    expect(descriptor.attempts()).toBeLessThan(10)
  })
})

describe("an attempt", () => {
  it("loses nothing if it throws", () => {
    const writer = FrameWriter.make()
    const descriptor = narrow([2])
    pushAll(writer, [Uint8Array.of(1, 2, 3)])
    let attempts = 0
    const failing = (bytes: Uint8Array): number => {
      if (attempts++ === 1) throw new Error("EPIPE")
      return descriptor.attempt(bytes)
    }
    expect(() => FrameWriter.write(writer, failing)).toThrow("EPIPE")
    expect(writer.pendingBytes).toBe(5)
    expect(FrameWriter.write(writer, failing)).toBe("done")
    expect(readAll(descriptor.taken())).toEqual([Uint8Array.of(1, 2, 3)])
  })

  it.each([6, -2, 1.5, NaN])("is refused, and loses nothing, if it returns %s for five bytes", (taken) => {
    const writer = FrameWriter.make()
    pushAll(writer, [Uint8Array.of(1)])
    expect(() => FrameWriter.write(writer, () => taken)).toThrow(RangeError)
    expect(writer.pendingBytes).toBe(5)
  })

  it("can push frames", () => {
    const writer = FrameWriter.make()
    const descriptor = narrow([])
    let left = 300
    pushAll(writer, [Uint8Array.of(0)])
    FrameWriter.write(writer, (bytes) => {
      if (left-- > 0) pushAll(writer, [new Uint8Array(left)])
      return descriptor.attempt(bytes)
    })
    expect(readAll(descriptor.taken()).map(({ length }) => length)).toEqual([
      1,
      ...Array.from({ length: 300 }, (_, i) => 299 - i)
    ])
  })
})

describe("promise 14: a frame longer than the limit is not written", () => {
  it("the error names both sizes, and the writer remains usable", () => {
    const writer = FrameWriter.make({ maxLength: 2 })
    pushAll(writer, [Uint8Array.of(1, 2)])
    const error = Result.getFailure(FrameWriter.push(writer, Uint8Array.of(1, 2, 3)))
    expect(Option.map(error, ({ reason }) => ({ ...reason }))).toEqual(
      Option.some({ _tag: "FrameTooLong", length: 3, limit: 2 })
    )
    expect(writer.pendingBytes).toBe(6)
    const descriptor = narrow([])
    FrameWriter.write(writer, descriptor.attempt)
    expect(readAll(descriptor.taken())).toEqual([Uint8Array.of(1, 2)])
  })

  it("nothing of its size is allocated", () => {
    const writer = FrameWriter.make()
    const frame = new Uint8Array(16_777_217)
    const allocated = allocatedBy(() => FrameWriter.push(writer, frame))
    expect(allocated).toBeLessThan(1_000_000)
  })

  it.each([-1, 1.5, NaN, 2 ** 32])("a maxLength of %s is refused", (maxLength) => {
    expect(() => FrameWriter.make({ maxLength })).toThrow(RangeError)
    expect(() => FrameWriter.encode({ maxLength })).toThrow(`invalid maxLength ${maxLength}`)
  })
})

describe("a full pipe", () => {
  it.live("is written to again when the poller reports it", () =>
    Effect.gen(function* () {
      const [reading, writing] = Kernel.pipe()
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          Kernel.close(reading)
          Kernel.close(writing)
        })
      )
      const attempt = (bytes: Uint8Array): number => {
        try {
          return writeSync(writing, bytes)
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code === "EAGAIN") return -1
          throw error
        }
      }
      const frames = Array.from({ length: 50 }, (_, i) => new Uint8Array(10_000 + i).fill(i))
      const writer = FrameWriter.make()
      pushAll(writer, frames)

      const reader = FrameReader.make()
      const buffer = new Uint8Array(100_000)
      const drain = (): void => {
        try {
          for (;;) FrameReader.feed(reader, buffer.subarray(0, readSync(reading, buffer)))
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error
        }
      }

      const poller = yield* Poller.Poller
      expect(FrameWriter.write(writer, attempt)).toBe("blocked")
      const id = yield* Registrar.registerScoped(writing, "Write")
      expect(yield* poller.wait(0)).toEqual([])
      let turns = 0
      while (!writer.isWritable) {
        drain()
        const [notification] = yield* poller.wait("10 seconds")
        expect(notification).toMatchObject({ id, event: "Write" })
        FrameWriter.write(writer, attempt)
        turns++
      }
      drain()
      expect(turns).toBeGreaterThan(1)
      expect(FrameReader.takeAll(reader).map(Result.getOrThrow)).toEqual(frames)
    }).pipe(Effect.scoped, Effect.provide(someLayer()))
  )
})
