/**
 * Buffers that are not what they were when a call was given them: transferred to another thread, or
 * shrunk; and buffers over shared and resizable memory.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Option } from "effect"
import { AsyncFd, Fd, FrameReader, LineReader, type Poller, type Registrar, Tcp, Udp, Unix } from "effect-amy"
import type * as Scope from "effect/Scope"
import { nextLayerEntries } from "../support/layers.ts"
import { bytesOf, fill, leavesNothing, pair, readText, startWaiting } from "../net/tcp/support.ts"

/** A buffer of its own memory, and what takes bytes away from it. */
const changes: ReadonlyArray<readonly [name: string, make: (size: number) => readonly [Uint8Array, () => void]]> = [
  [
    "transferred",
    (size) => {
      const buffer = new Uint8Array(size).fill(120)
      return [buffer, () => void structuredClone(buffer, { transfer: [buffer.buffer] })]
    }
  ],
  [
    "shrunk",
    (size) => {
      const memory = new ArrayBuffer(size, { maxByteLength: 2 * size })
      return [new Uint8Array(memory).fill(120), () => memory.resize(size / 2)]
    }
  ],
  [
    "shrunk to before its view",
    (size) => {
      const memory = new ArrayBuffer(2 * size, { maxByteLength: 2 * size })
      return [new Uint8Array(memory, size, size).fill(120), () => memory.resize(size / 2)]
    }
  ]
]

const invalid = <A, R>(failing: Effect.Effect<A, unknown, R>) =>
  Effect.map(Effect.flip(failing), (error) => {
    expect(error).toMatchObject({ reason: { _tag: "InvalidArgument" } })
    expect(String(error)).toContain("the buffer was transferred")
  })

const live = (
  name: string,
  body: () => Effect.Effect<void, unknown, Poller.Poller | Registrar.Registrar | Scope.Scope>
) => {
  for (const [layerName, layer] of nextLayerEntries()) {
    it.live(`${name} (${layerName})`, () =>
      leavesNothing(Effect.suspend(body).pipe(Effect.scoped, Effect.provide(layer())))
    )
  }
}

describe.each(changes)("a buffer that is %s", (_, make) => {
  live("while a read waits is refused, and the bytes are there for the next read", () =>
    Effect.gen(function* () {
      const { client, server } = yield* pair
      const [one, other] = yield* Unix.socketPair
      const { reader, writer } = yield* Fd.pipe
      const asyncFd = yield* AsyncFd.make(reader, { event: "Read" })
      const ends: ReadonlyArray<
        readonly [Pick<AsyncFd.AsyncFd, "read">, (bytes: Uint8Array) => Effect.Effect<unknown, unknown>]
      > = [
        [server, client.writeAll],
        [one, other.writeAll],
        [asyncFd, writer.tryWrite]
      ]
      for (const [end, write] of ends) {
        for (const offset of [0, 8]) {
          const [buffer, change] = make(16_384)
          const fiber = yield* startWaiting(Effect.exit(end.read(buffer, offset)))
          change()
          yield* write(bytesOf("hello"))
          yield* invalid(Effect.flatten(Fiber.join(fiber)))
          const next = new Uint8Array(10)
          expect(yield* end.read(next)).toBe(5)
          expect(new TextDecoder().decode(next.subarray(0, 5))).toBe("hello")
        }
      }
    })
  )

  live("before a write runs is refused, and nothing is written", () =>
    Effect.gen(function* () {
      const { client, server } = yield* pair
      const [one, other] = yield* Unix.socketPair
      for (const [from, to] of [
        [client, server],
        [one, other]
      ] as const) {
        for (const offset of [0, 8]) {
          const [buffer, change] = make(1024)
          const writing = from.writeAll(buffer, offset)
          change()
          yield* invalid(writing)
        }
        yield* from.writeAll(bytesOf("after"))
        expect(yield* readText(to as Tcp.TcpStream, 5)).toBe("after")
      }
    })
  )

  live("before a write joins a batch is refused, and no bytes of others are sent in its place", () =>
    Effect.gen(function* () {
      const listener = yield* Tcp.listen("127.0.0.1:0")
      const clients = yield* Effect.replicateEffect(Tcp.connect(listener.address), 4)
      const servers = yield* Effect.replicateEffect(listener.accept, 4)
      const handle = Effect.fnUntraced(function* (server: Tcp.TcpStream) {
        const question = new Uint8Array(8)
        for (let round = 0; round < 3; round++) {
          yield* server.read(question)
          yield* server.writeAll(bytesOf("a secret"))
          yield* server.read(question)
          const [buffer, change] = make(8)
          const writing = server.writeAll(buffer)
          change()
          yield* invalid(writing)
          yield* server.writeAll(bytesOf("answer"))
        }
      })
      const fibers = yield* Effect.forEach(servers, (server) => Effect.forkChild(handle(server)))
      for (let round = 0; round < 3; round++) {
        for (const expected of ["a secret", "answer"]) {
          yield* Effect.forEach(clients, (client) => client.writeAll(bytesOf("?")))
          for (const client of clients) expect(yield* readText(client, expected.length)).toBe(expected)
        }
      }
      yield* Effect.forEach(fibers, Fiber.join)
    })
  )

  live("while a write waits for room is refused", () =>
    Effect.gen(function* () {
      const { client, server } = yield* pair
      yield* fill(client)
      for (const write of [client.writeAll, client.write]) {
        const [buffer, change] = make(65_536)
        const fiber = yield* startWaiting(Effect.exit(write(buffer)))
        change()
        const draining = yield* Effect.forkChild(
          Effect.forever(server.read(new Uint8Array(65_536))) as Effect.Effect<never, unknown>
        )
        yield* invalid(Effect.flatten(Fiber.join(fiber)))
        yield* Fiber.interrupt(draining)
        yield* fill(client)
      }
    })
  )

  live("while a part of it is written ends the write", () =>
    Effect.gen(function* () {
      const { client, server } = yield* pair
      const [buffer, change] = make(8 * 1024 * 1024)
      const fiber = yield* startWaiting(Effect.exit(client.writeAll(buffer)))
      change()
      const reading = new Uint8Array(65_536)
      const draining = yield* Effect.forkChild(Effect.forever(server.read(reading)) as Effect.Effect<never, unknown>)
      yield* invalid(Effect.flatten(Fiber.join(fiber)))
      yield* Fiber.interrupt(draining)
      expect(reading.every((byte) => byte === 120)).toBe(true)
    })
  )

  live("while descriptors are awaited is refused, and they arrive with the next call", () =>
    Effect.gen(function* () {
      const [one, other] = yield* Unix.socketPair
      const { reader } = yield* Fd.pipe
      const [buffer, change] = make(64)
      const fiber = yield* startWaiting(Effect.exit(Effect.scoped(one.receiveDescriptors(buffer, 1))))
      change()
      yield* other.sendDescriptors([reader], bytesOf("x"))
      yield* invalid(Effect.flatten(Fiber.join(fiber)))
      const { descriptors, length } = yield* one.receiveDescriptors(new Uint8Array(8), 1)
      expect([length, descriptors.length]).toEqual([1, 1])
    })
  )
})

describe("a buffer that was transferred before", () => {
  live("is no datagram and no chunk of a sink", () =>
    Effect.gen(function* () {
      const [buffer, change] = changes[0]![1](8)
      change()
      const socket = yield* Udp.bind("127.0.0.1:0")
      yield* invalid(socket.send(buffer, yield* socket.localAddress))
      yield* invalid(socket.trySend(buffer, yield* socket.localAddress))
      expect(yield* socket.tryReceive).toEqual(Option.none())
      const { reader, writer } = yield* Fd.pipe
      yield* invalid(writer.tryWrite(buffer))
      yield* invalid(reader.tryRead(buffer))
    })
  )
})

const textOf = (buffer: Uint8Array, length: number) => new TextDecoder().decode(new Uint8Array(buffer).slice(0, length))

/** Memory that is not a plain `ArrayBuffer`. */
const memories: ReadonlyArray<readonly [name: string, make: (size: number) => Uint8Array]> = [
  ["shared", (size) => new Uint8Array(new SharedArrayBuffer(size))],
  ["growable shared", (size) => new Uint8Array(new SharedArrayBuffer(size, { maxByteLength: 4 * size }))],
  ["resizable", (size) => new Uint8Array(new ArrayBuffer(size, { maxByteLength: 4 * size }))]
]

live("a read reads to the place that it was given, whatever the buffer was at an earlier one", () =>
  Effect.gen(function* () {
    const { client, server } = yield* pair
    const memory = new ArrayBuffer(8192, { maxByteLength: 8192 })
    const buffer = new Uint8Array(memory)
    yield* client.writeAll(bytesOf("first"))
    expect(yield* server.read(buffer, 4096, 100)).toBe(5)
    memory.resize(2048)
    expect(yield* Effect.flip(server.read(buffer, 4096, 100))).toMatchObject({ reason: { _tag: "InvalidArgument" } })
    const waiting = yield* startWaiting(server.read(buffer, 0, 100))
    memory.resize(8192)
    yield* client.writeAll(bytesOf("second"))
    expect(yield* Fiber.join(waiting)).toBe(6)
    expect(textOf(buffer, 6)).toBe("second")
    structuredClone(memory, { transfer: [memory] })
    // It would wait otherwise.
    yield* invalid(server.read(buffer, 0, 100))
  })
)

describe.each(memories)("%s memory", (_, make) => {
  const filled = (text: string) => {
    const buffer = make(text.length)
    buffer.set(bytesOf(text))
    return buffer
  }

  live("is read into and written from, by streams, datagrams, descriptors and pipes", () =>
    Effect.gen(function* () {
      const { client, server } = yield* pair
      const [one, other] = yield* Unix.socketPair
      const into = make(64)
      for (const [from, to] of [
        [client, server],
        [one, other]
      ] as const) {
        yield* from.writeAll(filled("hello"))
        expect(textOf(into, yield* to.read(into))).toBe("hello")
      }
      const { reader, writer } = yield* Fd.pipe
      expect(yield* writer.tryWritev([filled("pi"), filled("pe")])).toEqual(Option.some(4))
      const parts = [make(1), make(8)] as const
      expect(yield* reader.tryReadv(parts)).toEqual(Option.some(4))
      expect(textOf(parts[0], 1) + textOf(parts[1], 3)).toBe("pipe")
      yield* one.sendDescriptors([reader], filled("x"))
      expect((yield* other.receiveDescriptors(into, 1)).descriptors).toHaveLength(1)
      expect(textOf(into, 1)).toBe("x")
      const socket = yield* Udp.bind("127.0.0.1:0")
      yield* socket.send(filled("datagram"), yield* socket.localAddress)
      const { payload } = yield* socket.receive
      expect(textOf(payload, 8)).toBe("datagram")
    })
  )

  it("is fed to codecs, which keep copies", () => {
    const lines = LineReader.make()
    const chunk = filled("one\ntw")
    LineReader.feed(lines, chunk)
    chunk.fill(0)
    LineReader.feed(lines, filled("o\n"))
    expect(LineReader.takeAll(lines).map((result) => (result as { success: string }).success)).toEqual(["one", "two"])
    const frames = FrameReader.make()
    const frame = filled("\0\0\0\u0004abcd")
    FrameReader.feed(frames, frame)
    frame.fill(0)
    const [result] = FrameReader.takeAll(frames) as ReadonlyArray<{ success: Uint8Array }>
    expect(textOf(result!.success, 4)).toBe("abcd")
  })
})
