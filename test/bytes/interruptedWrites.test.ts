/**
 * Writes that are interrupted at each step at which their fiber yields. What is written is what was
 * passed, and never what the caller's memory, or a descriptor's number, has become since.
 */
import { expect, it } from "@effect/vitest"
import { Effect, Fiber, Scheduler } from "effect"
import { AsyncFd, Fd, PollerSocket, Tcp, Unix } from "effect-amy"
import * as Kernel from "../support/kernel.ts"
import { nextLayerEntries, readyNow } from "../support/layers.ts"
import { isLong, times } from "../support/long.ts"
import { reasonOf } from "../support/outcome.ts"
import { YieldAt } from "../support/scheduler.ts"
import { begin, readInto, scopedFds, turn, waiters } from "../support/watched.ts"

const steps = Array.from({ length: 12 }, (_, i) => i + 1)

/** As a `Buffer`, because its `slice` returns the same memory. */
const memories = [(size: number) => new Uint8Array(size), (size: number): Uint8Array => Buffer.alloc(size)]

/** In the short run, each step with one kind of memory. */
const cases = steps.flatMap((step) =>
  memories.filter((_, i) => isLong || i === step % 2).map((memory) => [step, memory] as const)
)

/** Runs an effect until it yields at the step, or waits, and then interrupts it. */
const interruptedAt = <A, E, R>(step: number, effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(begin(Effect.provideService(effect, Scheduler.Scheduler, new YieldAt(step))), Fiber.interrupt)

/** Reads until nothing more comes. */
const received = (fd: number) =>
  Effect.gen(function* () {
    const buffer = new Uint8Array(1 << 20)
    const all: Array<Buffer> = []
    for (let calm = 0; calm < 5; calm++) {
      for (let count = readInto(fd, buffer); count > 0; count = readInto(fd, buffer)) {
        all.push(Buffer.from(buffer.subarray(0, count)))
        calm = 0
      }
      yield* Effect.andThen(readyNow, turn)
    }
    return Buffer.concat(all)
  })

const ways = {
  "AsyncFd of a pipe": { fds: Kernel.pipe, writer: (fd: number) => AsyncFd.make(fd, { event: "Write" }) },
  "AsyncFd of a socket": { fds: Kernel.socketPair, writer: (fd: number) => AsyncFd.make(fd, { event: "Write" }) },
  Tcp: { fds: Kernel.tcpPair, writer: (fd: number) => Tcp.fromFd(fd) },
  Unix: { fds: Kernel.socketPair, writer: (fd: number) => Unix.fromFd(fd) }
}

for (const [layerName, layer] of nextLayerEntries()) {
  for (const [name, way] of Object.entries(ways)) {
    for (const [size, room] of [
      [10, 0],
      [20_000, 0],
      [20_000, 4096],
      [times(500_000, 5_000_000), 4096]
    ] as const) {
      it.live(`promise 13: interrupts writeAll of ${size} bytes with room for ${room} (${name}, ${layerName})`, () =>
        Effect.gen(function* () {
          for (const [step, allocate] of cases) {
            yield* Effect.gen(function* () {
              const [reader, fd] = yield* scopedFds(way.fds)
              const writer = yield* way.writer(fd)
              // So that room is known, and the write is tried at once.
              yield* writer.writeAll(Uint8Array.of(0))
              Kernel.fill(fd)
              if (room > 0) Kernel.read(reader, room)
              const mine = allocate(size).fill(7)
              yield* interruptedAt(step, writer.writeAll(mine))
              mine.fill(99)
              const after = yield* received(reader)
              expect([step, after.includes(99)]).toEqual([step, false])
              expect([step, yield* waiters]).toEqual([step, 0])
              // The line is empty again.
              yield* writer.writeAll(Uint8Array.of(1, 2))
              expect([step, yield* received(reader)]).toEqual([step, Buffer.from([1, 2])])
            }).pipe(Effect.scoped)
          }
        }).pipe(Effect.provide(layer()))
      )
    }
  }

  it.live(`promise 13: sends nothing of a buffer that shrank before the interruption (${layerName})`, () =>
    Effect.gen(function* () {
      const listener = yield* Tcp.listen("127.0.0.1:0")
      const socket = yield* PollerSocket.make({ host: "127.0.0.1", port: listener.address.port })
      yield* socket.reader
      const writer = yield* socket.writer
      const server = yield* listener.accept
      const size = 8 << 20
      const memory = new ArrayBuffer(size, { maxByteLength: size })
      const mine = new Uint8Array(memory).fill(7)
      const writing = yield* begin(writer.write(mine))
      expect(writing.pollUnsafe()).toBeUndefined()
      memory.resize(100)
      yield* Fiber.interrupt(writing)
      memory.resize(size)
      mine.fill(99)
      expect((yield* received(server.fd)).includes(99)).toBe(false)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live(`promise 13: sendDescriptors never sends a descriptor that reuses the number (${layerName})`, () =>
    Effect.gen(function* () {
      for (const step of steps) {
        yield* Effect.gen(function* () {
          const [one, other] = yield* Unix.socketPair
          Kernel.fill(one.fd)
          const mine = yield* Fd.eventfd(5)
          const { fd } = mine
          yield* interruptedAt(step, one.sendDescriptors([mine], Uint8Array.of(1)))
          yield* mine.close
          expect((yield* Fd.eventfd(99)).fd).toBe(fd)
          expect((yield* received(other.fd)).includes(1)).toBe(false)
          expect([step, yield* waiters]).toEqual([step, 0])
        }).pipe(Effect.scoped)
      }
    }).pipe(Effect.provide(layer()))
  )

  it.live(`sending a descriptor that is closed while it waits for room fails with BadDescriptor (${layerName})`, () =>
    Effect.gen(function* () {
      const [one, other] = yield* Unix.socketPair
      Kernel.fill(one.fd)
      const mine = yield* Fd.eventfd(5)
      const { fd } = mine
      const sending = yield* begin(reasonOf(one.sendDescriptors([mine], Uint8Array.of(1))))
      yield* mine.close
      expect((yield* Fd.eventfd(99)).fd).toBe(fd)
      expect((yield* received(other.fd)).includes(1)).toBe(false)
      expect(yield* Fiber.join(sending)).toBe("BadDescriptor")
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )
}
