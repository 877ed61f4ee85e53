/** Connections whose peer is gone: what can still be said about them, and done with them. */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { type Poller, type PollerError, type Registrar, Tcp, Udp, Unix } from "effect-amy"
import * as NetAddress from "effect/net/NetAddress"
import type * as Scope from "effect/Scope"
import { constants } from "node:os"
import { failingCalls } from "../support/failingCalls.ts"
import * as Kernel from "../support/kernel.ts"
import { notLinux } from "../support/platform.ts"
import { nextLayerEntries } from "../support/layers.ts"
import { leavesNothing, pair } from "./tcp/support.ts"

const ways = ["read", "write", "both"] as const

type Test = Effect.Effect<void, unknown, Poller.Poller | Registrar.Registrar | Scope.Scope>

const live = (name: string, body: () => Test) => {
  for (const [layerName, layer] of nextLayerEntries()) {
    it.live(`${name} (${layerName})`, () =>
      leavesNothing(Effect.suspend(body).pipe(Effect.scoped, Effect.provide(layer())))
    )
  }
}

const buffer = new Uint8Array(8)

/** Both ends of a connection in turn: the one that connected, and the one that was accepted. */
const eachEnd = (use: (end: Tcp.TcpStream, peer: Tcp.TcpStream, remote: NetAddress.InetAddress) => Test): Test =>
  Effect.gen(function* () {
    for (const isClient of [true, false]) {
      const { client, server } = yield* pair
      const [end, peer] = isClient ? [client, server] : [server, client]
      yield* use(end, peer, yield* peer.localAddress)
    }
  })

/** Both ends, once more taken over from their descriptors. */
const adopted = (use: Parameters<typeof eachEnd>[0]): Test =>
  eachEnd((end, peer, remote) => Effect.flatMap(Effect.flatMap(end.take, Tcp.fromFd), (end) => use(end, peer, remote)))

describe.each([
  ["a connection", eachEnd],
  ["a connection that was taken over", adopted]
])("%s that its peer has reset", (_, each) => {
  live("still names the peer and its own address", () =>
    each((end, peer, remote) =>
      Effect.gen(function* () {
        const local = yield* end.localAddress
        Kernel.closeWithReset(yield* peer.take)
        const error = yield* Effect.flip(end.read(buffer))
        expect(error.reason).toMatchObject({ _tag: "ConnectionReset", address: NetAddress.formatInet(remote) })
        expect(yield* end.remoteAddress).toEqual(remote)
        expect(yield* end.localAddress).toEqual(local)
        expect(String(end)).toBe(`TcpStream(${NetAddress.formatInet(local)} <- ${NetAddress.formatInet(remote)})`)
        yield* end.close
        expect((yield* Effect.flip(end.remoteAddress)).reason._tag).toBe("Closed")
      })
    )
  )

  for (const isKnown of [true, false]) {
    live(`can be shut down, ${isKnown ? "after" : "before"} the program has seen the reset`, () =>
      each((end, peer) =>
        Effect.gen(function* () {
          Kernel.closeWithReset(yield* peer.take)
          if (isKnown) yield* Effect.flip(end.read(buffer))
          for (const way of ways) yield* end.shutdown(way)
        })
      )
    )
  }
})

live("a connection can be shut down again and again, also after its peer has closed", () =>
  Effect.gen(function* () {
    yield* eachEnd((end, peer) =>
      Effect.gen(function* () {
        yield* peer.close
        expect(yield* end.read(buffer)).toBe(0)
        for (const way of [...ways, ...ways]) yield* end.shutdown(way)
        yield* end.close
        expect((yield* Effect.flip(end.shutdown("both"))).reason._tag).toBe("Closed")
      })
    )
    const [one, other] = yield* Unix.socketPair
    yield* other.close
    for (const way of [...ways, ...ways]) yield* one.shutdown(way)
    expect(yield* one.remoteAddress).toEqual({ _tag: "UnixUnnamedAddress" })
  })
)

live("a connection that is taken over after its reset still fails with it", () =>
  eachEnd((end, peer) =>
    Effect.gen(function* () {
      const fd = yield* end.take
      Kernel.closeWithReset(yield* peer.take)
      const again = yield* Tcp.fromFd(fd)
      expect((yield* Effect.flip(again.read(buffer))).reason._tag).toBe("ConnectionReset")
    })
  )
)

it.live("the address of an accepted peer takes no further system call", () =>
  Effect.gen(function* () {
    const calls = yield* failingCalls("getpeername")
    yield* Effect.gen(function* () {
      const { client, server } = yield* pair
      expect(yield* server.remoteAddress).toEqual(yield* client.localAddress)
      expect(calls.count).toBe(0)
    }).pipe(Effect.scoped, Effect.provide(nextLayerEntries()[0]![1]()))
  }).pipe(Effect.scoped, leavesNothing)
)

it.live("an IPv6 peer is remembered, too", () =>
  Effect.gen(function* () {
    const listener = yield* Tcp.listen("[::1]:0")
    const client = yield* Tcp.connect(listener.address)
    const server = yield* listener.accept
    const remote = yield* client.localAddress
    Kernel.closeWithReset(yield* client.take)
    yield* Effect.flip(server.read(buffer))
    expect(yield* server.remoteAddress).toEqual(remote)
  }).pipe(Effect.scoped, Effect.provide(nextLayerEntries()[0]![1]()), leavesNothing)
)

const addressed = <A, R>(failing: Effect.Effect<A, PollerError.PollerError, R>, syscall: string, address: string) =>
  Effect.map(Effect.flip(failing), (error) => {
    expect(error.reason).toMatchObject({ syscall, address })
    expect(error.message).toContain(`${syscall} on ${address}: `)
  })

it.live("an error of setsockopt(2) or getsockname(2) names the address of its socket", () =>
  Effect.gen(function* () {
    const { ENOBUFS } = constants.errno
    const options = yield* failingCalls("setsockopt")
    const names = yield* failingCalls("getsockname")
    yield* Effect.gen(function* () {
      const { client, listener, server } = yield* pair
      const there = NetAddress.formatInet(listener.address)
      const here = NetAddress.formatInet(yield* client.localAddress)
      for (const [end, address] of [
        [client, there],
        [server, here]
      ] as const) {
        options.errnos.push(ENOBUFS)
        yield* addressed(end.setOptions({ noDelay: true }), "setsockopt", address)
        names.errnos.push(ENOBUFS)
        yield* addressed(end.localAddress, "getsockname", address)
      }
      const opening = [
        [Tcp.listen("127.0.0.1:0"), "127.0.0.1:0"],
        [Tcp.connect(there), there],
        [Tcp.connect("127.0.0.1:9", { localAddress: "127.0.0.1:0" }), "127.0.0.1:9"],
        [Udp.bind("127.0.0.1:0", { broadcast: true }), "127.0.0.1:0"],
        [Unix.listen("/none/at/all", { sendBufferSize: 5000 }), "/none/at/all"],
        [Unix.connect("/none/at/all", { sendBufferSize: 5000 }), "/none/at/all"]
      ] as ReadonlyArray<
        readonly [Effect.Effect<unknown, PollerError.PollerError, Registrar.Registrar | Scope.Scope>, string]
      >
      for (const [open, address] of opening) {
        options.errnos.push(ENOBUFS)
        yield* addressed(Effect.scoped(open), "setsockopt", address)
      }
      const socket = yield* Udp.bind("127.0.0.1:0")
      yield* socket.connect(there)
      options.errnos.push(ENOBUFS)
      yield* addressed(socket.setOptions({ broadcast: true }), "setsockopt", there)
    }).pipe(Effect.scoped, Effect.provide(nextLayerEntries()[0]![1]()))
  }).pipe(Effect.scoped, leavesNothing)
)

const refused = (
  fd: number,
  fromFd: (fd: number) => Effect.Effect<unknown, PollerError.PollerError, Registrar.Registrar | Scope.Scope>,
  advice: string
) =>
  Effect.gen(function* () {
    const mode = Kernel.isNonblocking(fd)
    const error = yield* Effect.flip(Effect.scoped(fromFd(fd)))
    expect(error.reason).toMatchObject({ _tag: "InvalidArgument", fd })
    expect(error.message).toContain(advice)
    expect(Kernel.isOpen(fd)).toBe(true)
    expect(Kernel.isNonblocking(fd)).toBe(mode)
  })

describe("a descriptor that is no connection is refused by `fromFd`, and stays as it was", () => {
  live("a listener", () =>
    Effect.gen(function* () {
      const tcp = yield* Tcp.listen("127.0.0.1:0")
      yield* refused(tcp.fd, Tcp.fromFd, "open a listener with Tcp.listen")
      const unix = yield* Unix.listen({ abstract: `from-fd-${process.pid}` })
      yield* refused(unix.fd, Unix.fromFd, "open a listener with Unix.listen")
      yield* refused(tcp.fd, Unix.fromFd, "pass a TCP socket to Tcp.fromFd")
      // Both go on as before.
      yield* Tcp.connect(tcp.address)
      yield* tcp.accept
    })
  )

  live("a socket of another kind", () =>
    Effect.gen(function* () {
      const { client } = yield* pair
      const [one] = yield* Unix.socketPair
      const udp = yield* Udp.bind("127.0.0.1:0")
      yield* refused(client.fd, Unix.fromFd, "pass a TCP socket to Tcp.fromFd")
      yield* refused(client.fd, Udp.fromFd, "pass a TCP socket to Tcp.fromFd")
      yield* refused(one.fd, Tcp.fromFd, "pass a Unix stream socket to Unix.fromFd")
      yield* refused(udp.fd, Tcp.fromFd, "pass a UDP socket to Udp.fromFd")
      // macOS has no such sockets.
      if (notLinux) return
      const [message, other] = Kernel.messagePair()
      yield* refused(message, Unix.fromFd, "watch another one with AsyncFd")
      yield* refused(message, Udp.fromFd, "watch another one with AsyncFd")
      Kernel.close(message)
      Kernel.close(other)
    })
  )

  live("a socket that is not connected", () =>
    Effect.gen(function* () {
      for (const [domain, fromFd] of [
        [2, Tcp.fromFd],
        [10, Tcp.fromFd],
        [1, Unix.fromFd]
      ] as const) {
        const fd = Kernel.unconnected(domain)
        yield* refused(fd, fromFd, "not connected")
        Kernel.close(fd)
      }
    })
  )

  live("a pipe, and a file", () =>
    Effect.gen(function* () {
      const [read, write] = Kernel.pipe()
      for (const fromFd of [Tcp.fromFd, Unix.fromFd, Udp.fromFd]) yield* refused(read, fromFd, "AsyncFd")
      Kernel.close(read)
      Kernel.close(write)
    })
  )
})
