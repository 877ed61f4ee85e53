/** The address that an error of a socket carries, and says. */
import { describe, expect, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import type { Poller, PollerError, Registrar } from "effect-amy"
import { Tcp, Udp, Unix } from "effect-amy"
import { NetAddress } from "effect/net"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import * as Kernel from "../support/kernel.ts"
import { directory } from "../support/owned.ts"
import { someLayer } from "../support/layers.ts"

const live = <E>(
  name: string,
  body: () => Effect.Effect<void, E, Poller.Poller | Registrar.Registrar | Scope.Scope>,
  skip = false
) => it.live.skipIf(skip)(name, () => body().pipe(Effect.scoped, Effect.provide(someLayer())))

const text = NetAddress.formatInet

/** Expects an error to carry an address, and to say it after the name of the call. */
const expectAddress = <A, R>(
  failing: Effect.Effect<A, PollerError.PollerError, R>,
  reason: string,
  call: string,
  address: string
) =>
  Effect.map(Effect.flip(failing), (error) => {
    expect(error.reason).toMatchObject({ _tag: reason, address })
    expect(error.message.slice(0, call.length + address.length + 3)).toBe(`${call} ${address}: `)
  })

const tcpPair = Effect.gen(function* () {
  const listener = yield* Tcp.listen("127.0.0.1:0")
  const client = yield* Tcp.connect(listener.address)
  return { client, server: yield* listener.accept, address: text(listener.address) }
})

/** The address of a socket that is closed again. */
const deserted = Effect.scoped(Effect.flatMap(Udp.bind("127.0.0.1:0"), ({ localAddress }) => localAddress))

const buffer = new Uint8Array(8)

describe("an error of a TCP socket names", () => {
  live("the address that refuses a connection", () =>
    Effect.gen(function* () {
      const listener = yield* Tcp.listen("127.0.0.1:0")
      yield* listener.close
      const error = yield* Effect.flip(Tcp.connect(listener.address))
      expect(error.message).toMatch(new RegExp(`^connect to ${text(listener.address)}: ECONNREFUSED, `))
      yield* expectAddress(Tcp.connect(listener.address), "ConnectionRefused", "connect to", text(listener.address))
    })
  )

  live("the address that does not respond in time", () =>
    Effect.gen(function* () {
      const listener = yield* Tcp.listen("127.0.0.1:0", { backlog: 0 })
      yield* Tcp.connect(listener.address)
      const connecting = Tcp.connect(listener.address, { timeout: "10 millis" })
      yield* expectAddress(connecting, "TimedOut", "connect to", text(listener.address))
    })
  )

  live("the address that it cannot be bound to", () =>
    Effect.gen(function* () {
      const { address } = yield* tcpPair
      yield* expectAddress(Tcp.listen(address), "AddressInUse", "bind to", address)
      // Of the network for documentation: no machine has it.
      const elsewhere = "192.0.2.1:0"
      yield* expectAddress(Tcp.listen(elsewhere), "AddressNotAvailable", "bind to", elsewhere)
      const connecting = Tcp.connect(address, { localAddress: elsewhere })
      yield* expectAddress(connecting, "AddressNotAvailable", "bind to", elsewhere)
    })
  )

  live("the peer that resets a connection, to the client", () =>
    Effect.gen(function* () {
      const { address, client, server } = yield* tcpPair
      Kernel.closeWithReset(yield* server.take)
      yield* expectAddress(client.read(buffer), "ConnectionReset", "recv from", address)
      yield* expectAddress(client.writeAll(buffer), "BrokenPipe", "send to", address)
      yield* client.shutdown("both")
    })
  )

  live("the peer that resets a connection, to the server", () =>
    Effect.gen(function* () {
      const { client, server } = yield* tcpPair
      const address = text(yield* client.localAddress)
      Kernel.closeWithReset(yield* client.take)
      yield* expectAddress(server.read(buffer), "ConnectionReset", "recv from", address)
    })
  )

  live("the peer that the server cannot write to any more", () =>
    Effect.gen(function* () {
      const { client, server } = yield* tcpPair
      yield* server.shutdown("write")
      yield* expectAddress(server.writeAll(buffer), "BrokenPipe", "send to", text(yield* client.localAddress))
    })
  )

  live("the listener that cannot accept", () =>
    Effect.gen(function* () {
      const listener = yield* Tcp.listen("127.0.0.1:0")
      Kernel.close(listener.fd)
      yield* expectAddress(listener.accept, "BadDescriptor", "accept on", text(listener.address))
    })
  )
})

describe("an error of a Unix socket names", () => {
  live("the path", () =>
    Effect.gen(function* () {
      const path = join(yield* directory, "socket")
      yield* expectAddress(Unix.connect(path), "NotFound", "connect to", path)
      const below = join(path, "below")
      yield* expectAddress(Unix.listen(below), "NotFound", "bind to", below)
      writeFileSync(path, "")
      yield* expectAddress(Unix.listen(path), "AddressInUse", "bind to", path)
      yield* expectAddress(Unix.connect(path), "ConnectionRefused", "connect to", path)
    })
  )

  live("the path of a listener whose backlog stays full", () =>
    Effect.gen(function* () {
      const path = join(yield* directory, "socket")
      yield* Unix.listen(path, { backlog: 0 })
      yield* Unix.connect(path)
      yield* expectAddress(Unix.connect(path, { timeout: "10 millis" }), "TimedOut", "connect to", path)
    })
  )

  live(
    "the abstract name",
    () =>
      Effect.gen(function* () {
        const name = `error-addresses-${process.pid}`
        yield* expectAddress(Unix.connect({ abstract: name }), "ConnectionRefused", "connect to", `@${name}`)
      }),
    process.platform !== "linux"
  )

  live("the descriptor, where the peer has no address", () =>
    Effect.gen(function* () {
      const [one, other] = yield* Unix.socketPair
      yield* other.close
      const { message, reason } = yield* Effect.flip(one.writeAll(buffer))
      expect(reason).toMatchObject({ _tag: "BrokenPipe", fd: one.fd })
      expect(message).toMatch(new RegExp(`^send on fd ${one.fd}: EPIPE, `))
    })
  )
})

describe("an error of a UDP socket names", () => {
  live("the peer that it is connected to", () =>
    Effect.gen(function* () {
      const socket = yield* Udp.bind("127.0.0.1:0")
      const peer = yield* deserted
      yield* socket.connect(peer)
      yield* socket.send(buffer)
      yield* expectAddress(socket.receive, "ConnectionRefused", "recvfrom", text(peer))
      yield* expectAddress(socket.send(new Uint8Array(65_536)), "MessageTooLarge", "send to", text(peer))
    })
  )

  live("the destination of a datagram", () =>
    Effect.gen(function* () {
      const socket = yield* Udp.bind("127.0.0.1:0")
      const sending = (to: string) => socket.send(new Uint8Array(65_536), to)
      yield* expectAddress(sending("127.0.0.1:9"), "MessageTooLarge", "sendto", "127.0.0.1:9")
      yield* expectAddress(socket.send(buffer, "[::1]:9"), "InvalidArgument", "sendto", "[::1]:9")
      yield* expectAddress(socket.send(buffer, "127.255.255.255:9"), "PermissionDenied", "sendto", "127.255.255.255:9")
    })
  )

  live("the address that it cannot be bound or connected to", () =>
    Effect.gen(function* () {
      const socket = yield* Udp.bind("127.0.0.1:0")
      const address = text(yield* socket.localAddress)
      yield* expectAddress(Udp.bind(address), "AddressInUse", "bind to", address)
      yield* expectAddress(socket.connect("[::1]:9"), "InvalidArgument", "connect to", "[::1]:9")
    })
  )

  live("the descriptor, where it has no peer", () =>
    Effect.gen(function* () {
      const socket = yield* Udp.bind("127.0.0.1:0")
      const { reason } = yield* Effect.flip(socket.send(buffer))
      expect(reason).toMatchObject({ _tag: "NotConnected", fd: socket.fd })
    })
  )
})
