/** Peers that are slow, fast, hasty or rude, and a process that has no descriptor left. */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Logger, Scope, Stream } from "effect"
import { Tcp } from "effect-amy"
import { createHash } from "node:crypto"
import { withRoomFor } from "../../support/descriptorLimit.ts"
import * as Kernel from "../../support/kernel.ts"
import { layers, readyNow } from "../../support/layers.ts"
import { until } from "../../support/observe.ts"
import { reasonOf } from "../../support/outcome.ts"
import {
  describeTcp,
  leavesNothing,
  nodeClient,
  nodeServer,
  readText,
  receive,
  startProcess,
  startWaiting,
  turn,
  twoLayers,
  withNodePeer
} from "./support.ts"

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")

/** Connects to a bare descriptor, whose system calls happen exactly when the test makes them. */
const withBarePeer = Effect.gen(function* () {
  const [near, far] = Kernel.tcpPair()
  yield* Effect.addFinalizer(() => Effect.sync(() => void (Kernel.isOpen(far) && Kernel.close(far))))
  return { connection: yield* Tcp.fromFd(near), far }
})

describeTcp(
  "backpressure",
  (live) => {
    live("a peer that reads nothing suspends the writer, and no more is pulled or held", () =>
      Effect.gen(function* () {
        const { connection, peer } = yield* withNodePeer({ sendBufferSize: 100_000 })
        const chunk = new Uint8Array(100_000)
        let pulled = 0
        const endless = Stream.map(Stream.forever(Stream.make(0)), () => {
          pulled += chunk.length
          return chunk
        })
        const memory = process.memoryUsage().arrayBuffers
        const writing = yield* Effect.forkChild(Stream.run(endless, connection.sink))
        // The buffers of the kernel grow for a while. Then the writer stands still.
        for (let calm = 0, before = -1; calm < 50; before = pulled) {
          yield* Effect.andThen(readyNow, turn)
          calm = pulled === before ? calm + 1 : 0
          expect(pulled).toBeLessThan(200_000_000)
        }
        const stood = pulled
        expect(writing.pollUnsafe()).toBeUndefined()
        expect(process.memoryUsage().arrayBuffers - memory).toBeLessThan(10_000_000)
        // Once the peer reads, the writer goes on.
        yield* receive(peer, stood)
        yield* until(() => pulled > stood)
        yield* Fiber.interrupt(writing)
      })
    )

    live("a stream that is not pulled makes the peer wait", () =>
      Effect.gen(function* () {
        const { connection, peer } = yield* withNodePeer({ receiveBufferSize: 50_000 })
        const sent = Buffer.alloc(20_000_000, 7)
        let flushed = false
        peer.end(sent, () => (flushed = true))
        for (let i = 0; i < 50; i++) yield* Effect.andThen(readyNow, turn)
        expect(flushed).toBe(false)
        const received = yield* Stream.runCollect(connection.stream)
        expect(sha256(Buffer.concat(received))).toBe(sha256(sent))
      })
    )
  },
  twoLayers
)

describeTcp(
  "few and many bytes",
  (live) => {
    live("a peer may send one byte at a time", () =>
      Effect.gen(function* () {
        const { connection, peer } = yield* withNodePeer()
        const text = Array.from({ length: 1000 }, (_, i) => String.fromCodePoint(97 + (i % 26))).join("")
        const received = yield* Effect.forkChild(Stream.mkString(Stream.decodeText(connection.stream)))
        peer.setNoDelay(true)
        for (const letter of text) {
          peer.write(letter)
          yield* turn
        }
        peer.end()
        expect(yield* Fiber.join(received)).toBe(text)
      })
    )

    live("one byte goes there and back, 500 times", () =>
      Effect.gen(function* () {
        const { connection, peer } = yield* withNodePeer()
        peer.setNoDelay(true)
        yield* Effect.forkChild(Stream.run(connection.stream, connection.sink))
        for (let i = 0; i < 500; i++) {
          const letter = String.fromCodePoint(97 + (i % 26))
          peer.write(letter)
          expect(yield* receive(peer, 1)).toBe(letter)
        }
      })
    )

    live("one write sends 64 MiB, and 64 MiB are read", () =>
      Effect.gen(function* () {
        const sent = Buffer.alloc(64 * 1024 * 1024)
        for (let i = 0; i < sent.length; i += 4) sent.writeUInt32LE(Math.imul(i, 2_654_435_761) >>> 0, i)
        const expected = sha256(sent)
        const hash = createHash("sha256")
        const port = yield* nodeServer((socket) => {
          socket.on("data", (chunk) => hash.update(chunk as Buffer))
          socket.on("end", () => socket.end(sent))
        })
        const connection = yield* Tcp.connect({ address: "127.0.0.1", port })
        yield* connection.writeAll(sent)
        yield* connection.shutdown("write")
        const back = createHash("sha256")
        yield* Stream.runForEach(connection.stream, (chunk) => Effect.sync(() => back.update(chunk)))
        expect(hash.digest("hex")).toBe(expected)
        expect(back.digest("hex")).toBe(expected)
      })
    )
  },
  twoLayers
)

describeTcp(
  "events that arrive at once",
  (live) => {
    live("data and the end in one edge are read in order by a reader that waits", () =>
      Effect.gen(function* () {
        for (let round = 0; round < 100; round++) {
          yield* Effect.gen(function* () {
            const { connection, far } = yield* withBarePeer
            const reading = yield* startWaiting(readText(connection, 100))
            Kernel.writeText(far, "last words")
            Kernel.close(far)
            expect(yield* Fiber.join(reading)).toBe("last words")
            expect(yield* connection.read(new Uint8Array(1))).toBe(0)
          }).pipe(Effect.scoped)
        }
      })
    )

    live("data and the end in one edge are read in order by a reader that comes late, or at any time", () =>
      Effect.gen(function* () {
        for (let round = 0; round < 200; round++) {
          yield* Effect.gen(function* () {
            const { connection, far } = yield* withBarePeer
            if (round % 4 > 1) yield* Fiber.interrupt(yield* startWaiting(connection.read(new Uint8Array(1))))
            Kernel.writeText(far, "last")
            if (round % 2 === 1) expect(yield* readText(connection, 4)).toBe("last")
            Kernel.writeText(far, "words")
            Kernel.close(far)
            expect(yield* Stream.mkString(Stream.decodeText(connection.stream))).toBe(
              round % 2 === 1 ? "words" : "lastwords"
            )
          }).pipe(Effect.scoped)
        }
      })
    )

    live("a server of node:net may respond and close at once, 200 times", () =>
      Effect.gen(function* () {
        const port = yield* nodeServer((socket) => socket.end("answer"))
        for (let round = 0; round < 200; round++) {
          yield* Effect.gen(function* () {
            const connection = yield* Tcp.connect({ address: "127.0.0.1", port })
            expect(yield* readText(connection, 100)).toBe("answer")
          }).pipe(Effect.scoped)
        }
      })
    )

    live("out-of-band data in mid-stream does not stall a reader that waits", () =>
      Effect.gen(function* () {
        for (let round = 0; round < 30; round++) {
          yield* Effect.gen(function* () {
            const { connection, far } = yield* withBarePeer
            const reading = yield* startWaiting(readText(connection, 6))
            Kernel.writeText(far, "abc")
            Kernel.sendOutOfBand(far)
            Kernel.writeText(far, "def")
            // The read stops at the mark, even if more is wanted.
            expect(yield* Effect.timeout(Fiber.join(reading), "100 seconds")).toBe("abcdef")
          }).pipe(Effect.scoped)
        }
      })
    )

    live("out-of-band data in mid-stream does not stall a reader that comes late", () =>
      Effect.gen(function* () {
        for (let round = 0; round < 30; round++) {
          yield* Effect.gen(function* () {
            const { connection, far } = yield* withBarePeer
            if (round % 2 === 1) {
              yield* Fiber.interrupt(yield* startWaiting(connection.read(new Uint8Array(1))))
            }
            Kernel.writeText(far, "abc")
            Kernel.sendOutOfBand(far)
            Kernel.writeText(far, "def")
            yield* readyNow
            expect(yield* Effect.timeout(readText(connection, 6), "100 seconds")).toBe("abcdef")
          }).pipe(Effect.scoped)
        }
      })
    )
  },
  twoLayers
)

describeTcp(
  "a storm of connections on a full backlog",
  (live) => {
    live("each connection gets through once there is room", () =>
      Effect.gen(function* () {
        const listener = yield* Tcp.listen("127.0.0.1:0", { backlog: 15 })
        const connecting = yield* Effect.forEach(Array.from({ length: 40 }), (_, i) =>
          Effect.forkChild(
            Effect.gen(function* () {
              const client = yield* Tcp.connect(listener.address)
              yield* client.writeAll(Uint8Array.of(i))
              const back = new Uint8Array(1)
              yield* client.read(back)
              return back[0]
            }),
            { startImmediately: true }
          )
        )
        yield* readyNow
        yield* Effect.forkChild(listener.run((connection) => Stream.run(connection.stream, connection.sink)))
        expect(yield* Effect.forEach(connecting, Fiber.join)).toEqual(Array.from({ length: 40 }, (_, i) => i))
      })
    )
  },
  twoLayers
)

describe("a listener survives a process without descriptors", () => {
  for (const layer of twoLayers) {
    it.live(`it waits, does not spin, and goes on (${layer})`, () =>
      leavesNothing(
        Effect.gen(function* () {
          const server = yield* startProcess("tcpDescriptors", [layer])
          const { port, room } = (yield* server.next) as { readonly port: number; readonly room: number }
          const clients = yield* Effect.forEach(Array.from({ length: room + 6 }), () => nodeClient(port))
          for (const [i, client] of clients.entries()) {
            client.setNoDelay(true)
            client.write(`client ${String(i).padStart(3)}`)
          }
          // The connections that fit get a response in order of arrival. The others wait.
          for (let i = 0; i < room; i++) {
            expect(yield* receive(clients[i]!, 10)).toBe(`client ${String(i).padStart(3)}`)
          }
          while (!server.output().includes("a listener cannot accept connections, and will try again")) yield* turn
          server.child.send("measure")
          const { busy } = (yield* server.next) as { readonly busy: number }
          // The share of its time in which it was busy.
          expect(busy).toBeLessThan(0.1)
          // It logs once, however often it has tried.
          expect(server.output().match(/a listener cannot accept/g)).toHaveLength(1)
          for (let i = 0; i < room; i++) clients[i]!.destroy()
          for (let i = room; i < clients.length; i++) {
            expect(yield* receive(clients[i]!, 10)).toBe(`client ${String(i).padStart(3)}`)
            // Only a few fit.
            clients[i]!.destroy()
          }
          server.child.send("end")
          expect(yield* server.next).toEqual({ left: 0 })
          expect(yield* server.ended).toEqual({ code: 0, signal: null })
        }).pipe(Effect.scoped)
      )
    )
  }
})

/** Starts a fiber that accepts while the clock stands still. */
const accepting = (listener: Tcp.TcpListener) =>
  Effect.gen(function* () {
    const warnings: Array<unknown> = []
    const logger = Logger.make(({ message }) => void warnings.push(message))
    const fiber = yield* withRoomFor(
      0,
      Effect.forkChild(listener.accept, { startImmediately: true }).pipe(Effect.provide(Logger.layer([logger])))
    )
    expect(warnings).toHaveLength(1)
    expect(fiber.pollUnsafe()).toBeUndefined()
    return fiber
  })

describe("a listener without descriptors can be closed", () => {
  for (const layer of twoLayers) {
    it.effect(`a fiber that accepts fails with Closed, also between two attempts (${layer})`, () =>
      leavesNothing(
        Effect.gen(function* () {
          const listener = yield* Tcp.listen("127.0.0.1:0")
          yield* Tcp.connect(listener.address)
          const fiber = yield* accepting(listener)
          yield* listener.close
          expect(yield* reasonOf(Fiber.join(fiber))).toBe("Closed")
        }).pipe(Effect.scoped, Effect.provide(layers[layer]()))
      )
    )

    it.effect(`promise 8: also when the poller is closed (${layer})`, () =>
      leavesNothing(
        Effect.gen(function* () {
          const poller = yield* Scope.make()
          const context = yield* Layer.buildWithScope(layers[layer](), poller)
          yield* Effect.gen(function* () {
            const listener = yield* Tcp.listen("127.0.0.1:0")
            yield* Tcp.connect(listener.address)
            const fiber = yield* accepting(listener)
            yield* Scope.close(poller, Exit.void)
            expect(yield* reasonOf(Fiber.join(fiber))).toBe("Closed")
          }).pipe(Effect.provide(context))
        }).pipe(Effect.scoped)
      )
    )
  }
})

describe("SIGPIPE never kills the process", () => {
  for (const layer of twoLayers) {
    it.live(`even if the signal has its default action (${layer})`, () =>
      Effect.gen(function* () {
        const writer = yield* startProcess("tcpBrokenPipe", [layer])
        expect(yield* writer.next).toEqual({ write: "BrokenPipe", writeAll: "BrokenPipe", sink: "BrokenPipe" })
        expect(yield* writer.ended).toEqual({ code: 0, signal: null })
      }).pipe(Effect.scoped)
    )
  }

  it.live("which a plain write would do in such a process", () =>
    Effect.gen(function* () {
      const writer = yield* startProcess("tcpBrokenPipe", ["careless"])
      expect(yield* writer.ended).toEqual({ code: null, signal: "SIGPIPE" })
    }).pipe(Effect.scoped)
  )
})
