/**
 * Values of another realm. Jest, Vitest's `vmThreads` and `node:vm` run programs in contexts with
 * classes of their own, so `instanceof` does not recognize what comes from there.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Option, Result } from "effect"
import {
  AsyncFd,
  Fd,
  FrameReader,
  FrameWriter,
  LineReader,
  PollChannel,
  Poller,
  PollerSocket,
  Registrar,
  Tcp,
  Udp,
  Unix,
  UserEvent
} from "effect-amy"
import { createContext, runInContext } from "node:vm"
import { MessageChannel, moveMessagePortToContext, receiveMessageOnPort, type Transferable } from "node:worker_threads"
import { someLayer } from "./support/layers.ts"

const realm = createContext({})

/** Makes bytes of the other realm. */
const foreign = (...bytes: ReadonlyArray<number>): Uint8Array =>
  runInContext(`new Uint8Array([${bytes.join()}])`, realm) as Uint8Array

/** Clones a value into the other realm, as a message that arrives there. */
const cloneInto = <A>(value: A, transfer: ReadonlyArray<Transferable> = []): A => {
  const { port1, port2 } = new MessageChannel()
  const moved = moveMessagePortToContext(port2, realm)
  port1.postMessage(value, [...transfer])
  const { message } = receiveMessageOnPort(moved) as { readonly message: A }
  port1.close()
  return message
}

describe("bytes of another realm", () => {
  it("are what instanceof refuses", () => {
    expect(foreign(1) instanceof Uint8Array).toBe(false)
  })

  it.effect("are written to and read into by streams, and by descriptors", () =>
    Effect.gen(function* () {
      const [left, right] = yield* Unix.socketPair
      const into = foreign(0, 0, 0, 0)
      yield* left.write(foreign(1))
      yield* left.writeAll(foreign(2))
      yield* left.tryWrite(foreign(3))
      expect(yield* right.read(into)).toBe(3)
      expect([...into]).toEqual([1, 2, 3, 0])
      yield* left.sendDescriptors([0], foreign(4))
      expect((yield* right.receiveDescriptors(into, 1)).length).toBe(1)

      const { reader, writer } = yield* Fd.pipe
      expect(Option.getOrThrow(yield* writer.tryWrite(foreign(5)))).toBe(1)
      expect(Option.getOrThrow(yield* writer.tryWritev([foreign(6), foreign(7)]))).toBe(2)
      const input = yield* AsyncFd.make(reader, { event: "Read" })
      expect(yield* input.read(into)).toBe(3)
      expect(into[2]).toBe(7)
    }).pipe(Effect.scoped, Effect.provide(someLayer()))
  )

  it.effect("are sent by datagram sockets and by the sockets of Effect", () =>
    Effect.gen(function* () {
      const udp = yield* Udp.bind("127.0.0.1:0")
      const address = yield* udp.localAddress
      yield* udp.send(foreign(1), address)
      yield* udp.trySend(foreign(2), address)
      expect([...(yield* udp.receive).payload, ...(yield* udp.receive).payload]).toEqual([1, 2])

      const listener = yield* Tcp.listen("127.0.0.1:0")
      const socket = yield* PollerSocket.make({ address: listener.address })
      yield* socket.reader
      const { write } = yield* socket.writer
      yield* write(foreign(3))
      const accepted = yield* listener.accept
      expect(yield* accepted.read(new Uint8Array(4))).toBe(1)
    }).pipe(Effect.scoped, Effect.provide(someLayer()))
  )

  it("are lines and frames", () => {
    const lines = LineReader.make()
    LineReader.feed(lines, foreign(104, 105, 10))
    expect(LineReader.takeAll(lines).map(Result.getOrThrow)).toEqual(["hi"])

    const frames = FrameReader.make()
    FrameReader.feed(frames, foreign(0, 0, 0, 1, 7))
    expect(FrameReader.takeAll(frames).map(Result.getOrThrow)).toEqual([Uint8Array.of(7)])

    const writer = FrameWriter.make()
    FrameWriter.push(writer, foreign(7))
    expect(writer.pendingBytes).toBe(5)
  })
})

describe("what only looks like bytes", () => {
  it.effect("is refused", () =>
    Effect.gen(function* () {
      const [left] = yield* Unix.socketPair
      const udp = yield* Udp.bind("127.0.0.1:0")
      for (const bytes of [Object.create(Uint8Array.prototype), runInContext("new Uint16Array(2)", realm), [1]]) {
        for (const write of [left.writeAll, left.write, (bytes: Uint8Array) => udp.send(bytes, "127.0.0.1:9")]) {
          const error = yield* Effect.flip(write(bytes as Uint8Array))
          expect((error as { readonly reason: { readonly _tag: string } }).reason._tag).toBe("InvalidArgument")
        }
      }
    }).pipe(Effect.scoped, Effect.provide(someLayer()))
  )
})

describe("handles that arrive in another realm", () => {
  it.live("attach to a poller", () =>
    Effect.gen(function* () {
      const handle = cloneInto(yield* Poller.handle)
      expect(handle instanceof Object).toBe(false)
      const ids = Effect.map(
        Effect.andThen(
          Registrar.timeout(1),
          Effect.suspend(() => Poller.wait(Infinity))
        ),
        (all) => all.length
      )
      expect(yield* Effect.provide(ids, Poller.layerAttach(handle))).toBe(1)
    }).pipe(Effect.provide(Poller.layerWorker()))
  )

  it.live("send through a channel, and end it", () =>
    Effect.gen(function* () {
      const { receiver, sender } = yield* PollChannel.unbounded<number>()
      const made = yield* sender.handle
      const handle = cloneInto(made, [made.port])
      expect(PollChannel.isSenderHandle(handle)).toBe(true)
      const other = yield* PollChannel.fromHandle<number>(handle)
      yield* other.send(7)
      expect(yield* receiver.receive).toBe(7)
      expect((yield* Effect.flip(PollChannel.fromHandle(handle))).reason._tag).toBe("InvalidArgument")
      yield* sender.close
      yield* other.close
      expect((yield* Effect.flip(receiver.receive))._tag).toBeDefined()
    }).pipe(Effect.scoped, Effect.provide(Poller.layerWorker()))
  )

  it.live("trigger an event", () =>
    Effect.gen(function* () {
      const event = yield* UserEvent.make
      const other = yield* UserEvent.fromHandle(cloneInto(event.handle))
      yield* other.trigger
      expect((yield* Poller.wait(Infinity)).map(({ id }) => id)).toEqual([event.id])
    }).pipe(Effect.scoped, Effect.provide(Poller.layerWorker()))
  )
})
