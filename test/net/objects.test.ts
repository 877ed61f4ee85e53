/**
 * Sockets as objects: how they print, which of them are the library's own, and what they show of
 * their insides.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Option, type Scope } from "effect"
import { type Poller, PollerSocket, type Registrar, Tcp, Udp, Unix } from "effect-amy"
import { NetAddress } from "effect/net"
import { join } from "node:path"
import { inspect } from "node:util"
import * as Kernel from "../support/kernel.ts"
import { reasonOf } from "../support/outcome.ts"
import { directory } from "../support/owned.ts"
import { someLayer } from "../support/layers.ts"

type Needs = Poller.Poller | Registrar.Registrar | Scope.Scope

const live = <E>(name: string, body: () => Effect.Effect<void, E, Needs>) =>
  it.live(name, () => body().pipe(Effect.scoped, Effect.provide(someLayer())))

const bytes = (text: string) => new TextEncoder().encode(text)

const tcpPair = Effect.gen(function* () {
  const listener = yield* Tcp.listen("127.0.0.1:0")
  const client = yield* Tcp.connect(listener.address)
  return { listener, client, server: yield* listener.accept }
})

const socketPath = Effect.map(directory, (path) => join(path, "socket"))

/** An object with all properties of another one. */
const doubleOf = (object: object): never => {
  const double: Record<PropertyKey, unknown> = {}
  for (let from = object; from !== Object.prototype; from = Object.getPrototypeOf(from) as object) {
    for (const key of Reflect.ownKeys(from)) double[key] ??= Reflect.get(object, key)
  }
  return double as never
}

/** One of each kind. */
const oneOfEach = Effect.gen(function* () {
  const { client, listener } = yield* tcpPair
  const path = yield* socketPath
  const udp = yield* Udp.bind("127.0.0.1:0")
  yield* udp.send(bytes("hello"), yield* udp.localAddress)
  return {
    TcpListener: listener,
    TcpStream: client,
    UnixListener: yield* Unix.listen(path),
    UnixStream: (yield* Unix.socketPair)[0],
    UdpSocket: udp,
    Datagram: yield* udp.receive
  }
})

const guards = {
  TcpListener: Tcp.isTcpListener,
  TcpStream: Tcp.isTcpStream,
  UnixListener: Unix.isUnixListener,
  UnixStream: Unix.isUnixStream,
  UdpSocket: Udp.isUdpSocket,
  Datagram: Udp.isDatagram
}

describe("the printed form", () => {
  live("of a TCP stream has both addresses, the local one first", () =>
    Effect.gen(function* () {
      const { client, listener, server } = yield* tcpPair
      const here = NetAddress.formatInet(yield* client.localAddress)
      const there = NetAddress.formatInet(listener.address)
      expect([String(listener), String(client), String(server)]).toEqual([
        `TcpListener(${there})`,
        `TcpStream(${here} <- ${there})`,
        `TcpStream(${there} <- ${here})`
      ])
      expect(inspect({ client })).toBe(`{ client: ${String(client)} }`)
      expect(JSON.parse(JSON.stringify([client, listener]))).toEqual([
        { _id: "effect-amy/TcpStream", fd: client.fd, localAddress: here, remoteAddress: there },
        { _id: "effect-amy/TcpListener", fd: listener.fd, address: there }
      ])
    })
  )

  live("of a Unix socket has its path, or says that it has no name", () =>
    Effect.gen(function* () {
      const path = yield* socketPath
      const listener = yield* Unix.listen(path)
      const client = yield* Unix.connect(path)
      const server = yield* listener.accept
      const [one] = yield* Unix.socketPair
      expect([listener, client, server, one].map(String)).toEqual([
        `UnixListener(${path})`,
        `UnixStream(unnamed <- ${path})`,
        `UnixStream(${path} <- unnamed)`,
        "UnixStream(unnamed <- unnamed)"
      ])
      if (process.platform !== "linux") return
      const abstract = yield* Unix.listen({ abstract: `objects-test-${process.pid}` })
      expect(String(abstract)).toBe(`UnixListener(@objects-test-${process.pid})`)
    })
  )

  live("of a UDP socket has its address, and that of its peer once it is connected", () =>
    Effect.gen(function* () {
      const socket = yield* Udp.bind("127.0.0.1:0")
      const peer = yield* Udp.bind("127.0.0.1:0")
      const here = NetAddress.formatInet(yield* socket.localAddress)
      const there = NetAddress.formatInet(yield* peer.localAddress)
      expect(String(socket)).toBe(`UdpSocket(${here})`)
      yield* socket.connect(there)
      expect(String(socket)).toBe(`UdpSocket(${here} <- ${there})`)
      yield* socket.send(bytes("hello"))
      expect(String(yield* peer.receive)).toBe(`Datagram(5 bytes from ${here})`)
    })
  )

  live("says that it is closed", () =>
    Effect.gen(function* () {
      const { Datagram: _, ...all } = yield* oneOfEach
      for (const [name, socket] of Object.entries(all)) {
        yield* socket.close
        expect([String(socket), inspect(socket)]).toEqual([`${name}(closed)`, `${name}(closed)`])
        expect(JSON.parse(JSON.stringify(socket))).toMatchObject({ _id: `effect-amy/${name}`, fd: -1 })
      }
    })
  )

  live("never throws, whatever became of the connection or the descriptor", () =>
    Effect.gen(function* () {
      const { client, listener, server } = yield* tcpPair
      const there = NetAddress.formatInet(listener.address)
      const here = NetAddress.formatInet(yield* client.localAddress)
      Kernel.closeWithReset(yield* client.take)
      expect(yield* reasonOf(server.read(new Uint8Array(1)))).toBe("ConnectionReset")
      expect(String(server)).toBe(`TcpStream(${there} <- ${here})`)

      const other = yield* Tcp.connect(there)
      Kernel.close(other.fd)
      expect(String(other)).toBe(`TcpStream(? <- ${there})`)
      // So that its scope closes a descriptor of its own.
      yield* other.take
    })
  )
})

describe("a guard", () => {
  live("takes what the library made, and nothing else", () =>
    Effect.gen(function* () {
      const all = yield* oneOfEach
      for (const [name, value] of Object.entries(all)) {
        for (const [guard, isIt] of Object.entries(guards)) {
          expect([name, guard, isIt(value)]).toEqual([name, guard, name === guard])
          for (const other of [doubleOf(value), undefined, null, 7, "text", {}]) expect(isIt(other)).toBe(false)
        }
      }
    })
  )
})

describe("an object with the same properties as a socket's", () => {
  live("is refused as a stream, with InvalidArgument as the cause", () =>
    Effect.gen(function* () {
      const { client } = yield* tcpPair
      const socket = yield* PollerSocket.fromStream(Effect.succeed(doubleOf(client)))
      const { reason } = yield* Effect.flip(Effect.scoped(socket.reader))
      expect(reason).toMatchObject({
        _tag: "SocketOpenError",
        cause: { _tag: "PollerError", reason: { _tag: "InvalidArgument" } }
      })
    })
  )

  live("is refused as a datagram, with InvalidArgument", () =>
    Effect.gen(function* () {
      const { Datagram: datagram, UdpSocket: socket } = yield* oneOfEach
      const doubles = [doubleOf(datagram), { payload: datagram.payload, address: datagram.address } as never]
      for (const double of doubles) {
        expect(yield* reasonOf(socket.send(bytes("x"), double))).toBe("InvalidArgument")
        expect(yield* reasonOf(socket.trySend(bytes("x"), double))).toBe("InvalidArgument")
      }
      expect(yield* socket.send(bytes("x"), datagram)).toBe(1)
    })
  )
})

describe("a socket", () => {
  live("has no enumerable internals", () =>
    Effect.gen(function* () {
      const { Datagram: datagram, ...all } = yield* oneOfEach
      for (const socket of Object.values(all)) expect(Object.keys(socket)).toEqual([])
      expect(Object.keys(datagram)).toEqual(["payload"])
    })
  )

  live("has methods that can be passed on", () =>
    Effect.gen(function* () {
      const { client, listener, server } = yield* tcpPair
      const { setOptions, shutdown, writeAll } = client
      const { read } = server
      yield* setOptions({ noDelay: false })
      yield* Effect.forEach([bytes("one "), bytes("two")], (chunk) => writeAll(chunk), { discard: true })
      yield* shutdown("write")
      const buffer = new Uint8Array(16)
      let length = 0
      for (let count = -1; count !== 0; length += count) count = yield* read(buffer, length)
      expect(new TextDecoder().decode(buffer.subarray(0, length))).toBe("one two")

      const { run } = listener
      const running = yield* Effect.forkScoped(run((connection) => connection.writeAll(bytes("hi"))))
      const other = yield* Tcp.connect(listener.address)
      expect(yield* other.read(buffer)).toBe(2)
      yield* Fiber.interrupt(running)

      const udp = yield* Udp.bind("127.0.0.1:0")
      const { send, trySend } = udp
      const here = yield* udp.localAddress
      expect([yield* send(bytes("abc"), here), yield* trySend(bytes("de"), here)]).toEqual([3, Option.some(2)])
    })
  )
})
