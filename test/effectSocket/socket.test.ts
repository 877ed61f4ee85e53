/**
 * `Socket` as its module documents it: the same tests on Node's implementation, on ours, and on one
 * with the other.
 */
import { expect, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Latch, Scope, Stream } from "effect"
import { Socket } from "effect/socket"
import * as Kernel from "../support/kernel.ts"
import {
  describeOurs,
  describeSockets,
  echo,
  failureOf,
  pullBytes,
  pullText,
  pullToEnd,
  rawPeer,
  serving
} from "../support/effectSockets.ts"
import { readInto, scopedFds, turn } from "../support/watched.ts"

/** Makes a handler that reads to the end: the bytes that came, and how the connection ended. */
const receiving = () => {
  const received = Deferred.makeUnsafe<{ readonly bytes: Buffer; readonly end: string }>()
  const handler = (socket: Socket.Socket) =>
    Effect.gen(function* () {
      const { pull } = yield* socket.reader
      yield* Deferred.succeed(received, yield* pullToEnd(pull))
    }).pipe(Effect.scoped)
  return { handler, received: Deferred.await(received) }
}

/** A scope that the test closes. */
const ownScope = Effect.map(
  Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void)),
  (scope) => ({ scope, close: Scope.close(scope, Exit.void) })
)

describeSockets("Socket: bytes", (sockets, run) => {
  it.live("bytes of any number come back from an echo", () =>
    run(
      Effect.gen(function* () {
        const socket = yield* serving(sockets, echo)
        const { pull } = yield* socket.reader
        const { write } = yield* socket.writer
        for (const size of [1, 7, 4096, 100_000]) {
          const bytes = Buffer.from(Array.from({ length: size }, (_, i) => i * 31 + size))
          yield* write(bytes)
          expect((yield* pullBytes(pull, size)).equals(bytes)).toBe(true)
        }
      })
    )
  )

  it.live("a copy of a socket, or of its writer, works like the original", () =>
    run(
      Effect.gen(function* () {
        const socket = { ...(yield* serving(sockets, echo)) }
        expect(Socket.isSocket(socket)).toBe(true)
        const { pull } = { ...(yield* socket.reader) }
        const { write, writeAll } = { ...(yield* socket.writer) }
        yield* write("one ")
        yield* writeAll(["two"])
        yield* pullText(pull, "one two")
      })
    )
  )

  it.live("strings are UTF-8, and a batch is written in order", () =>
    run(
      Effect.gen(function* () {
        const socket = yield* serving(sockets, echo)
        const { pull } = yield* socket.reader
        const { write, writeAll } = yield* socket.writer
        yield* write("grün €")
        yield* pullText(pull, "grün €")
        yield* writeAll(["one ", new TextEncoder().encode("two "), "drei 😀"])
        yield* pullText(pull, "one two drei 😀")
        yield* writeAll(["alone"])
        yield* pullText(pull, "alone")
      })
    )
  )

  it.live("readerString joins a character that arrives in parts", () =>
    run(
      Effect.gen(function* () {
        const { accepted, socket } = yield* rawPeer(sockets)
        const pull = yield* Socket.readerString(socket)
        const peer = yield* accepted
        const bytes = new TextEncoder().encode("€")
        let text = ""
        for (const byte of bytes) {
          Kernel.writeBytes(peer, Uint8Array.of(byte))
          text += (yield* pull).join("")
        }
        expect(text).toBe("€")
      })
    )
  )

  it.live("toChannel writes the chunks of its upstream, and then ends its side", () =>
    run(
      Effect.gen(function* () {
        const socket = yield* serving(sockets, echo)
        const chunks: Array<Uint8Array> = []
        const error = yield* Stream.make("one ", "two ", "three").pipe(
          Stream.map((text) => new TextEncoder().encode(text)),
          Stream.pipeThroughChannelOrFail(Socket.toChannel(socket)),
          Stream.runForEach((chunk) => Effect.sync(() => void chunks.push(chunk))),
          failureOf
        )
        expect([error, Buffer.concat(chunks).toString()]).toEqual(["SocketCloseError 1000", "one two three"])
      })
    )
  )
})

describeSockets("Socket: ends", (sockets, run) => {
  it.live("every pull fails with close code 1000 after the peer's end", () =>
    run(
      Effect.gen(function* () {
        const socket = yield* serving(sockets, (socket) =>
          Effect.gen(function* () {
            yield* socket.reader
            const { write } = yield* socket.writer
            yield* write("bye")
          }).pipe(Effect.scoped)
        )
        const { pull } = yield* socket.reader
        const { bytes, end } = yield* pullToEnd(pull)
        expect([bytes.toString(), end]).toEqual(["bye", "SocketCloseError 1000"])
        expect(yield* failureOf(pull)).toBe("SocketCloseError 1000")
      })
    )
  )

  it.live("a pull fails with a read error also if a write has met the reset first", () =>
    run(
      Effect.gen(function* () {
        const { accepted, socket } = yield* rawPeer(sockets)
        const { pull } = yield* socket.reader
        const { write } = yield* socket.writer
        const peer = yield* accepted
        const pulling = yield* Effect.forkChild(failureOf(pull), { startImmediately: true })
        const writing = yield* Effect.forkChild(failureOf(Effect.forever(write(new Uint8Array(1 << 20)))), {
          startImmediately: true
        })
        for (let i = 0; i < 20; i++) yield* turn
        Kernel.closeWithReset(peer)
        yield* Fiber.join(writing)
        expect(yield* Fiber.join(pulling)).toBe("SocketReadError")
      })
    )
  )

  it.live("every pull fails with a read error after the peer has reset the connection", () =>
    run(
      Effect.gen(function* () {
        const { accepted, socket } = yield* rawPeer(sockets)
        const { pull } = yield* socket.reader
        const peer = yield* accepted
        const suspended = yield* Effect.forkChild(failureOf(pull), { startImmediately: true })
        yield* turn
        Kernel.closeWithReset(peer)
        expect(yield* Fiber.join(suspended)).toBe("SocketReadError")
        expect(yield* failureOf(pull)).toBe("SocketReadError")
      })
    )
  )

  it.live("a suspended pull fails when its scope closes, and so does every later one", () =>
    run(
      Effect.gen(function* () {
        const socket = yield* serving(sockets, echo)
        const { close, scope } = yield* ownScope
        const { pull } = yield* Scope.provide(socket.reader, scope)
        const suspended = yield* Effect.forkChild(failureOf(pull), { startImmediately: true })
        yield* turn
        expect(suspended.pollUnsafe()).toBeUndefined()
        yield* close
        expect(yield* Fiber.join(suspended)).toBe("SocketCloseError 1006")
        expect(yield* failureOf(pull)).toBe("SocketCloseError 1006")
      })
    )
  )

  it.live("an interrupted pull takes nothing", () =>
    run(
      Effect.gen(function* () {
        const { accepted, socket } = yield* rawPeer(sockets)
        const { pull } = yield* socket.reader
        const peer = yield* accepted
        for (let round = 0; round < 10; round++) {
          const suspended = yield* Effect.forkChild(pull, { startImmediately: true })
          yield* turn
          const text = `round ${round}`
          Kernel.writeText(peer, text)
          yield* Fiber.interrupt(suspended)
          const exit = yield* Fiber.await(suspended)
          if (Exit.isSuccess(exit)) expect(Buffer.from(exit.value[0] as Uint8Array).toString()).toBe(text)
          else yield* pullText(pull, text)
        }
      })
    )
  )

  it.live("a CloseEvent of code 1000 ends both sides in order", () =>
    run(
      Effect.gen(function* () {
        const { handler, received } = receiving()
        const socket = yield* serving(sockets, handler)
        const { pull } = yield* socket.reader
        const { write } = yield* socket.writer
        const suspended = yield* Effect.forkChild(failureOf(pull), { startImmediately: true })
        yield* write("last words")
        yield* write(new Socket.CloseEvent(1000))
        expect(yield* Fiber.join(suspended)).toBe("SocketCloseError 1000")
        const { bytes, end } = yield* received
        expect([bytes.toString(), end]).toEqual(["last words", "SocketCloseError 1000"])
      })
    )
  )

  it.live("a CloseEvent of a higher code is a read error on this side", () =>
    run(
      Effect.gen(function* () {
        const { handler, received } = receiving()
        const socket = yield* serving(sockets, handler)
        const { pull } = yield* socket.reader
        const { write } = yield* socket.writer
        const suspended = yield* Effect.forkChild(failureOf(pull), { startImmediately: true })
        yield* turn
        yield* write(new Socket.CloseEvent(1011, "no more"))
        expect(yield* Fiber.join(suspended)).toBe("SocketReadError")
        expect((yield* received).end).toBe("SocketCloseError 1000")
      })
    )
  )
})

describeSockets("Socket: the writer is detached from any connection", (sockets, run) => {
  it.live("a write before the reader is acquired suspends, and goes on with the connection", () =>
    run(
      Effect.gen(function* () {
        const { handler, received } = receiving()
        const socket = yield* serving(sockets, handler)
        const writing = yield* ownScope
        const { write, writeAll } = yield* Scope.provide(socket.writer, writing.scope)
        const early = yield* Effect.forkChild(Effect.andThen(write("early "), writeAll(["and", " late"])), {
          startImmediately: true
        })
        yield* turn
        expect(early.pollUnsafe()).toBeUndefined()
        yield* socket.reader
        yield* Fiber.join(early)
        yield* writing.close
        const { bytes, end } = yield* received
        expect([bytes.toString(), end]).toEqual(["early and late", "SocketCloseError 1000"])
      })
    )
  )

  it.live("a write after the connection's end suspends until the next one", () =>
    run(
      Effect.gen(function* () {
        const socket = yield* serving(sockets, echo)
        const { write } = yield* socket.writer
        yield* Effect.scoped(socket.reader)
        const between = yield* Effect.forkChild(write("between"), { startImmediately: true })
        yield* turn
        expect(between.pollUnsafe()).toBeUndefined()
        const { pull } = yield* socket.reader
        yield* pullText(pull, "between")
        yield* Fiber.join(between)
      })
    )
  )

  it.live("releasing its scope ends only this side: the peer sees the end, and can still send", () =>
    run(
      Effect.gen(function* () {
        const { accepted, socket } = yield* rawPeer(sockets)
        const { pull } = yield* socket.reader
        const peer = yield* accepted
        const writing = yield* ownScope
        const { write } = yield* Scope.provide(socket.writer, writing.scope)
        yield* write("question")
        yield* writing.close
        let question = ""
        for (let length = Kernel.read(peer); length !== 0; length = Kernel.read(peer)) {
          if (length > 0) question += `${length} bytes `
          yield* turn
        }
        expect(question).toBe("8 bytes ")
        Kernel.writeText(peer, "answer")
        yield* pullText(pull, "answer")
        Kernel.close(peer)
        expect(yield* failureOf(pull)).toBe("SocketCloseError 1000")
      })
    )
  )

  it.live("retrying the scoped loop reconnects", () =>
    run(
      Effect.gen(function* () {
        let connections = 0
        const socket = yield* serving(sockets, (socket) =>
          Effect.gen(function* () {
            yield* socket.reader
            const { write } = yield* socket.writer
            yield* write(`${++connections} `)
          }).pipe(Effect.scoped)
        )
        let text = ""
        const end = yield* Effect.gen(function* () {
          const { pull } = yield* socket.reader
          while (true) for (const chunk of yield* pull) text += Buffer.from(chunk as Uint8Array).toString()
        }).pipe(Effect.scoped, Effect.retry({ times: 4 }), failureOf)
        expect([text, end]).toEqual(["1 2 3 4 5 ", "SocketCloseError 1000"])
      })
    )
  )

  it.live("an interrupted write is completed, so that it does not spoil the next one", () =>
    run(
      Effect.gen(function* () {
        const size = 12 * 1024 * 1024
        const mayRead = Latch.makeUnsafe()
        const received = Deferred.makeUnsafe<Buffer>()
        const socket = yield* serving(sockets, (socket) =>
          Effect.gen(function* () {
            const { pull } = yield* socket.reader
            yield* mayRead.await
            yield* Deferred.succeed(received, (yield* pullToEnd(pull)).bytes)
          }).pipe(Effect.scoped)
        )
        const writing = yield* ownScope
        yield* socket.reader
        const { write } = yield* Scope.provide(socket.writer, writing.scope)
        // More bytes than the kernel accepts while the peer reads nothing.
        const long = yield* Effect.forkChild(write(Buffer.alloc(size, "a")), { startImmediately: true })
        yield* turn
        expect(long.pollUnsafe()).toBeUndefined()
        yield* Fiber.interrupt(long)
        const short = yield* Effect.forkChild(write("the next"), { startImmediately: true })
        yield* mayRead.open
        yield* Fiber.join(short)
        yield* writing.close
        const bytes = yield* Deferred.await(received)
        expect([bytes.length, bytes.subarray(-9).toString()]).toEqual([size + 8, "athe next"])
      })
    )
  )

  it.live("releasing its scope waits for the write of another fiber", () =>
    run(
      Effect.gen(function* () {
        const size = 12 * 1024 * 1024
        const mayRead = Latch.makeUnsafe()
        const received = Deferred.makeUnsafe<{ readonly bytes: Buffer; readonly end: string }>()
        const socket = yield* serving(sockets, (socket) =>
          Effect.gen(function* () {
            const { pull } = yield* socket.reader
            yield* mayRead.await
            yield* Deferred.succeed(received, yield* pullToEnd(pull))
          }).pipe(Effect.scoped)
        )
        const writing = yield* ownScope
        yield* socket.reader
        const { write } = yield* Scope.provide(socket.writer, writing.scope)
        const long = yield* Effect.forkChild(write(Buffer.alloc(size, "a")), { startImmediately: true })
        yield* turn
        expect(long.pollUnsafe()).toBeUndefined()
        yield* writing.close
        yield* mayRead.open
        // With Node the write fails by now. The bytes are sent nevertheless.
        yield* Fiber.await(long)
        const { bytes, end } = yield* Deferred.await(received)
        expect([bytes.length, end]).toEqual([size, "SocketCloseError 1000"])
      })
    )
  )
})

describeSockets("Socket: backpressure", (sockets, run) => {
  it.live("a peer that does not pull suspends the writer, and nothing is lost once it pulls", () =>
    run(
      Effect.gen(function* () {
        const mayRead = Latch.makeUnsafe()
        const received = Deferred.makeUnsafe<number>()
        const socket = yield* serving(sockets, (socket) =>
          Effect.gen(function* () {
            const { pull } = yield* socket.reader
            yield* mayRead.await
            let length = 0
            yield* Effect.ignore(
              Effect.forever(
                Effect.map(pull, (chunks) => {
                  for (const chunk of chunks) length += chunk.length
                })
              )
            )
            yield* Deferred.succeed(received, length)
          }).pipe(Effect.scoped)
        )
        const writing = yield* ownScope
        yield* socket.reader
        const { write } = yield* Scope.provide(socket.writer, writing.scope)
        const chunk = new Uint8Array(64 * 1024)
        const chunks = 768
        let written = 0
        const writer = yield* Effect.forkChild(
          Effect.repeat(
            Effect.tap(write(chunk), () => Effect.sync(() => written++)),
            { times: chunks - 1 }
          ),
          { startImmediately: true }
        )
        // Until the writer makes no progress any more. Otherwise it would be done by then.
        for (let seen = -1, still = 0; still < 100; still = seen === written ? still + 1 : 0, seen = written)
          yield* turn
        expect(writer.pollUnsafe()).toBeUndefined()
        expect(written).toBeLessThan(chunks)
        yield* mayRead.open
        yield* Fiber.join(writer)
        yield* writing.close
        expect(yield* Deferred.await(received)).toBe(chunks * chunk.length)
      })
    )
  )
})

describeOurs("Socket: an interrupted write", (sockets, run) => {
  const takenBack: {
    readonly [how: string]: readonly [make: (size: number) => Uint8Array, take: (bytes: Uint8Array) => void]
  } = {
    transferred: [
      (size) => new Uint8Array(size),
      ({ buffer }) => structuredClone(buffer, { transfer: [buffer as ArrayBuffer] })
    ],
    "changed, a Uint8Array": [(size) => new Uint8Array(size), (bytes) => bytes.fill(9)],
    "changed, a Buffer": [(size) => Buffer.alloc(size), (bytes) => bytes.fill(9)]
  }
  it.live.each(Object.keys(takenBack))("goes on, and its bytes may be reused from then on (%s)", (how) =>
    run(
      Effect.gen(function* () {
        const [make, take] = takenBack[how]!
        const { accepted, socket } = yield* rawPeer(sockets)
        yield* socket.reader
        const { write } = yield* socket.writer
        const peer = yield* accepted
        const size = 8_000_000
        const bytes = make(size).fill(7)
        const writing = yield* Effect.forkChild(write(bytes), { startImmediately: true })
        yield* turn
        expect(writing.pollUnsafe()).toBeUndefined()
        yield* Fiber.interrupt(writing)
        take(bytes)
        const next = yield* Effect.forkChild(write(Uint8Array.of(1, 2, 3)), { startImmediately: true })
        const buffer = Buffer.alloc(size + 3)
        for (let length = 0; length < size + 3; yield* turn) length += readInto(peer, buffer.subarray(length))
        yield* Fiber.join(next)
        expect(buffer.equals(Buffer.concat([Buffer.alloc(size, 7), Buffer.from([1, 2, 3])]))).toBe(true)
      })
    )
  )
})

describeSockets("Socket: opening", (sockets, run) => {
  it.live("is an open error if no process listens, and the writer goes on waiting", () =>
    run(
      Effect.gen(function* () {
        const { fd, port } = Kernel.listen()
        Kernel.close(fd)
        const socket = yield* sockets.connect({ host: "127.0.0.1", port })
        const { write } = yield* socket.writer
        expect(yield* failureOf(Effect.scoped(socket.reader))).toBe("SocketOpenError Unknown")
        const waiting = yield* Effect.forkChild(write("for ever"), { startImmediately: true })
        yield* turn
        expect(waiting.pollUnsafe()).toBeUndefined()
        yield* Fiber.interrupt(waiting)
      })
    )
  )

  it.live("fails with an open error of its own kind after openTimeout, never early", () =>
    run(
      Effect.gen(function* () {
        // A backlog of one holds two connections. The kernel does not respond to the others.
        const { fd, port } = Kernel.listen()
        yield* scopedFds(() => [fd])
        const where = { host: "127.0.0.1", port }
        yield* Effect.flatMap(sockets.connect(where), ({ reader }) => reader)
        yield* Effect.flatMap(sockets.connect(where), ({ reader }) => reader)
        const socket = yield* sockets.connect({ ...where, openTimeout: 100 })
        const before = performance.now()
        expect(yield* failureOf(Effect.scoped(socket.reader))).toBe("SocketOpenError Timeout")
        expect(performance.now() - before).toBeGreaterThanOrEqual(99)
      })
    )
  )
})
