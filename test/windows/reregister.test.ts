/** A program that makes its own calls has the next edge reported by `reregister`. */
import { expect, it } from "@effect/vitest"
import { Effect, Option, Result } from "effect"
import { FrameReader, FrameWriter, Poller, Registrar } from "effect-amy"
import { libc } from "../../src/internal/libc/koffi.ts"
import * as Kernel from "../support/kernel.ts"
import { scopedFds } from "../support/watched.ts"

it.live("a frame writer goes on where a full socket stopped it", () =>
  Effect.gen(function* () {
    const { functions } = libc()
    const poller = yield* Poller.Poller
    const [fd, peer] = yield* scopedFds(Kernel.socketPair)
    const buffer = new Uint8Array(65_536)
    const reader = FrameReader.make()
    const readAll = () => {
      for (let count = Kernel.readInto(peer, buffer); count > 0; count = Kernel.readInto(peer, buffer)) {
        FrameReader.feed(reader, buffer.subarray(0, count))
      }
    }
    const id = yield* Registrar.register(fd, "Write")
    // More than the buffers of both ends take.
    const sent = Uint8Array.from({ length: 3_000_000 }, (_, index) => (index * 31) & 255)
    const writer = FrameWriter.make()
    Result.getOrThrow(FrameWriter.push(writer, sent))
    let blocked = 0
    while (FrameWriter.write(writer, (bytes) => functions.write(fd, bytes, bytes.length)) === "blocked") {
      blocked++
      readAll()
      yield* Registrar.reregister(fd, id, "Write")
      expect((yield* poller.wait("5 seconds")).map((notification) => notification.id)).toEqual([id])
    }
    let frame = FrameReader.next(reader)
    for (; Option.isNone(frame); frame = FrameReader.next(reader)) readAll()
    expect(Buffer.compare(Result.getOrThrow(frame.value), sent)).toBe(0)
    expect(blocked).toBeGreaterThan(0)
  }).pipe(Effect.scoped, Effect.provide(Poller.layerWorker()))
)

it.live("bytes that were not read are reported again only after that", () =>
  Effect.gen(function* () {
    const poller = yield* Poller.Poller
    const [fd, peer] = yield* scopedFds(Kernel.socketPair)
    const id = yield* Registrar.register(fd, "Read")
    Kernel.write(peer)
    expect((yield* poller.wait("5 seconds")).map((notification) => notification.id)).toEqual([id])
    Kernel.write(peer)
    expect(yield* poller.wait(0)).toEqual([])
    yield* Registrar.reregister(fd, id, "Read")
    expect((yield* poller.wait("5 seconds")).map((notification) => notification.id)).toEqual([id])
  }).pipe(Effect.scoped, Effect.provide(Poller.layerWorker()))
)
