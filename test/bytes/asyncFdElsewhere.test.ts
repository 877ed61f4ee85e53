/** `AsyncFd` on layerBlocking, on TestPoller, and in other threads. */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Option, Stream } from "effect"
import { AsyncFd, Fd, Poller, Registrar } from "effect-amy"
import { TestPoller } from "effect-amy/testing"
import * as Kernel from "../support/kernel.ts"
import { outcome } from "../support/opened.ts"
import { start } from "../support/thread.ts"
import { atOnce, begin, encode, readText, scopedFds, waiters, watchedPair } from "../support/watched.ts"

const onMain = Poller.layerBlocking({ allowMainThread: true })

describe("AsyncFd on layerBlocking", () => {
  it.live("with allowMainThread, waiting for a descriptor makes the thread poll", () =>
    Effect.gen(function* () {
      const { far, near, watched } = yield* watchedPair()
      const log: Array<string> = []
      const peer = Effect.gen(function* () {
        const other = yield* AsyncFd.make(far)
        log.push(yield* readText(other))
        yield* other.writeAll(encode("answer"))
      })
      const serving = yield* begin(Effect.scoped(peer))
      yield* watched.writeAll(encode("question"))
      log.push(yield* readText(watched))
      yield* Fiber.join(serving)
      expect(log).toEqual(["question", "answer"])
      const attempt = Effect.sync(() => Option.liftPredicate(Kernel.read(near), (count) => count >= 0))
      const waiting = yield* begin(watched.readWhenReady(attempt))
      Kernel.writeText(far, "more")
      expect(yield* Fiber.join(waiting)).toBe(4)
      expect(yield* waiters).toBe(0)
    }).pipe(Effect.scoped, Effect.provide(onMain))
  )

  it.live("with allowMainThread, many MiB reach a fiber of the same thread", () =>
    Effect.gen(function* () {
      const { reader, writer } = yield* Fd.pipe
      const input = yield* AsyncFd.make(reader, { event: "Read" })
      const output = yield* AsyncFd.make(writer, { event: "Write" })
      const received = yield* begin(
        Stream.runFold(
          input.stream,
          () => 0,
          (sum, chunk) => sum + chunk.length
        )
      )
      yield* output.writeAll(new Uint8Array(3 << 20))
      yield* writer.close
      expect(yield* Fiber.join(received)).toBe(3 << 20)
    }).pipe(Effect.scoped, Effect.provide(onMain))
  )

  it.live("an interrupted wait no longer makes the thread poll", () =>
    Effect.gen(function* () {
      const { far, watched } = yield* watchedPair()
      const waiting = yield* begin(watched.readable)
      yield* Fiber.interrupt(waiting)
      expect(yield* waiters).toBe(0)
      Kernel.write(far)
      yield* watched.readable
    }).pipe(Effect.scoped, Effect.provide(onMain))
  )
})

describe("AsyncFd in other threads", () => {
  for (const layer of ["blocking", "attached"] as const) {
    it.live(`an AsyncFd echoes in another thread (${layer})`, () =>
      Effect.gen(function* () {
        const { handle } = yield* Poller.Poller
        const [near, far] = yield* scopedFds(Kernel.socketPair)
        const watched = yield* AsyncFd.make(near)
        const thread = yield* start("asyncFdThread", { fd: far, handle: layer === "attached" ? handle : undefined })
        for (const text of ["one", "two", "three"]) {
          yield* watched.writeAll(encode(text))
          expect(yield* readText(watched)).toBe(text)
        }
        Kernel.shutdownWrite(near)
        expect(yield* readText(watched)).toBe("")
        expect(yield* thread.exited).toBe(0)
        expect(Kernel.isOpen(far)).toBe(true)
      }).pipe(Effect.scoped, Effect.provide(Poller.layerWorker()))
    )
  }
})

describe("AsyncFd on TestPoller", () => {
  it.effect("readiness is what the test declares, and is remembered in the same way", () =>
    Effect.gen(function* () {
      const kernel = yield* TestPoller.TestPoller
      const poller = yield* Poller.Poller
      const descriptor = yield* kernel.open
      const watched = yield* AsyncFd.make(descriptor)
      const reading = yield* begin(watched.readable)
      const writing = yield* begin(watched.writable)
      expect(yield* poller.wait(0)).toEqual([])
      expect([reading.pollUnsafe(), writing.pollUnsafe()]).toEqual([undefined, undefined])
      yield* descriptor.readable
      yield* Fiber.join(reading)
      expect(writing.pollUnsafe()).toBeUndefined()
      yield* descriptor.writable
      yield* Fiber.join(writing)
      const ready = yield* atOnce(watched.readable)
      yield* descriptor.drained
      yield* ready.clear
      const again = yield* begin(watched.readable)
      expect(yield* poller.wait(0)).toEqual([])
      expect(again.pollUnsafe()).toBeUndefined()
      yield* descriptor.hungUp
      expect(yield* Fiber.join(again)).toMatchObject({ readClosed: true })
      expect(yield* atOnce(watched.writable)).toMatchObject({ writeClosed: true })
      const urgent = yield* begin(watched.priority)
      yield* descriptor.priority
      yield* Fiber.join(urgent)
      expect(yield* kernel.registered).toMatchObject([{ fd: descriptor.fd, event: "Both", priority: true }])
    }).pipe(Effect.scoped, Effect.provide(TestPoller.layer))
  )

  it.effect("readWhenReady and writeWhenReady retry an attempt of the test's", () =>
    Effect.gen(function* () {
      const kernel = yield* TestPoller.TestPoller
      const descriptor = yield* kernel.open
      const watched = yield* AsyncFd.make(descriptor)
      const inbox: Array<string> = []
      let attempts = 0
      const take = Effect.sync(() => {
        attempts++
        return Option.fromNullishOr(inbox.shift())
      })
      const reading = yield* begin(watched.readWhenReady(take))
      yield* descriptor.readable
      yield* (yield* Poller.Poller).wait(0)
      expect([attempts, reading.pollUnsafe()]).toEqual([1, undefined])
      inbox.push("it")
      yield* descriptor.readable
      expect(yield* Fiber.join(reading)).toBe("it")
      expect(attempts).toBe(2)
      yield* descriptor.writable
      expect(yield* watched.writeWhenReady(Effect.succeedSome("done"))).toBe("done")
    }).pipe(Effect.scoped, Effect.provide(TestPoller.layer))
  )

  it.effect("reading and writing bytes is refused, and the error says what to do instead", () =>
    Effect.gen(function* () {
      const descriptor = yield* (yield* TestPoller.TestPoller).open
      yield* descriptor.readable
      const watched = yield* AsyncFd.make(descriptor)
      const error = yield* Effect.flip(watched.read(new Uint8Array(8)))
      expect(error.reason._tag).toBe("InvalidArgument")
      expect(error.message).toContain("readWhenReady")
      expect(yield* outcome(watched.write(new Uint8Array(8)))).toBe("InvalidArgument")
      expect(yield* outcome(watched.writeAll(new Uint8Array(8)))).toBe("InvalidArgument")
      expect(yield* outcome(Stream.runDrain(watched.stream))).toBe("InvalidArgument")
    }).pipe(Effect.scoped, Effect.provide(TestPoller.layer))
  )

  it.effect("registrations are refused and lost, and pollers die, as with a kernel", () =>
    Effect.gen(function* () {
      const kernel = yield* TestPoller.TestPoller
      const descriptor = yield* kernel.open
      const other = yield* kernel.open
      expect(yield* outcome(Effect.scoped(AsyncFd.make(yield* kernel.openUnpollable)))).toBe("NotPollable")
      expect(yield* outcome(Effect.scoped(AsyncFd.make(99)))).toBe("BadDescriptor")
      yield* Effect.scoped(AsyncFd.make(descriptor))
      expect(yield* kernel.registered).toEqual([])
      const watched = yield* AsyncFd.make(descriptor)
      const last = yield* AsyncFd.make(other)
      expect(yield* outcome(Effect.scoped(AsyncFd.make(descriptor)))).toBe("AlreadyRegistered")
      const reading = yield* begin(outcome(watched.readable))
      yield* Registrar.deregister(descriptor)
      expect(yield* Fiber.join(reading)).toBe("NotRegistered")
      const dying = yield* begin(outcome(last.readable))
      yield* kernel.kill
      expect(yield* Fiber.join(dying)).toBe("WorkerFailed")
      expect(yield* outcome(last.writable)).toBe("WorkerFailed")
    }).pipe(Effect.scoped, Effect.provide(TestPoller.layer))
  )
})

describe("AsyncFd on a Registrar that effect-amy did not create", () => {
  it.live("is refused", () =>
    Effect.gen(function* () {
      const fake = Registrar.Registrar.of({} as Registrar.Registrar["Service"])
      const making = Effect.provideService(Effect.scoped(AsyncFd.make(0)), Registrar.Registrar, fake)
      expect(yield* outcome(making)).toBe("InvalidArgument")
    })
  )
})
