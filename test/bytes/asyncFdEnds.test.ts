/** How waiting for one descriptor ends: its peer goes, its scope or its poller closes, its number becomes another's. */
import { describe, expect, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Option, Scope, Stream } from "effect"
import { AsyncFd, Fd, Poller, type PollerError, Registrar } from "effect-amy"
import { breakSelector } from "../support/fault.ts"
import * as Kernel from "../support/kernel.ts"
import { describeLayers, layers, type PollerLayer, readyNow } from "../support/layers.ts"
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

/** Everything that waits. On a full socket with nothing to read, each of them does. */
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

/** Two of each wait, so that it is no matter of who is the first. */
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

/** What each answers that is begun now. */
const beginAll = (watched: AsyncFd.AsyncFd) =>
  Effect.all(Object.fromEntries(Object.entries(waits).map(([name, wait]) => [name, atOnce(outcome(wait(watched)))])))

const build = (layer: PollerLayer) => Effect.map(Layer.build(layer), Context.get(Registrar.Registrar))

/** On a poller whose end is up to the test. */
const on = <A, E, R>(opened: Opened, effect: Effect.Effect<A, E, R>) =>
  effect.pipe(
    Effect.provideService(Poller.Poller, opened.poller),
    Effect.provideService(Registrar.Registrar, opened.registrar)
  )

describeLayers("promise 8: closing, of one descriptor", (layer) => {
  it.live("closing the poller fails whoever waits with Closed, and whoever comes later", () =>
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

  it.live("closing its scope fails whoever waits with Closed, and whoever comes later; others go on", () =>
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

  it.live("what is known to be ready is Closed as well, once it is closed", () =>
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
      // Nothing was read or written, though there is something, and room.
      expect(Kernel.read(near)).toBe(1)
      expect(Kernel.read(far)).toBe(-1)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("if the polling thread dies, whoever waits fails with WorkerFailed, and whoever comes later", () =>
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

describeLayers("AsyncFd: its registration is taken away", (layer) => {
  it.live("deregister of its descriptor fails whoever waits with NotRegistered, and whoever comes later", () =>
    Effect.gen(function* () {
      const { near, watched } = yield* watchedPair()
      const ended = yield* startWaits(watched, near)
      yield* Registrar.deregister(near)
      expect(yield* ended).toEqual(each("NotRegistered"))
      expect(yield* beginAll(watched)).toEqual(each("NotRegistered"))
      // It is free for another one, which does not touch the first.
      const again = yield* AsyncFd.make(near)
      yield* expectToWait(again.readable)
      expect(yield* outcome(watched.readable)).toBe("NotRegistered")
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("closed without a word, and its number used anew: NotRegistered, and the new one is its own", () =>
    Effect.gen(function* () {
      const [near] = yield* scopedFds(Kernel.socketPair)
      const first = yield* Scope.make()
      const watched = yield* Effect.provideService(AsyncFd.make(near), Scope.Scope, first)
      const ended = yield* startWaits(watched, near)
      const [other, peer] = yield* scopedFds(Kernel.socketPair)
      // Closes what the number meant: the kernel forgets it by itself.
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
  it.live("a peer that writes nothing more wakes readers, and says readClosed", () =>
    Effect.gen(function* () {
      const { far, near, watched } = yield* watchedPair()
      const readable = yield* beginWaiting(watched.readable)
      const read = yield* beginWaiting(readText(watched))
      const stream = yield* begin(Stream.runDrain(watched.stream))
      Kernel.shutdownWrite(far)
      expect(yield* Fiber.join(readable)).toMatchObject({ readClosed: true, writeClosed: false, error: false })
      expect(yield* Fiber.join(read)).toBe("")
      yield* Fiber.join(stream)
      // The other direction goes on.
      yield* watched.writeAll(encode("still"))
      expect(Kernel.readText(far)).toBe("still")
      expect(Kernel.isOpen(near)).toBe(true)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("a peer that is gone wakes readers and writers", () =>
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
      // What it was sent and never read makes it a reset, on this side.
      expect(yield* Fiber.join(reading)).toBe("ConnectionReset")
      expect(yield* Fiber.join(writing)).toBe("BrokenPipe")
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("what was sent before the end is read before it", () =>
    Effect.gen(function* () {
      const { far, watched } = yield* watchedPair()
      Kernel.writeText(far, "last words")
      Kernel.close(far)
      expect(yield* watched.readable).toMatchObject({ readClosed: true })
      const chunks = yield* Stream.runCollect(watched.stream)
      expect(chunks.map((chunk) => new TextDecoder().decode(chunk)).join("")).toBe("last words")
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("a pipe whose writers are gone wakes its reader; one whose readers are gone, its writer", () =>
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

  it.live("a reset is ConnectionReset for who reads, and a refused connection wakes who waits to write", () =>
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

describeTwoLayers("promise 11: a descriptor that is somebody else's", (layer) => {
  it.live("stays open and as it was: after its scope, after the poller, and if making it fails", () =>
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

  it.live("one in blocking mode is not read or written, for that would block; its readiness is still to be had", () =>
    Effect.gen(function* () {
      const [read, write] = yield* scopedFds(Kernel.blockingPipe)
      const reader = yield* AsyncFd.make(read, { event: "Read" })
      const writer = yield* AsyncFd.make(write, { event: "Write" })
      const error = yield* Effect.flip(reader.read(new Uint8Array(1)))
      expect(error.reason).toMatchObject({ _tag: "InvalidArgument", fd: read })
      expect(error.message).toContain("blocking mode")
      const calls = [writer.write(encode("x")), writer.writeAll(encode("x")), Stream.runDrain(reader.stream)]
      for (const call of [...calls, Stream.run(Stream.succeed(encode("x")), writer.sink)]) {
        expect(yield* outcome(call)).toBe("InvalidArgument")
      }
      yield* writer.writable
      const waiting = yield* beginWaiting(reader.readWhenReady(Effect.sync(() => Option.some(Kernel.readText(read)))))
      Kernel.writeText(write, "ready")
      expect(yield* Fiber.join(waiting)).toBe("ready")
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )
})

describe("AsyncFd: on another layer of the same program", () => {
  it.live("each poller watches it for itself", () =>
    Effect.gen(function* () {
      const one = yield* build(layers.layerWorker())
      const two = yield* build(layers.layerEventLoop())
      const [near, far] = yield* scopedFds(Kernel.socketPair)
      const first = yield* Effect.provideService(AsyncFd.make(near), Registrar.Registrar, one)
      const second = yield* Effect.provideService(AsyncFd.make(near), Registrar.Registrar, two)
      const waiting = [yield* begin(first.readable), yield* begin(second.readable)]
      Kernel.write(far)
      yield* Effect.forEach(waiting, Fiber.join)
    }).pipe(Effect.scoped)
  )
})

describeTwoLayers("AsyncFd: an Fd that its owner has closed before", (layer) => {
  it.live("fails with Closed, and leaves alone what has its number by then", () =>
    Effect.gen(function* () {
      const { reader, writer } = yield* Fd.pipe
      const watched = yield* AsyncFd.make(reader)
      yield* reader.close
      // The number is another one's, in which there is something to read.
      const other = yield* Fd.eventfd(5)
      yield* writer.close
      expect(other.fd).toBe(watched.fd)
      expect(yield* beginAll(watched)).toEqual(each("Closed"))
      expect(Option.isSome(yield* other.tryRead(new Uint8Array(8)))).toBe(true)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )
})
