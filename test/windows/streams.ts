/** Checks of what stands above the sockets: the codecs, `DatagramSocket` of `effect/socket`, and `TestPoller`. */
import { deepStrictEqual, strictEqual } from "node:assert"
import { Effect, Fiber, Option, Result, Stream } from "effect"
import { AsyncFd, FrameReader, FrameWriter, LineReader, Poller, type PollerError, Registrar } from "effect-amy"
import { PollerDatagramSocket, Tcp } from "effect-amy/net"
import { TestPoller } from "effect-amy/testing"
import type { DatagramSocket } from "effect/socket"
import { libc } from "../../src/internal/libc/koffi.ts"
import { outcome } from "../support/opened.ts"
import * as Kernel from "./kernel.ts"

type Check = Effect.Effect<unknown, PollerError.PollerError, Poller.Poller | Registrar.Registrar>

/** Runs with both ends of a connection. */
const connected = <A, E>(
  use: (
    client: Tcp.TcpStream,
    server: Tcp.TcpStream
  ) => Effect.Effect<A, E | PollerError.PollerError, Registrar.Registrar>
) =>
  Effect.scoped(
    Effect.gen(function* () {
      const listener = yield* Tcp.listen("127.0.0.1:0")
      const client = yield* Tcp.connect(listener.address)
      const server = yield* listener.accept
      return yield* use(client, server)
    })
  )

const sizes = [0, 1, 100, 70_000, 300_000, 3]
const patterned = (length: number) => Uint8Array.from({ length }, (_, index) => (index * 31 + length) & 255)

export const streamChecks: { readonly [name: string]: Check } = {
  "frames of any size come back through the codecs": connected((client, server) =>
    Effect.gen(function* () {
      const echoing = yield* Effect.forkChild(
        server.stream.pipe(FrameReader.decode, FrameWriter.encode, Stream.run(server.sink))
      )
      const sending = yield* Effect.forkChild(
        Stream.fromIterable(sizes).pipe(
          Stream.map(patterned),
          FrameWriter.encode,
          Stream.runForEach((bytes) => client.writeAll(bytes))
        )
      )
      const got = yield* client.stream.pipe(FrameReader.decode, Stream.take(sizes.length), Stream.runCollect)
      yield* Effect.orDie(Fiber.join(sending))
      yield* Fiber.interrupt(echoing)
      deepStrictEqual(
        got.map((frame) => Array.from(frame)),
        sizes.map((size) => Array.from(patterned(size)))
      )
    }).pipe(Effect.orDie)
  ),
  "a line arrives whole, and one that is too long fails with its reason": connected((client, server) =>
    Effect.gen(function* () {
      const lines = ["first", "€ in three bytes", "", "x".repeat(1000)]
      yield* Stream.fromIterable(lines).pipe(
        LineReader.encode({ lineEnd: "\r\n" }),
        Stream.runForEach((bytes) => client.writeAll(bytes))
      )
      yield* client.writeAll(new Uint8Array(3000).fill(97))
      const got: Array<string> = []
      const error = yield* server.stream.pipe(
        LineReader.decode({ maxLength: 2000 }),
        Stream.runForEach((line) => Effect.sync(() => got.push(line))),
        Effect.flip
      )
      deepStrictEqual(got, lines)
      strictEqual(error.reason._tag, "LineTooLong")
    }).pipe(Effect.orDie)
  ),
  "a frame writer goes on where a full socket stopped it, after reregister": Effect.scoped(
    Effect.gen(function* () {
      const { functions } = libc()
      const poller = yield* Poller.Poller
      const [fd, peer] = yield* Effect.acquireRelease(Effect.sync(Kernel.socketPair), (pair) =>
        Effect.sync(() => pair.forEach(Kernel.close))
      )
      const buffer = new Uint8Array(65_536)
      const reader = FrameReader.make()
      const readAll = () => {
        for (let count = 1; count > 0;) {
          count = functions.read(peer, buffer, buffer.length)
          if (count > 0) FrameReader.feed(reader, buffer.subarray(0, count))
        }
      }
      const id = yield* Registrar.register(fd, "Write")
      // More than the buffers of both ends take.
      const sent = patterned(12_000_000)
      const writer = FrameWriter.make()
      Result.getOrThrow(FrameWriter.push(writer, sent))
      let blocked = 0
      while (FrameWriter.write(writer, (bytes) => functions.write(fd, bytes, bytes.length)) === "blocked") {
        blocked++
        readAll()
        yield* Registrar.reregister(fd, id, "Write")
        deepStrictEqual(
          (yield* poller.wait("5 seconds")).map((notification) => notification.id),
          [id]
        )
      }
      let frame = FrameReader.next(reader)
      while (Option.isNone(frame)) {
        Kernel.arrive(peer)
        readAll()
        frame = FrameReader.next(reader)
      }
      strictEqual(Buffer.compare(Result.getOrThrow(frame.value), sent), 0)
      strictEqual(blocked > 0, true)
    })
  ),
  "datagrams of effect/socket go there and back, one by one and many at once": Effect.scoped(
    Effect.gen(function* () {
      const server = yield* PollerDatagramSocket.make({ bind: { address: "127.0.0.1" } })
      const questions = yield* server.reader
      const client = yield* PollerDatagramSocket.make({ peer: questions.address, bind: { address: "127.0.0.1" } })
      const answers = yield* client.reader
      const [ask, answer] = [yield* client.writer, yield* server.writer]
      for (let round = 0; round < 20; round++) {
        yield* ask.write({ payload: `question ${round}` })
        const [question] = yield* questions.pull
        strictEqual(text(question), `question ${round}`)
        strictEqual(question.address.port, answers.address.port)
        yield* answer.write({ payload: `answer ${round}`, address: question })
        strictEqual(text((yield* answers.pull)[0]), `answer ${round}`)
      }
      const many = Array.from({ length: 30 }, (_, index) => `one of many: ${index}`)
      yield* ask.writeAll(outgoing(many.map((payload) => ({ payload }))))
      const arrived = yield* pulled(questions, many.length)
      deepStrictEqual(arrived.map(text), many)
      yield* answer.writeAll(outgoing(arrived.map((datagram) => ({ payload: datagram.payload, address: datagram }))))
      deepStrictEqual((yield* pulled(answers, many.length)).map(text), many)
    }).pipe(Effect.orDie)
  )
}

const text = ({ payload }: DatagramSocket.Datagram) => new TextDecoder().decode(payload)

const outgoing = (datagrams: ReadonlyArray<DatagramSocket.OutgoingDatagram>) =>
  datagrams as [DatagramSocket.OutgoingDatagram, ...Array<DatagramSocket.OutgoingDatagram>]

const pulled = (reader: DatagramSocket.Reader, count: number) =>
  Effect.gen(function* () {
    const all: Array<DatagramSocket.Datagram> = []
    while (all.length < count) all.push(...(yield* reader.pull))
    return all
  })

/** Without a kernel: what a test of a program does on this system. */
export const testPollerCheck = Effect.scoped(
  Effect.gen(function* () {
    const kernel = yield* TestPoller.TestPoller
    const poller = yield* Poller.Poller
    const descriptor = yield* kernel.open
    const id = yield* Registrar.register(descriptor, "Read")
    yield* descriptor.readable
    deepStrictEqual(
      (yield* poller.wait(0)).map((notification) => [notification.id, notification.event]),
      [[id, "Read"]]
    )
    deepStrictEqual(yield* poller.wait(0), [])
    const timer = yield* Registrar.timeout("5 millis")
    deepStrictEqual(
      (yield* poller.wait("5 seconds")).map((notification) => notification.id),
      [timer]
    )
    yield* Registrar.deregister(descriptor)
    deepStrictEqual(yield* kernel.registered, [])
    const wrapped = yield* AsyncFd.make(yield* kernel.open)
    const ready = yield* Effect.forkChild(wrapped.readable, { startImmediately: true })
    yield* kernel.kill
    strictEqual(yield* outcome(Fiber.join(ready)), "WorkerFailed")
  })
).pipe(Effect.provide(TestPoller.layer))
