/** `AsyncFd.tryRead` and `tryWrite`: one call now, which neither waits nor loses readiness. */
import { expect, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Option, Scope } from "effect"
import { AsyncFd, Fd } from "effect-amy"
import * as Kernel from "../support/kernel.ts"
import { describeLayers, readyNow } from "../support/layers.ts"
import { outcome } from "../support/opened.ts"
import { atOnce, beginWaiting, encode, expectToWait, readText, scopedFds, watchedPair } from "../support/watched.ts"

const buffer = () => new Uint8Array(8)

describeLayers("AsyncFd.tryRead", (layer) => {
  it.live("reads what was reported, and gives none once there is nothing more", () =>
    Effect.gen(function* () {
      const { far, watched } = yield* watchedPair()
      const bytes = buffer()
      Kernel.write(far, 3)
      yield* watched.readable
      expect(yield* watched.tryRead(bytes, 0, 2)).toEqual(Option.some(2))
      expect(yield* watched.tryRead(bytes)).toEqual(Option.some(1))
      expect(yield* watched.tryRead(bytes)).toEqual(Option.none())
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("makes no call before the first report", () =>
    Effect.gen(function* () {
      const [near, far] = yield* scopedFds(Kernel.socketPair)
      const watched = yield* AsyncFd.make(near)
      Kernel.write(far)
      expect(yield* watched.tryRead(buffer())).toEqual(Option.none())
      yield* readyNow
      expect(yield* watched.tryRead(buffer())).toEqual(Option.some(1))
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("forgets readiness if the call would block, and only then", () =>
    Effect.gen(function* () {
      const { far, watched } = yield* watchedPair()
      Kernel.write(far, 2)
      yield* watched.readable
      yield* watched.tryRead(buffer(), 0, 1)
      yield* atOnce(watched.readable)
      yield* watched.tryRead(buffer())
      yield* atOnce(watched.readable)
      expect(yield* watched.tryRead(buffer())).toEqual(Option.none())
      const waiting = yield* beginWaiting(watched.readable)
      Kernel.write(far)
      yield* Fiber.join(waiting)
      expect(yield* watched.tryRead(buffer())).toEqual(Option.some(1))
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("gives none while another fiber waits to read, and takes nothing from it", () =>
    Effect.gen(function* () {
      const { far, watched } = yield* watchedPair()
      const waiting = yield* beginWaiting(readText(watched))
      Kernel.write(far)
      expect(yield* watched.tryRead(buffer())).toEqual(Option.none())
      expect(yield* Fiber.join(waiting)).toHaveLength(1)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("reads the end as 0", () =>
    Effect.gen(function* () {
      const { far, watched } = yield* watchedPair()
      Kernel.close(far)
      yield* watched.readable
      expect(yield* watched.tryRead(buffer())).toEqual(Option.some(0))
      expect(yield* watched.tryRead(buffer())).toEqual(Option.some(0))
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("watches a direction that was not watched, and keeps what the other one has reported", () =>
    Effect.gen(function* () {
      const { far, near, watched } = yield* watchedPair({ event: "Write" })
      yield* watched.writable
      Kernel.write(far)
      expect(yield* watched.tryRead(buffer())).toEqual(Option.none())
      yield* readyNow
      yield* atOnce(watched.writable)
      expect(yield* watched.tryRead(buffer())).toEqual(Option.some(1))
      expect(Kernel.isOpen(near)).toBe(true)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )
})

describeLayers("AsyncFd.tryWrite", (layer) => {
  it.live("writes what fits, and gives none while nothing fits", () =>
    Effect.gen(function* () {
      const { far, near, watched } = yield* watchedPair()
      yield* watched.writable
      expect(yield* watched.tryWrite(encode("abc"), 1)).toEqual(Option.some(2))
      Kernel.fill(near)
      expect(yield* watched.tryWrite(encode("abc"))).toEqual(Option.none())
      yield* expectToWait(watched.writable)
      Kernel.drain(far)
      yield* watched.writable
      expect(yield* watched.tryWrite(encode("abc"))).toEqual(Option.some(3))
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("gives none while another fiber waits to write, so that nothing comes between its bytes", () =>
    Effect.gen(function* () {
      const { far, near, watched } = yield* watchedPair()
      yield* watched.writable
      Kernel.fill(near)
      const waiting = yield* beginWaiting(watched.writeAll(encode("first")))
      expect(yield* watched.tryWrite(encode("second"))).toEqual(Option.none())
      Kernel.drain(far)
      yield* Fiber.join(waiting)
      expect(yield* watched.tryWrite(encode("second"))).toEqual(Option.some(6))
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("watches a direction that was not watched", () =>
    Effect.gen(function* () {
      const { far, watched } = yield* watchedPair({ event: "Read" })
      Kernel.write(far)
      yield* watched.readable
      expect(yield* watched.tryWrite(encode("abc"))).toEqual(Option.none())
      yield* readyNow
      expect(yield* watched.tryWrite(encode("abc"))).toEqual(Option.some(3))
      expect(yield* watched.tryRead(buffer())).toEqual(Option.some(1))
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )
})

describeLayers("AsyncFd.tryRead and tryWrite", (layer) => {
  it.live("refuse what reading and writing refuse", () =>
    Effect.gen(function* () {
      const { watched } = yield* watchedPair()
      expect(yield* outcome(watched.tryRead(buffer(), 9))).toBe("InvalidArgument")
      expect(yield* outcome(watched.tryRead(new Uint8Array(0)))).toBe("InvalidArgument")
      expect(yield* outcome(watched.tryWrite(buffer(), 0, 9))).toBe("InvalidArgument")
      const [blocking] = yield* scopedFds(Kernel.blockingPipe)
      const blocked = yield* AsyncFd.make(blocking, { event: "Read" })
      expect(yield* outcome(blocked.tryRead(buffer()))).toBe("InvalidArgument")
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("fail with Closed once the scope is closed, and register nothing then", () =>
    Effect.gen(function* () {
      const [near] = yield* scopedFds(Kernel.socketPair)
      const scope = yield* Scope.make()
      const watched = yield* Scope.provide(AsyncFd.make(near, { event: "Read" }), scope)
      yield* watched.tryRead(buffer())
      yield* Scope.close(scope, Exit.void)
      expect(yield* outcome(watched.tryRead(buffer()))).toBe("Closed")
      expect(yield* outcome(watched.tryWrite(buffer()))).toBe("Closed")
      // It can be registered again.
      yield* AsyncFd.make(near)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("fail with Closed once an Fd was closed by its owner", () =>
    Effect.gen(function* () {
      const { reader } = yield* Fd.pipe
      const watched = yield* AsyncFd.make(reader, { event: "Read" })
      yield* reader.close
      expect(yield* outcome(watched.tryRead(buffer()))).toBe("Closed")
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )
})
