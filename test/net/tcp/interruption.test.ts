/**
 * An interruption leaves nothing behind and loses nothing. Closing the poller fails every operation
 * with Closed.
 */
import { expect, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Latch, Scheduler, type Scope, Stream } from "effect"
import { type PollerError, Registrar, Tcp } from "effect-amy"
import * as Kernel from "../../support/kernel.ts"
import { open } from "../../support/opened.ts"
import { outcomeOf } from "../../support/outcome.ts"
import { until } from "../../support/observe.ts"
import { YieldAt } from "../../support/scheduler.ts"
import {
  bytesOf,
  describeTcp,
  fill,
  fullListener,
  leavesNothing,
  nodeClient,
  pair,
  randomNumbers,
  readText,
  receiveAll,
  sockets,
  startWaiting,
  turn,
  waiters,
  withNodePeer
} from "./support.ts"

describeTcp("promise 13: interrupting an operation on a connection leaves nothing behind", (live) => {
  live("read: the next read gets the bytes", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* withNodePeer()
      for (let round = 0; round < 20; round++) {
        yield* Fiber.interrupt(yield* startWaiting(connection.read(new Uint8Array(8))))
        yield* Fiber.interrupt(yield* startWaiting(Stream.runDrain(connection.stream)))
        expect(yield* waiters).toBe(0)
        peer.write(`round ${round % 10}`)
        expect(yield* readText(connection, 7)).toBe(`round ${round % 10}`)
      }
    })
  )

  live("read by the same effect in two fibers: the one that is left gets the bytes", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* withNodePeer()
      const buffer = new Uint8Array(8)
      const reading = connection.read(buffer)
      const [first, second] = [yield* startWaiting(reading), yield* startWaiting(reading)]
      expect(yield* waiters).toBe(2)
      yield* Fiber.interrupt(first)
      expect(yield* waiters).toBe(1)
      peer.write("for two")
      expect(yield* Fiber.join(second)).toBe(7)
      expect(yield* waiters).toBe(0)
    })
  )

  live("run: all handlers are interrupted together, so that none waits for another's end", () =>
    Effect.gen(function* () {
      const listener = yield* Tcp.listen("127.0.0.1:0")
      const interrupted = [Latch.makeUnsafe(false), Latch.makeUnsafe(false)]
      let started = 0
      const server = yield* Effect.forkChild(
        listener.run(() =>
          Effect.suspend(() => {
            const index = started++
            return Effect.onInterrupt(Effect.never, () =>
              Effect.andThen(interrupted[index]!.open, interrupted[1 - index]!.await)
            )
          })
        ),
        { startImmediately: true }
      )
      yield* Effect.all([Tcp.connect(listener.address), Tcp.connect(listener.address)])
      yield* until(() => started === 2)
      yield* Fiber.interrupt(server)
    })
  )

  live("read while bytes arrive: each byte is read exactly once", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* withNodePeer()
      const random = randomNumbers(1)
      peer.setNoDelay(true)
      const read: Array<number> = []
      const one = new Uint8Array(1)
      for (let round = 0; round < 300; round++) {
        const fiber = yield* Effect.forkChild(connection.read(one), { startImmediately: true })
        peer.write(Uint8Array.of(round & 0xff))
        for (let i = Math.floor(random() * 3); i > 0; i--) yield* turn
        yield* Fiber.interrupt(fiber)
        const exit = yield* Fiber.await(fiber)
        if (Exit.isFailure(exit)) yield* connection.read(one)
        read.push(one[0]!)
      }
      expect(read).toEqual(Array.from({ length: 300 }, (_, i) => i & 0xff))
      expect(yield* waiters).toBe(0)
    })
  )

  live("write: no byte was written, and the next write is", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* withNodePeer({ sendBufferSize: 20_000 })
      const total = yield* fill(connection)
      const late = bytesOf("never to be seen")
      for (let i = 0; i < 10; i++) yield* Fiber.interrupt(yield* startWaiting(connection.write(late)))
      expect(yield* waiters).toBe(0)
      const writing = yield* startWaiting(connection.writeAll(bytesOf("the end")))
      const received = yield* Effect.forkChild(receiveAll(peer), { startImmediately: true })
      yield* Fiber.join(writing)
      yield* connection.shutdown("write")
      const bytes = yield* Fiber.join(received)
      expect(bytes.length).toBe(total + "the end".length)
      expect(bytes.subarray(total).toString()).toBe("the end")
    })
  )

  live("writeAll: a part from its beginning was written, and the next write follows it", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* withNodePeer({ sendBufferSize: 20_000 })
      const writing = yield* startWaiting(connection.writeAll(new Uint8Array(50_000_000).fill(1)))
      const second = yield* startWaiting(connection.writeAll(bytesOf("also")))
      yield* Fiber.interrupt(writing)
      expect(yield* waiters).toBe(1)
      const received = yield* Effect.forkChild(receiveAll(peer), { startImmediately: true })
      yield* Fiber.join(second)
      yield* connection.shutdown("write")
      const bytes = yield* Fiber.join(received)
      expect(bytes.length).toBeLessThan(50_000_000)
      expect(bytes.subarray(-4).toString()).toBe("also")
      expect(bytes.subarray(0, -4).every((byte) => byte === 1)).toBe(true)
    })
  )

  live("connect: the socket is closed at once, before its scope", () =>
    Effect.gen(function* () {
      const { listener } = yield* fullListener
      const before = sockets().length
      for (let i = 0; i < 10; i++) {
        const fiber = yield* startWaiting(Tcp.connect(listener.address))
        expect(sockets().length).toBe(before + 1)
        yield* Fiber.interrupt(fiber)
        expect(sockets().length).toBe(before)
      }
      expect(yield* waiters).toBe(0)
    })
  )
})

describeTcp("promise 13: interrupting an operation on a listener loses no connection", (live) => {
  live("accept: the next accept gets the connection", () =>
    Effect.gen(function* () {
      const listener = yield* Tcp.listen("127.0.0.1:0")
      for (let round = 0; round < 20; round++) {
        const waiting = yield* Effect.forEach([1, 2, 3], () => startWaiting(listener.accept))
        for (const fiber of waiting) yield* Fiber.interrupt(fiber)
        expect(yield* waiters).toBe(0)
        const client = yield* nodeClient(listener.address.port)
        expect((yield* (yield* listener.accept).remoteAddress).port).toBe(client.localPort)
      }
    })
  )

  live("accept while a connection arrives: it goes to this accept or to the next", () =>
    Effect.gen(function* () {
      const listener = yield* Tcp.listen("127.0.0.1:0")
      const random = randomNumbers(2)
      let interrupted = 0
      for (let round = 0; round < 150; round++) {
        yield* Effect.gen(function* () {
          const accepting = yield* Effect.forkChild(listener.accept, { startImmediately: true })
          const connecting = yield* Effect.forkChild(Tcp.connect(listener.address), { startImmediately: true })
          for (let i = Math.floor(random() * 4); i > 0; i--) yield* turn
          yield* Fiber.interrupt(accepting)
          const exit = yield* Fiber.await(accepting)
          if (Exit.isFailure(exit)) interrupted++
          const connection = Exit.isSuccess(exit) ? exit.value : yield* listener.accept
          const client = yield* Fiber.join(connecting)
          expect(yield* connection.remoteAddress).toEqual(yield* client.localAddress)
        }).pipe(Effect.scoped)
      }
      // Otherwise every accept was faster than its interruption.
      expect(interrupted).toBeGreaterThan(0)
      expect(yield* waiters).toBe(0)
    })
  )

  live("incoming: its connections are closed, and later ones go to the next stream", () =>
    Effect.gen(function* () {
      const listener = yield* Tcp.listen("127.0.0.1:0")
      const before = sockets().length
      let count = 0
      const fiber = yield* startWaiting(Stream.runForEach(listener.incoming, () => Effect.sync(() => count++)))
      const clients = yield* Effect.forEach([1, 2, 3], () => nodeClient(listener.address.port))
      yield* until(() => count === 3)
      expect(sockets().length).toBe(before + 6)
      yield* Fiber.interrupt(fiber)
      expect(sockets().length).toBe(before + 3)
      expect(yield* waiters).toBe(0)
      for (const client of clients) yield* receiveAll(client)
      const next = yield* nodeClient(listener.address.port)
      expect((yield* (yield* listener.accept).remoteAddress).port).toBe(next.localPort)
    })
  )

  live("run: its handlers are interrupted, their connections closed, and later ones go to the next run", () =>
    Effect.gen(function* () {
      const listener = yield* Tcp.listen("127.0.0.1:0")
      const before = sockets().length
      let running = 0
      let interrupted = 0
      const fiber = yield* startWaiting(
        listener.run((connection) =>
          Effect.suspend(() => {
            running++
            return Effect.onInterrupt(connection.read(new Uint8Array(1)), () => Effect.sync(() => interrupted++))
          })
        )
      )
      const clients = yield* Effect.forEach([1, 2, 3], () => nodeClient(listener.address.port))
      yield* until(() => running === 3)
      yield* Fiber.interrupt(fiber)
      expect(interrupted).toBe(3)
      expect(sockets().length).toBe(before + 3)
      expect(yield* waiters).toBe(0)
      for (const client of clients) yield* receiveAll(client)
      const next = yield* nodeClient(listener.address.port)
      expect((yield* (yield* listener.accept).remoteAddress).port).toBe(next.localPort)
    })
  )

  live("run: also handlers that yield before they begin", () =>
    Effect.gen(function* () {
      for (let step = 1; step <= 12; step++) {
        yield* Effect.gen(function* () {
          const listener = yield* Tcp.listen("127.0.0.1:0")
          const scheduler = new YieldAt()
          let atWork = 0
          const handler = Effect.acquireUseRelease(
            Effect.sync(() => atWork++),
            () => Effect.never,
            () => Effect.sync(() => atWork--)
          )
          const fiber = yield* startWaiting(
            Effect.provideService(
              listener.run(() => handler),
              Scheduler.Scheduler,
              scheduler
            )
          )
          const before = sockets().length
          scheduler.left = step
          scheduler.onYield = () => queueMicrotask(() => fiber.interruptUnsafe())
          const client = yield* Tcp.connect(listener.address)
          yield* until(() => fiber.pollUnsafe() !== undefined)
          yield* turn
          expect([step, atWork]).toEqual([step, 0])
          expect([step, sockets().length]).toEqual([step, before + 1])
          yield* client.close
        }).pipe(Effect.scoped)
      }
    })
  )

  live("run while connections arrive: each is handled, waits for the next run, or its client sees the end", () =>
    Effect.gen(function* () {
      const listener = yield* Tcp.listen("127.0.0.1:0")
      const random = randomNumbers(3)
      for (let round = 0; round < 30; round++) {
        yield* Effect.gen(function* () {
          const before = sockets().length
          const fiber = yield* Effect.forkChild(
            listener.run((connection) => connection.read(new Uint8Array(1))),
            { startImmediately: true }
          )
          const connecting = yield* Effect.forEach(Array.from({ length: 8 }), () =>
            Effect.forkChild(Tcp.connect(listener.address), { startImmediately: true })
          )
          for (let i = Math.floor(random() * 4); i > 0; i--) yield* turn
          yield* Fiber.interrupt(fiber)
          const clients = yield* Effect.forEach(connecting, Fiber.join)
          // A connection of an earlier round may still be reported.
          yield* until(() => sockets().length === before + 8)
          yield* Effect.forkChild(listener.run((connection) => connection.writeAll(bytesOf("x"))))
          for (const client of clients) expect(["", "x"]).toContain(yield* readText(client, 2))
        }).pipe(Effect.scoped)
      }
    })
  )
})

describeTcp("promise 8: closing the poller while operations wait", (_live, layer) => {
  it.live("fails each of them, and every later operation, with Closed", () =>
    leavesNothing(
      Effect.gen(function* () {
        const opened = yield* open(layer())
        const withRegistrar = Effect.provideService(Registrar.Registrar, opened.registrar)
        const { full, reader, writer } = yield* Effect.gen(function* () {
          const { listener: full } = yield* fullListener
          return { full, reader: yield* pair, writer: yield* pair }
        }).pipe(withRegistrar)
        const { listener } = reader
        const operations: Record<
          string,
          Effect.Effect<unknown, PollerError.PollerError, Registrar.Registrar | Scope.Scope>
        > = {
          accept: listener.accept,
          incoming: Stream.runDrain(listener.incoming),
          run: listener.run(() => Effect.void),
          connect: Tcp.connect(full.address),
          read: reader.server.read(new Uint8Array(1)),
          stream: Stream.runDrain(reader.client.stream),
          writeAll: writer.client.writeAll(new Uint8Array(50_000_000)),
          write: writer.client.write(new Uint8Array(1))
        }
        const waiting: Array<readonly [string, Fiber.Fiber<string>]> = []
        for (const [name, each] of Object.entries(operations)) {
          waiting.push([name, yield* Effect.forkChild(outcomeOf(each).pipe(withRegistrar), { startImmediately: true })])
        }
        yield* opened.poller.wait(0)
        for (const [name, fiber] of waiting) expect([name, fiber.pollUnsafe()]).toEqual([name, undefined])
        yield* opened.close
        for (const [name, fiber] of waiting) expect([name, yield* Fiber.join(fiber)]).toEqual([name, "Closed"])
        for (const [name, each] of Object.entries(operations)) {
          expect([name, yield* outcomeOf(each).pipe(withRegistrar)]).toEqual([name, "Closed"])
        }
        // Their own scope closes the descriptors, as always.
        for (const { fd } of [listener, reader.client, reader.server, writer.client])
          expect(Kernel.isOpen(fd)).toBe(true)
      }).pipe(Effect.scoped)
    )
  )
})
