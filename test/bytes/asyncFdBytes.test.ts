/** Bytes through an `AsyncFd`: parts of buffers, all of a large buffer, streams and sinks. */
import { expect, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Sink, Stream } from "effect"
import { AsyncFd, Fd } from "effect-amy"
import * as Kernel from "../support/kernel.ts"
import { outcome } from "../support/opened.ts"
import { fifo } from "../support/owned.ts"
import {
  begin,
  beginWaiting,
  describeTwoLayers,
  encode,
  expectToWait,
  readText,
  scopedFds,
  watchedPair
} from "../support/watched.ts"
import { notLinux, onLinux } from "../support/platform.ts"

const text = (buffer: Uint8Array) => new TextDecoder().decode(buffer)

/** Bytes that each tell their position. */
const numbered = (count: number, from = 0) => Uint8Array.from({ length: count }, (_, i) => (from + i) % 251)

/** The two ends of a pipe or of a pair of sockets, both watched. */
const ends = {
  pipe: Effect.gen(function* () {
    const { reader, writer } = yield* Fd.pipe
    return {
      reader: yield* AsyncFd.make(reader, { event: "Read" }),
      writer: yield* AsyncFd.make(writer, { event: "Write" }),
      finish: writer.close
    }
  }),
  socketPair: Effect.gen(function* () {
    const [near, far] = yield* scopedFds(Kernel.socketPair)
    return {
      reader: yield* AsyncFd.make(near),
      writer: yield* AsyncFd.make(far),
      finish: Effect.sync(() => Kernel.shutdownWrite(far))
    }
  })
}

const collect = (reader: AsyncFd.AsyncFd) =>
  Effect.map(Stream.runCollect(reader.stream), (chunks) => new Uint8Array(Buffer.concat([...chunks])))

describeTwoLayers("AsyncFd: read and write", (layer) => {
  it.live("an offset and a length select a part of the buffer, and nothing around it is touched", () =>
    Effect.gen(function* () {
      const { far, near, watched } = yield* watchedPair()
      expect(yield* watched.write(encode("0123456789"), 3, 4)).toBe(4)
      expect(Kernel.readText(far)).toBe("3456")
      yield* watched.writeAll(encode("0123456789"), 8)
      yield* watched.writeAll(encode("0123456789"), 0, 2)
      expect(Kernel.readText(far)).toBe("8901")
      Kernel.writeText(far, "abcdefgh")
      const buffer = new Uint8Array(8).fill(46)
      expect(yield* watched.read(buffer, 2, 3)).toBe(3)
      expect(text(buffer)).toBe("..abc...")
      expect(yield* watched.read(buffer, 6)).toBe(2)
      expect(text(buffer)).toBe("..abc.de")
      expect(Kernel.readText(near)).toBe("fgh")
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("a part outside the buffer fails with InvalidArgument, and nothing is read or written", () =>
    Effect.gen(function* () {
      const { far, near, watched } = yield* watchedPair()
      Kernel.writeText(far, "kept")
      const buffer = new Uint8Array(8)
      const parts: ReadonlyArray<readonly [number, number?]> = [
        [-1],
        [9],
        [0.5],
        [NaN],
        [0, 9],
        [4, 5],
        [0, -1],
        [0, NaN]
      ]
      for (const [offset, length] of parts) {
        for (const call of [watched.read, watched.write, watched.writeAll]) {
          expect(yield* outcome(call.call(watched, buffer, offset, length) as Effect.Effect<unknown, never>)).toBe(
            "InvalidArgument"
          )
        }
      }
      expect(yield* outcome(watched.read(new Uint8Array(0)))).toBe("InvalidArgument")
      expect(yield* outcome(watched.read("text" as never))).toBe("InvalidArgument")
      expect(yield* outcome(watched.writeAll("text" as never))).toBe("InvalidArgument")
      expect(Kernel.readText(near)).toBe("kept")
      expect(Kernel.read(far)).toBe(-1)
      yield* watched.writeAll(new Uint8Array(0))
      expect(yield* watched.write(new Uint8Array(0))).toBe(0)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("write writes what fits, and waits only if nothing does", () =>
    Effect.gen(function* () {
      const { reader, writer } = yield* ends.pipe
      expect(yield* writer.write(new Uint8Array(1 << 20))).toBe(65_536)
      const waiting = yield* begin(writer.write(new Uint8Array(1 << 20)))
      yield* reader.read(new Uint8Array(1 << 20))
      expect(yield* Fiber.join(waiting)).toBe(65_536)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("read gives 0 at the end, each time", () =>
    Effect.gen(function* () {
      const { finish, reader, writer } = yield* ends.pipe
      yield* writer.writeAll(encode("last"))
      yield* finish
      expect(yield* readText(reader)).toBe("last")
      expect(yield* readText(reader)).toBe("")
      expect(yield* readText(reader)).toBe("")
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )
})

describeTwoLayers("AsyncFd: descriptors that are more than streams of bytes", (layer) => {
  it.live("a FIFO that no process has opened to write is not at its end: reading waits", () =>
    Effect.gen(function* () {
      const path = yield* fifo
      const reader = yield* AsyncFd.make(yield* Fd.open(path, "read"), { event: "Read" })
      const reading = yield* beginWaiting(collect(reader))
      const writer = yield* Fd.open(path, "write")
      yield* writer.tryWrite(encode("hello"))
      yield* writer.close
      expect(Buffer.from(yield* Fiber.join(reading)).toString()).toBe("hello")
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live.skipIf(notLinux)(onLinux("SOCK_SEQPACKET", "a message that is too long does not hide the end"), () =>
    Effect.gen(function* () {
      const { far, watched } = yield* watchedPair({}, Kernel.messagePair)
      expect(yield* outcome(watched.writeAll(new Uint8Array(10_000_000)))).toBe("MessageTooLarge")
      yield* watched.writeAll(encode("short"))
      expect(Kernel.readText(far)).toBe("short")
      Kernel.close(far)
      expect(yield* watched.read(new Uint8Array(8))).toBe(0)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live.skipIf(notLinux)(onLinux("SOCK_SEQPACKET", "an empty message is written, whether or not room is known"), () =>
    Effect.gen(function* () {
      const { far, watched } = yield* watchedPair({}, Kernel.messagePair)
      for (let round = 0; round < 3; round++) {
        yield* watched.writeAll(new Uint8Array(0))
        expect([round, Kernel.read(far)]).toEqual([round, 0])
      }
      expect(Kernel.read(far)).toBe(-1)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live.skipIf(notLinux)(
    onLinux("SOCK_SEQPACKET", "each chunk of a sink is a message where there are messages"),
    () =>
      Effect.gen(function* () {
        const { far, watched } = yield* watchedPair({}, Kernel.messagePair)
        yield* Stream.run(Stream.make(encode("one"), encode("two"), encode("three")), watched.sink)
        expect([1, 2, 3].map(() => Kernel.readText(far))).toEqual(["one", "two", "three"])
      }).pipe(Effect.scoped, Effect.provide(layer()))
  )
})

for (const kind of ["pipe", "socketPair"] as const) {
  describeTwoLayers(`AsyncFd: whole buffers and streams, over a ${kind}`, (layer) => {
    it.live("writeAll of several MiB arrives unchanged", () =>
      Effect.gen(function* () {
        const { finish, reader, writer } = yield* ends[kind]
        const sent = numbered(3 << 20)
        const received = yield* begin(collect(reader))
        yield* writer.writeAll(sent)
        yield* finish
        expect(Buffer.compare(yield* Fiber.join(received), sent)).toBe(0)
      }).pipe(Effect.scoped, Effect.provide(layer()))
    )

    it.live("bytes that other fibers write meanwhile come before or after it, never in between", () =>
      Effect.gen(function* () {
        const { finish, reader, writer } = yield* ends[kind]
        const pieces = [300_001, 1, 700_000, 10, 65_536, 65_537, 1 << 20, 3].map((size, i) =>
          new Uint8Array(size).fill(i + 1)
        )
        const received = yield* begin(collect(reader))
        yield* Effect.forEach(
          pieces,
          (piece, i) => Effect.andThen(i % 2 === 0 ? Effect.void : Effect.yieldNow, writer.writeAll(piece)),
          { concurrency: "unbounded" }
        )
        yield* finish
        const all = yield* Fiber.join(received)
        const runs: Array<readonly [byte: number, length: number]> = []
        for (let at = 0; at < all.length;) {
          const start = at
          while (all[at] === all[start]) at++
          runs.push([all[start]!, at - start])
        }
        expect(runs.toSorted((a, b) => a[0] - b[0])).toEqual(pieces.map((piece) => [piece[0], piece.length]))
      }).pipe(Effect.scoped, Effect.provide(layer()))
    )

    it.live("sink writes every chunk, and stream ends at the end", () =>
      Effect.gen(function* () {
        const { finish, reader, writer } = yield* ends[kind]
        const chunks = Array.from({ length: 300 }, (_, i) => numbered((i * 37) % 5000, i))
        const received = yield* begin(collect(reader))
        yield* Stream.fromIterable(chunks).pipe(Stream.rechunk(7), Stream.run(writer.sink))
        yield* finish
        expect(Buffer.compare(yield* Fiber.join(received), Buffer.concat(chunks))).toBe(0)
        // Once more: the end is still there.
        expect((yield* collect(reader)).length).toBe(0)
      }).pipe(Effect.scoped, Effect.provide(layer()))
    )

    it.live("later reads do not change the chunks of a stream", () =>
      Effect.gen(function* () {
        const { reader, writer } = yield* ends[kind]
        const taken: Array<Uint8Array> = []
        for (const size of [3, 60_000, 3, 17_000, 60_000]) {
          yield* writer.writeAll(new Uint8Array(size).fill(size % 251))
          for (let left = size; left > 0; left -= taken.at(-1)!.length) {
            yield* Stream.runForEach(Stream.take(reader.stream, 1), (chunk) =>
              Effect.sync(() => void taken.push(chunk))
            )
          }
        }
        const expected = [3, 60_000, 3, 17_000, 60_000].map((size) => new Uint8Array(size).fill(size % 251))
        expect(Buffer.compare(Buffer.concat(taken), Buffer.concat(expected))).toBe(0)
      }).pipe(Effect.scoped, Effect.provide(layer()))
    )
  })
}

describeTwoLayers("AsyncFd: streams that end early", (layer) => {
  it.live("a stream that ends early leaves the rest to be read", () =>
    Effect.gen(function* () {
      const { far, watched } = yield* watchedPair()
      Kernel.writeText(far, "first")
      expect((yield* Stream.runCollect(Stream.take(watched.stream, 1))).map(text)).toEqual(["first"])
      const waiting = yield* begin(Stream.runDrain(watched.stream))
      yield* Fiber.interrupt(waiting)
      Kernel.writeText(far, "second")
      expect(yield* readText(watched)).toBe("second")
      yield* expectToWait(readText(watched))
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("a sink without readers fails with BrokenPipe, and an interrupted one stops", () =>
    Effect.gen(function* () {
      const { far, watched } = yield* watchedPair()
      const endless = Stream.forever(Stream.succeed(new Uint8Array(100_000)))
      const stopped = yield* begin(Stream.run(endless, watched.sink))
      const exit = yield* Effect.andThen(Fiber.interrupt(stopped), Fiber.await(stopped))
      expect(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)).toBe(true)
      const failing = yield* begin(outcome(Stream.run(endless, watched.sink)))
      Kernel.close(far)
      expect(yield* Fiber.join(failing)).toBe("BrokenPipe")
      expect(yield* outcome(Stream.run(Stream.succeed(new Uint8Array(1)), Sink.as(watched.sink, 1)))).toBe("BrokenPipe")
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )
})
