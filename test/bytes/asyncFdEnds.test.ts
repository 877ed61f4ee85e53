/**
 * How waiting for a descriptor ends: its peer goes, its scope or its poller closes, its number is
 * reused.
 */
import { describe, expect, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Option, Scope, Stream } from "effect"
import { AsyncFd, Fd, Poller, type PollerError, Registrar } from "effect-amy"
import { breakSelector } from "../support/fault.ts"
import * as Kernel from "../support/kernel.ts"
import { describeLayers, layers, type PollerLayer, readyNow, someLayer } from "../support/layers.ts"
import { open, type Opened, outcome } from "../support/opened.ts"
import {
  atOnce,
  begin,
  beginWaiting,
  describeTwoLayers,
  encode,
  expectToWait,
  readText,
  scopedFds,
  watchedPair
} from "../support/watched.ts"

type Waits = {
  readonly [name: string]: (watched: AsyncFd.AsyncFd) => Effect.Effect<unknown, PollerError.PollerError>
}

/** Every operation that waits: on a full socket with nothing to read, all of them do. */
const waits: Waits = {
  readable: (watched) => watched.readable,
  writable: (watched) => watched.writable,
  priority: (watched) => watched.priority,
  readWhenReady: (watched) => watched.readWhenReady(Effect.succeedNone),
  writeWhenReady: (watched) => watched.writeWhenReady(Effect.succeedNone),
  read: (watched) => watched.read(new Uint8Array(8)),
  write: (watched) => watched.write(new Uint8Array(8)),
  writeAll: (watched) => watched.writeAll(new Uint8Array(8)),
  stream: (watched) => Stream.runDrain(watched.stream),
  sink: (watched) => Stream.run(Stream.succeed(new Uint8Array(8)), watched.sink)
}

const each = (tag: string) => Object.fromEntries(Object.keys(waits).map((name) => [name, tag]))

/** Starts two fibers of each, so that not only the first in a line is seen. */
const startWaits = (watched: AsyncFd.AsyncFd, near: number) =>
  Effect.gen(function* () {
    yield* watched.writable
    Kernel.fill(near)
    yield* readyNow
    yield* expectToWait(watched.write(encode("full")))
    const fibers: Array<readonly [string, Fiber.Fiber<string>]> = []
    for (const [name, wait] of [...Object.entries(waits), ...Object.entries(waits)]) {
      fibers.push([name, yield* begin(outcome(wait(watched)))])
    }
    yield* readyNow
    for (const [name, fiber] of fibers) expect([name, fiber.pollUnsafe()]).toEqual([name, undefined])
    return Effect.gen(function* () {
      const ends: Record<string, string> = {}
      for (const [name, fiber] of fibers) {
        const end = yield* Fiber.join(fiber)
        if (ends[name] !== undefined) expect(end).toBe(ends[name])
        ends[name] = end
      }
      return ends
    })
  })

/** Returns the outcomes of operations that begin now. */
const beginAll = (watched: AsyncFd.AsyncFd) =>
  Effect.all(Object.fromEntries(Object.entries(waits).map(([name, wait]) => [name, atOnce(outcome(wait(watched)))])))

const build = (layer: PollerLayer) => Effect.map(Layer.build(layer), Context.get(Registrar.Registrar))

/** Runs a test on a poller that the test ends. */
const on = <A, E, R>(opened: Opened, effect: Effect.Effect<A, E, R>) =>
  effect.pipe(
    Effect.provideService(Poller.Poller, opened.poller),
    Effect.provideService(Registrar.Registrar, opened.registrar)
  )

describeLayers("promise 8: closing, of one descriptor", (layer) => {
  it.live("closing the poller fails fibers that wait, and those that come later, with Closed", () =>
    Effect.gen(function* () {
      const before = Kernel.openDescriptors()
      yield* Effect.gen(function* () {
        const opened = yield* open(layer())
        yield* on(
          opened,
          Effect.gen(function* () {
            const { near, watched } = yield* watchedPair()
            const ended = yield* startWaits(watched, near)
            yield* opened.close
            expect(yield* ended).toEqual(each("Closed"))
            expect(yield* beginAll(watched)).toEqual(each("Closed"))
            expect(yield* outcome(AsyncFd.make(near))).toBe("Closed")
            expect(Kernel.isOpen(near)).toBe(true)
          })
        )
      }).pipe(Effect.scoped)
      expect(Kernel.openDescriptors()).toEqual(before)
    })
  )

  it.live("closing the scope fails its fibers, and those that come later, with Closed; others go on", () =>
    Effect.gen(function* () {
      const { far, near, watched: other } = yield* watchedPair()
      const [mine] = yield* scopedFds(Kernel.socketPair)
      const scope = yield* Scope.make()
      const watched = yield* Effect.provideService(AsyncFd.make(mine), Scope.Scope, scope)
      const waiting = yield* beginWaiting(other.readable)
      const ended = yield* startWaits(watched, mine)
      yield* Scope.close(scope, Exit.void)
      expect(yield* ended).toEqual(each("Closed"))
      expect(yield* beginAll(watched)).toEqual(each("Closed"))
      const error = yield* Effect.flip(watched.readable)
      expect(error.message).toContain("its scope has closed")
      Kernel.write(far)
      yield* Fiber.join(waiting)
      expect(Kernel.isOpen(mine) && Kernel.isOpen(near)).toBe(true)
      expect((yield* (yield* Poller.Poller).stats).registrations).toBe(1)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("readiness that is known already does not outlive the closing", () =>
    Effect.gen(function* () {
      const [near, far] = yield* scopedFds(Kernel.socketPair)
      const scope = yield* Scope.make()
      const watched = yield* Effect.provideService(AsyncFd.make(near), Scope.Scope, scope)
      Kernel.write(far)
      yield* watched.readable
      yield* watched.writable
      const prepared = [watched.readable, watched.read(new Uint8Array(1)), watched.writeAll(new Uint8Array(1))]
      yield* Scope.close(scope, Exit.void)
      for (const effect of prepared) expect(yield* outcome(effect)).toBe("Closed")
      // Nothing was read or written, though there were bytes, and room.
      expect(Kernel.read(near)).toBe(1)
      expect(Kernel.read(far)).toBe(-1)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("if the polling thread dies, fibers that wait, and those that come later, fail with WorkerFailed", () =>
    Effect.gen(function* () {
      const opened = yield* open(layer())
      yield* on(
        opened,
        Effect.gen(function* () {
          const { near, watched } = yield* watchedPair()
          const ended = yield* startWaits(watched, near)
          yield* breakSelector(opened.poller.handle)
          expect(yield* ended).toEqual(each("WorkerFailed"))
          expect(yield* beginAll(watched)).toEqual(each("WorkerFailed"))
          expect(yield* outcome(AsyncFd.make(near))).toBe("WorkerFailed")
        })
      )
    }).pipe(Effect.scoped)
  )
})

describeLayers("AsyncFd: a registration that is lost", (layer) => {
  it.live("deregistering the descriptor fails fibers that wait, and those that come later, with NotRegistered", () =>
    Effect.gen(function* () {
      const { near, watched } = yield* watchedPair()
      const ended = yield* startWaits(watched, near)
      yield* Registrar.deregister(near)
      expect(yield* ended).toEqual(each("NotRegistered"))
      expect(yield* beginAll(watched)).toEqual(each("NotRegistered"))
      // The descriptor can be watched again, and that does not touch the first AsyncFd.
      const again = yield* AsyncFd.make(near)
      yield* expectToWait(again.readable)
      expect(yield* outcome(watched.readable)).toBe("NotRegistered")
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("a descriptor that was closed, and whose number is reused, fails with NotRegistered; the new one works", () =>
    Effect.gen(function* () {
      const [near] = yield* scopedFds(Kernel.socketPair)
      const first = yield* Scope.make()
      const watched = yield* Effect.provideService(AsyncFd.make(near), Scope.Scope, first)
      const ended = yield* startWaits(watched, near)
      const [other, peer] = yield* scopedFds(Kernel.socketPair)
      // Closes the open file of the number: the kernel ends its registration by itself.
      Kernel.dup2(other, near)
      const anew = yield* AsyncFd.make(near)
      expect(yield* ended).toEqual(each("NotRegistered"))
      expect(yield* beginAll(watched)).toEqual(each("NotRegistered"))
      const waiting = yield* beginWaiting(readText(anew))
      yield* Scope.close(first, Exit.void)
      Kernel.writeText(peer, "new")
      expect(yield* Fiber.join(waiting)).toBe("new")
      expect((yield* (yield* Poller.Poller).stats).registrations).toBe(1)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )
})

describeTwoLayers("promise 6: closed and failed ends are seen", (layer) => {
  it.live("a peer that writes nothing more wakes fibers that read, with readClosed", () =>
    Effect.gen(function* () {
      const { far, near, watched } = yield* watchedPair()
      const readable = yield* beginWaiting(watched.readable)
      const read = yield* beginWaiting(readText(watched))
      const stream = yield* begin(Stream.runDrain(watched.stream))
      Kernel.shutdownWrite(far)
      expect(yield* Fiber.join(readable)).toMatchObject({ readClosed: true, writeClosed: false, error: false })
      expect(yield* Fiber.join(read)).toBe("")
      yield* Fiber.join(stream)
      // The other direction still works.
      yield* watched.writeAll(encode("still"))
      expect(Kernel.readText(far)).toBe("still")
      expect(Kernel.isOpen(near)).toBe(true)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("a peer that is gone wakes fibers that read and fibers that write", () =>
    Effect.gen(function* () {
      const { far, near, watched } = yield* watchedPair()
      yield* watched.writable
      Kernel.fill(near)
      yield* readyNow
      yield* expectToWait(watched.write(encode("full")))
      const readable = yield* beginWaiting(watched.readable)
      const writable = yield* beginWaiting(watched.writable)
      const reading = yield* beginWaiting(outcome(watched.read(new Uint8Array(8))))
      const writing = yield* beginWaiting(outcome(watched.writeAll(encode("x"))))
      Kernel.close(far)
      expect(yield* Fiber.join(readable)).toMatchObject({ readClosed: true })
      expect(yield* Fiber.join(writable)).toMatchObject({ writeClosed: true })
      // The bytes that the peer was sent and never read turn its close into a reset on this side.
      expect(yield* Fiber.join(reading)).toBe("ConnectionReset")
      expect(yield* Fiber.join(writing)).toBe("BrokenPipe")
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("bytes that were sent before the end are read before it", () =>
    Effect.gen(function* () {
      const { far, watched } = yield* watchedPair()
      Kernel.writeText(far, "last words")
      Kernel.close(far)
      // The bytes may be reported before the end is.
      yield* Effect.repeat(Effect.andThen(Effect.yieldNow, watched.readable), { until: ({ readClosed }) => readClosed })
      const chunks = yield* Stream.runCollect(watched.stream)
      expect(chunks.map((chunk) => new TextDecoder().decode(chunk)).join("")).toBe("last words")
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("a pipe without writers wakes its reader, and one without readers wakes its writer", () =>
    Effect.gen(function* () {
      const [read, write] = yield* scopedFds(Kernel.pipe)
      const reader = yield* AsyncFd.make(read, { event: "Read" })
      const waiting = yield* beginWaiting(readText(reader))
      Kernel.close(write)
      expect(yield* Fiber.join(waiting)).toBe("")
      const [gone, full] = yield* scopedFds(Kernel.pipe)
      const writer = yield* AsyncFd.make(full, { event: "Write" })
      yield* writer.writable
      Kernel.fill(full)
      yield* readyNow
      const writing = yield* beginWaiting(outcome(writer.writeAll(encode("x"))))
      Kernel.close(gone)
      expect(yield* Fiber.join(writing)).toBe("BrokenPipe")
      expect(yield* writer.writable).toMatchObject({ error: true })
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("a reset fails reading with ConnectionReset, and a refused connection wakes fibers that write", () =>
    Effect.gen(function* () {
      const { far, watched } = yield* watchedPair({}, Kernel.tcpPair)
      const reading = yield* beginWaiting(outcome(watched.read(new Uint8Array(1))))
      Kernel.closeWithReset(far)
      expect(yield* Fiber.join(reading)).toBe("ConnectionReset")
      const [connecting] = yield* scopedFds(() => [Kernel.connectInVain()] as const)
      const refused = yield* AsyncFd.make(connecting, { event: "Write" })
      expect(yield* refused.writable).toMatchObject({ error: true })
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )
})

describeTwoLayers("promise 11: a descriptor that the library does not own", (layer) => {
  it.live("stays open and unchanged after its scope, after the poller, and if AsyncFd.make fails", () =>
    Effect.gen(function* () {
      const [blocking, blockingWriter] = yield* scopedFds(Kernel.blockingPipe)
      const [nonblocking] = yield* scopedFds(Kernel.pipe)
      const fds = [blocking, blockingWriter, nonblocking]
      const state = () => fds.map((fd) => [Kernel.isOpen(fd), Kernel.isNonblocking(fd), Kernel.isCloseOnExec(fd)])
      const before = state()
      const opened = yield* open(layer())
      yield* on(
        opened,
        Effect.gen(function* () {
          yield* Effect.scoped(Effect.forEach(fds, (fd) => AsyncFd.make(fd)))
          expect(state()).toEqual(before)
          yield* AsyncFd.make(blocking)
          expect(yield* outcome(AsyncFd.make(blocking))).toBe("AlreadyRegistered")
          expect(state()).toEqual(before)
          yield* opened.close
          expect(state()).toEqual(before)
        })
      )
    }).pipe(Effect.scoped)
  )

  it.live("is not read or written in blocking mode, as that would block; its readiness can still be waited for", () =>
    Effect.gen(function* () {
      const [read, write] = yield* scopedFds(Kernel.blockingPipe)
      const reader = yield* AsyncFd.make(read, { event: "Read" })
      const writer = yield* AsyncFd.make(write, { event: "Write" })
      const error = yield* Effect.flip(reader.read(new Uint8Array(1)))
      expect(error.reason).toMatchObject({ _tag: "InvalidArgument", fd: read })
      expect(error.message).toContain("blocking mode")
      expect(error.message).toContain("Fd.setNonblocking(fd, true)")
      const calls = [writer.write(encode("x")), writer.writeAll(encode("x")), Stream.runDrain(reader.stream)]
      for (const call of [...calls, Stream.run(Stream.succeed(encode("x")), writer.sink)]) {
        expect(yield* outcome(call)).toBe("InvalidArgument")
      }
      yield* writer.writable
      const waiting = yield* beginWaiting(reader.readWhenReady(Effect.sync(() => Option.some(Kernel.readText(read)))))
      Kernel.writeText(write, "ready")
      expect(yield* Fiber.join(waiting)).toBe("ready")
      // What the sentence says mends it. Only its owner may change the mode.
      yield* Fd.setNonblocking(read, true)
      const reading = yield* beginWaiting(reader.read(new Uint8Array(8)))
      Kernel.writeText(write, "more")
      expect(yield* Fiber.join(reading)).toBe(4)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )
})

describe("AsyncFd: two pollers in one program", () => {
  it.live("each poller watches the same descriptor independently", () =>
    Effect.gen(function* () {
      const one = yield* build(layers.layerWorker())
      const two = yield* build(someLayer())
      const [near, far] = yield* scopedFds(Kernel.socketPair)
      const first = yield* Effect.provideService(AsyncFd.make(near), Registrar.Registrar, one)
      const second = yield* Effect.provideService(AsyncFd.make(near), Registrar.Registrar, two)
      const waiting = [yield* begin(first.readable), yield* begin(second.readable)]
      Kernel.write(far)
      yield* Effect.forEach(waiting, Fiber.join)
    }).pipe(Effect.scoped)
  )
})

describeTwoLayers("AsyncFd: an Fd that its owner closed too early", (layer) => {
  it.live("fails with Closed, and leaves the descriptor alone that reuses its number", () =>
    Effect.gen(function* () {
      const { reader, writer } = yield* Fd.pipe
      const watched = yield* AsyncFd.make(reader)
      yield* reader.close
      // The number is reused by a descriptor that has something to read.
      const other = yield* Fd.eventfd(5)
      yield* writer.close
      expect(other.fd).toBe(watched.fd)
      expect(yield* beginAll(watched)).toEqual(each("Closed"))
      expect(Option.isSome(yield* other.tryRead(new Uint8Array(8)))).toBe(true)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )
})
