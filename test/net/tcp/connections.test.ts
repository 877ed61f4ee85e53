/** Listening, connecting, reading, writing and half-closing, with peers of node:net. */
import { expect, it } from "@effect/vitest"
import { Effect, Fiber, Logger, Stream } from "effect"
import { Tcp } from "effect-amy"
import * as NetAddress from "effect/net/NetAddress"
import * as Kernel from "../../support/kernel.ts"
import { readyNow } from "../../support/layers.ts"
import { startThread } from "../../support/programs.ts"
import {
  bytesOf,
  describeTcp,
  hasIpv6,
  leavesNothing,
  nodeClient,
  nodeServer,
  pair,
  readText,
  receive,
  receiveAll,
  twoLayers,
  withNodePeer
} from "./support.ts"

describeTcp("Tcp listens, accepts and connects", (live) => {
  live("a client of node:net is accepted, and both sides have both addresses", () =>
    Effect.gen(function* () {
      const { connection, listener, peer } = yield* withNodePeer()
      const local = yield* connection.localAddress
      const remote = yield* connection.remoteAddress
      expect(NetAddress.formatInet(local)).toBe(`127.0.0.1:${peer.remotePort}`)
      expect(NetAddress.formatInet(remote)).toBe(`127.0.0.1:${peer.localPort}`)
      expect(listener.address.port).toBe(peer.remotePort)
      peer.write("question")
      expect(yield* readText(connection, 8)).toBe("question")
      yield* connection.writeAll(bytesOf("answer"))
      expect(yield* receive(peer, 6)).toBe("answer")
    })
  )

  live("connects to a server of node:net, from a chosen address", () =>
    Effect.gen(function* () {
      const port = yield* nodeServer((socket) => socket.write(`${socket.remoteAddress}:${socket.remotePort}\n`))
      const connection = yield* Tcp.connect({ address: "127.0.0.1", port }, { localAddress: "127.0.0.2:0" })
      const local = NetAddress.formatInet(yield* connection.localAddress)
      expect(local.startsWith("127.0.0.2:")).toBe(true)
      expect(yield* readText(connection, local.length + 1)).toBe(`${local}\n`)
      expect((yield* connection.remoteAddress).port).toBe(port)
    })
  )

  live("every descriptor is close-on-exec and non-blocking", () =>
    Effect.gen(function* () {
      const { client, listener, server } = yield* pair
      for (const { fd } of [listener, client, server]) {
        expect(Kernel.isCloseOnExec(fd)).toBe(true)
        expect(Kernel.isNonblocking(fd)).toBe(true)
      }
    })
  )

  live("close closes a connection or a listener before its scope does", () =>
    Effect.gen(function* () {
      const { connection, listener, peer } = yield* withNodePeer()
      const { fd } = connection
      yield* connection.close
      expect(connection.fd).toBe(-1)
      expect(Kernel.isOpen(fd)).toBe(false)
      expect((yield* receiveAll(peer)).length).toBe(0)
      yield* listener.close
      expect(listener.fd).toBe(-1)
      const again = yield* Tcp.listen(listener.address)
      expect(again.address.port).toBe(listener.address.port)
    })
  )

  live("the scope of accept or connect closes the connection", () =>
    Effect.gen(function* () {
      const listener = yield* Tcp.listen("127.0.0.1:0")
      const client = yield* nodeClient(listener.address.port)
      const { fd } = yield* Effect.scoped(listener.accept)
      expect(Kernel.isOpen(fd)).toBe(false)
      expect((yield* receiveAll(client)).length).toBe(0)
      const { fd: connected } = yield* Effect.scoped(Tcp.connect(listener.address))
      expect(Kernel.isOpen(connected)).toBe(false)
    })
  )

  live("several fibers accept, and each connection goes to one of them", () =>
    Effect.gen(function* () {
      const listener = yield* Tcp.listen("127.0.0.1:0")
      const accepting = yield* Effect.all(
        Array.from({ length: 8 }, () => Effect.forkChild(listener.accept, { startImmediately: true }))
      )
      const clients = yield* Effect.all(
        accepting.map(() => nodeClient(listener.address.port)),
        { concurrency: 8 }
      )
      const accepted = yield* Effect.forEach(accepting, Fiber.join)
      const ports = yield* Effect.forEach(accepted, (connection) =>
        Effect.map(connection.remoteAddress, ({ port }) => port)
      )
      expect(ports.toSorted()).toEqual(clients.map(({ localPort }) => localPort).toSorted())
    })
  )

  live("incoming returns every connection once, and its end closes those that are still open", () =>
    Effect.gen(function* () {
      const listener = yield* Tcp.listen("127.0.0.1:0")
      const clients = yield* Effect.all(
        Array.from({ length: 100 }, () => nodeClient(listener.address.port)),
        { concurrency: 20 }
      )
      const ports = yield* listener.incoming.pipe(
        Stream.mapEffect((connection) =>
          Effect.gen(function* () {
            const { port } = yield* connection.remoteAddress
            if (port % 2 === 0) yield* connection.close
            return port
          })
        ),
        Stream.take(100),
        Stream.runCollect
      )
      expect(ports.toSorted()).toEqual(clients.map(({ localPort }) => localPort).toSorted())
      for (const client of clients) expect((yield* receiveAll(client)).length).toBe(0)
    })
  )

  live("run starts a handler for each connection, and closes it however the handler ends", () =>
    Effect.gen(function* () {
      const listener = yield* Tcp.listen("127.0.0.1:0")
      yield* Effect.forkChild(
        listener.run((connection) =>
          Effect.gen(function* () {
            const text = yield* readText(connection, 4)
            yield* connection.writeAll(bytesOf(text.toUpperCase()))
            if (text === "fail") return yield* Effect.fail("on purpose")
            if (text === "dies") return yield* Effect.die("on purpose")
            return undefined
          })
        )
      )
      for (const text of ["good", "fail", "dies", "good"]) {
        const client = yield* nodeClient(listener.address.port)
        client.write(text)
        expect((yield* receiveAll(client)).toString()).toBe(text.toUpperCase())
      }
    }).pipe(Effect.provide(Logger.layer([])))
  )

  live("run passes nothing but the connection, as a handler may have optional parameters", () =>
    Effect.gen(function* () {
      const listener = yield* Tcp.listen("127.0.0.1:0")
      yield* Effect.forkChild(
        listener.run((connection, ...more: ReadonlyArray<unknown>) =>
          connection.writeAll(bytesOf(`${more.length} more`))
        )
      )
      const client = yield* nodeClient(listener.address.port)
      expect((yield* receiveAll(client)).toString()).toBe("0 more")
    })
  )

  live("stream and sink carry bytes to an echo server of node:net and back", () =>
    Effect.gen(function* () {
      const port = yield* nodeServer((socket) => socket.pipe(socket))
      const connection = yield* Tcp.connect({ address: "127.0.0.1", port })
      const chunks = Array.from({ length: 300 }, (_, i) => new Uint8Array(1 + i * 37).fill(i))
      const received = yield* Effect.forkChild(
        Stream.runFold(
          connection.stream,
          () => [] as Array<Uint8Array>,
          (all, chunk) => [...all, chunk]
        )
      )
      yield* Stream.run(Stream.fromIterable(chunks), connection.sink)
      yield* connection.shutdown("write")
      expect(Buffer.concat(yield* Fiber.join(received)).equals(Buffer.concat(chunks))).toBe(true)
    })
  )

  live("read and write touch only the part of the buffer that is given", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* withNodePeer()
      peer.write("abcdef")
      const buffer = new Uint8Array(8)
      expect(yield* connection.read(buffer, 2, 3)).toBe(3)
      expect([...buffer]).toEqual([0, 0, 97, 98, 99, 0, 0, 0])
      expect(yield* connection.read(buffer, 7)).toBe(1)
      expect(buffer[7]).toBe(100)
      expect(yield* connection.write(buffer, 2, 3)).toBe(3)
      yield* connection.writeAll(buffer, 7)
      yield* connection.writeAll(new Uint8Array(0))
      expect(yield* connection.write(new Uint8Array(0))).toBe(0)
      expect(yield* receive(peer, 4)).toBe("abcd")
    })
  )
})

describeTcp(
  "half-close works both ways",
  (live) => {
    live("our side ends first: the peer sees the end, and its bytes still arrive", () =>
      Effect.gen(function* () {
        const { connection, peer } = yield* withNodePeer()
        yield* connection.writeAll(bytesOf("request"))
        yield* connection.shutdown("write")
        expect((yield* receiveAll(peer)).toString()).toBe("request")
        peer.end("response")
        expect(yield* Stream.mkString(Stream.decodeText(connection.stream))).toBe("response")
      })
    )

    live("the peer ends first: every read returns 0, and writing goes on", () =>
      Effect.gen(function* () {
        const { connection, peer } = yield* withNodePeer()
        peer.end("request")
        expect(yield* readText(connection, 100)).toBe("request")
        for (let i = 0; i < 3; i++) expect(yield* connection.read(new Uint8Array(1))).toBe(0)
        for (let i = 0; i < 3; i++) yield* connection.writeAll(bytesOf("response"))
        yield* connection.close
        expect((yield* receiveAll(peer)).toString()).toBe("response".repeat(3))
      })
    )

    live("a fiber that reads sees the end when this side shuts reading down", () =>
      Effect.gen(function* () {
        const { connection } = yield* withNodePeer()
        const reading = yield* Effect.forkChild(connection.read(new Uint8Array(1)), { startImmediately: true })
        yield* readyNow
        yield* connection.shutdown("read")
        expect(yield* Fiber.join(reading)).toBe(0)
      })
    )

    live("both sides end at once", () =>
      Effect.gen(function* () {
        const { connection, peer } = yield* withNodePeer()
        yield* connection.shutdown("both")
        expect((yield* receiveAll(peer)).length).toBe(0)
        expect(yield* connection.read(new Uint8Array(1))).toBe(0)
        const error = yield* Effect.flip(connection.writeAll(bytesOf("x")))
        expect(error.reason._tag).toBe("BrokenPipe")
      })
    )
  },
  twoLayers
)

describeTcp("a connection is given away", (live, layer) => {
  live("take leaves the descriptor open, and fails the fibers that wait with Closed", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* withNodePeer()
      const reading = yield* Effect.forkChild(Effect.flip(connection.read(new Uint8Array(1))), {
        startImmediately: true
      })
      yield* readyNow
      const fd = yield* connection.take
      expect((yield* Fiber.join(reading)).reason._tag).toBe("Closed")
      expect((yield* Effect.flip(connection.take)).reason._tag).toBe("Closed")
      expect((yield* Effect.flip(connection.close)).reason._tag).toBe("Closed")
      expect(Kernel.isOpen(fd)).toBe(true)
      const second = yield* Tcp.fromFd(fd)
      peer.write("still here")
      expect(yield* readText(second, 10)).toBe("still here")
      yield* second.close
      expect(Kernel.isOpen(fd)).toBe(false)
    })
  )

  live("fromFd leaves the blocking mode as it is, and nothing blocks nevertheless", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* withNodePeer()
      const fd = yield* connection.take
      Kernel.setBlocking(fd)
      const second = yield* Tcp.fromFd(fd)
      expect(Kernel.isNonblocking(fd)).toBe(false)
      const reading = yield* Effect.forkChild(readText(second, 4), { startImmediately: true })
      yield* readyNow
      expect(reading.pollUnsafe()).toBeUndefined()
      peer.write("late")
      expect(yield* Fiber.join(reading)).toBe("late")
      // More bytes than fit, while the event loop of this thread reads them at the other end.
      const writing = yield* Effect.forkChild(
        Effect.andThen(second.writeAll(new Uint8Array(20_000_000)), second.shutdown("write"))
      )
      expect((yield* receiveAll(peer)).length).toBe(20_000_000)
      yield* Fiber.join(writing)
    })
  )

  it.live("take and fromFd move a connection to a worker thread", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { connection, peer } = yield* withNodePeer()
        const fd = yield* connection.take
        const thread = yield* startThread<string>("tcpEcho", { fd })
        peer.end("through another thread")
        expect((yield* receiveAll(peer)).toString()).toBe("THROUGH ANOTHER THREAD")
        expect(yield* thread.next).toBe("closed")
        yield* thread.exited
      }).pipe(Effect.scoped, Effect.provide(layer()))
    )
  )
})

describeTcp(
  "IPv6, if this machine has its loopback",
  (live) => {
    live("listen and connect work with peers of node:net", () =>
      Effect.gen(function* () {
        const listener = yield* Tcp.listen("[::1]:0")
        const peer = yield* nodeClient(listener.address.port, "::1")
        const connection = yield* listener.accept
        expect(NetAddress.formatInet(yield* connection.remoteAddress)).toBe(`[::1]:${peer.localPort}`)
        peer.end("six")
        expect(yield* readText(connection, 100)).toBe("six")

        const port = yield* nodeServer((socket) => socket.end(`${socket.remoteFamily} ${socket.remotePort}`), {}, "::1")
        const client = yield* Tcp.connect({ address: "::1", port })
        expect(yield* readText(client, 100)).toBe(`IPv6 ${(yield* client.localAddress).port}`)
      })
    )

    live("a listener at :: accepts IPv4 too, unless it is ipv6Only", () =>
      Effect.gen(function* () {
        const both = yield* Tcp.listen("[::]:0")
        const peer = yield* nodeClient(both.address.port)
        const connection = yield* both.accept
        expect((yield* connection.remoteAddress).port).toBe(peer.localPort)
        expect(NetAddress.formatInet(yield* connection.remoteAddress)).toContain("ffff:")

        // The same port of the other family is free, unless another process has it: then another
        // port is tried.
        const six = yield* Effect.gen(function* () {
          const six = yield* Tcp.listen("[::]:0", { ipv6Only: true })
          const { port } = six.address
          const refused = yield* Effect.flip(Effect.scoped(Tcp.connect({ address: "127.0.0.1", port })))
          yield* Tcp.listen({ address: "0.0.0.0", port })
          expect(refused.reason._tag).toBe("ConnectionRefused")
          return six
        }).pipe(Effect.retry({ times: 5 }))
        yield* nodeClient(six.address.port, "::1")
        yield* six.accept
      })
    )
  },
  hasIpv6 ? twoLayers : []
)
