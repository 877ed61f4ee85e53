/** Addresses of the other family, and IPv6 addresses with the name of an interface as their zone. */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { type Poller, type PollerError, PollerSocket, type Registrar, Tcp, Udp } from "effect-amy"
import * as NetAddress from "effect/net/NetAddress"
import type * as Scope from "effect/Scope"
import { nextLayerEntries } from "../support/layers.ts"
import { bytesOf, hasIpv6, leavesNothing } from "./tcp/support.ts"

const loopback = process.platform === "linux" ? "lo" : "lo0"

const live = (
  name: string,
  body: () => Effect.Effect<void, unknown, Poller.Poller | Registrar.Registrar | Scope.Scope>
) =>
  it.live.skipIf(!hasIpv6)(name, () =>
    leavesNothing(Effect.suspend(body).pipe(Effect.scoped, Effect.provide(nextLayerEntries()[0]![1]())))
  )

const reason = <A, R>(failing: Effect.Effect<A, PollerError.PollerError, R>) =>
  Effect.map(Effect.flip(failing), (error) => error.reason)

const connect = (to: string, localAddress: string) => reason(Tcp.connect(to, { localAddress }))

const wrong = (address: string) => ({ _tag: "InvalidArgument", code: "EAFNOSUPPORT", address })

describe("an address of the other family is an invalid argument", () => {
  live("where a datagram is sent, and where a socket connects", () =>
    Effect.gen(function* () {
      const sockets = [
        [yield* Udp.bind("127.0.0.1:0"), "[::1]:9"],
        [yield* Udp.bind("[::1]:0"), "127.0.0.1:9"],
        [yield* Udp.bind("[::]:0", { ipv6Only: true }), "127.0.0.1:9"],
        [yield* Udp.fromFd(yield* (yield* Udp.bind("[::]:0", { ipv6Only: true })).take), "127.0.0.1:9"],
        [yield* Udp.bind("[::]:0", { ipv6Only: true }), "[::ffff:127.0.0.1]:9"]
      ] as const
      for (const [socket, address] of sockets) {
        expect(yield* reason(socket.send(bytesOf("x"), address))).toMatchObject(wrong(address))
        expect(yield* reason(socket.trySend(bytesOf("x"), address))).toMatchObject(wrong(address))
        expect(yield* reason(socket.connect(address))).toMatchObject(wrong(address))
      }
    })
  )

  live("as the sender of a datagram that a socket of both families has received", () =>
    Effect.gen(function* () {
      const both = yield* Udp.bind("[::]:0")
      const four = yield* Udp.bind("127.0.0.1:0")
      yield* four.send(bytesOf("question"), `127.0.0.1:${(yield* both.localAddress).port}`)
      const question = yield* both.receive
      const refused = wrong(`[::ffff:127.0.0.1]:${(yield* four.localAddress).port}`)
      for (const only of [yield* Udp.bind("[::]:0", { ipv6Only: true }), yield* Udp.bind("[::1]:0")]) {
        expect(yield* reason(only.send(bytesOf("x"), question))).toMatchObject(refused)
        // None is sent, because one of them is invalid.
        const many = only.sendMany([{ payload: bytesOf("x"), address: "[::1]:9" }, question])
        const error = yield* Effect.flip(many)
        expect({ ...error.reason }).toMatchObject(refused)
        expect(error.unsent).toBeUndefined()
      }
      // A socket that reaches both sends there.
      yield* both.send(bytesOf("reply"), question)
      expect(new TextDecoder().decode((yield* four.receive).payload)).toBe("reply")
    })
  )

  live("as the local address of a connection", () =>
    Effect.gen(function* () {
      expect(yield* connect("127.0.0.1:9", "[::1]:0")).toMatchObject(wrong("[::1]:0"))
      expect(yield* connect("127.0.0.1:9", "[::]:0")).toMatchObject(wrong("[::]:0"))
      expect(yield* connect("[::1]:9", "127.0.0.1:0")).toMatchObject(wrong("127.0.0.1:0"))
    })
  )
})

live("an IPv4 address is sent to in the form that the socket takes", () =>
  Effect.gen(function* () {
    const four = yield* Udp.bind("127.0.0.1:0")
    const { port } = yield* four.localAddress
    const both = yield* Udp.bind("[::]:0")
    yield* both.send(bytesOf("to IPv4"), `127.0.0.1:${port}`)
    const question = yield* four.receive
    // An IPv4 socket takes the IPv4 address that an IPv4-mapped one stands for.
    yield* four.send(bytesOf("mapped"), `[::ffff:127.0.0.1]:${question.address.port}`)
    const response = yield* both.receive
    expect(new TextDecoder().decode(response.payload)).toBe("mapped")
    // A datagram names its sender also for a socket of the other family.
    const other = yield* Udp.bind("127.0.0.1:0")
    yield* other.send(bytesOf("passed on"), response)
    expect(new TextDecoder().decode((yield* four.receive).payload)).toBe("passed on")
    const listener = yield* Tcp.listen("127.0.0.1:0")
    const mapped = `[::ffff:127.0.0.1]:${listener.address.port}`
    yield* Tcp.connect(mapped, { localAddress: "127.0.0.1:0" })
    yield* Tcp.connect(mapped, { localAddress: "[::]:0" })
    yield* Tcp.connect(listener.address, { localAddress: "[::ffff:127.0.0.1]:0" })
  })
)

live("the local address of a connected socket is the one that it sends from", () =>
  Effect.gen(function* () {
    const peer = yield* Udp.bind("127.0.0.1:0")
    const socket = yield* Udp.bind("0.0.0.0:0")
    yield* socket.connect(yield* peer.localAddress)
    expect(NetAddress.formatHost(yield* socket.localAddress)).toBe("127.0.0.1")
    yield* socket.disconnect
    expect(NetAddress.formatHost(yield* socket.localAddress)).toBe("0.0.0.0")
  })
)

describe("the name of an interface as a zone", () => {
  live("stands for its index, and round-trips when it is printed", () =>
    Effect.gen(function* () {
      const listener = yield* Tcp.listen(`[::1%${loopback}]:0`)
      const { port } = listener.address
      yield* Tcp.connect(`[::1%${loopback}]:${port}`, { localAddress: `[::1%${loopback}]:0` })
      yield* Tcp.connect({ address: `::1%${loopback}`, port } as never)
      const socket = yield* Udp.bind(`[::1%${loopback}]:0`)
      yield* socket.connect(`[::1%${loopback}]:${port}`)
      const sender = yield* Udp.bind("[::]:0")
      // No interface has this address: what the kernel refuses names it with the index.
      const { address } = (yield* reason(Udp.bind(`[fe80::1234:5678%${loopback}]:0`))) as { address: string }
      expect(address).toMatch(/^\[fe80::1234:5678%\d+\]:0$/)
      expect(yield* reason(Udp.bind(address))).toMatchObject({ address })
      const scoped = NetAddress.inetAddressFromStringUnsafe(address)
      expect(NetAddress.formatInet(scoped)).toBe(address)
      expect(Option.isSome(yield* sender.trySend(bytesOf("x"), yield* socket.localAddress))).toBe(true)
    })
  )

  live("is refused by its name if there is no such interface", () =>
    Effect.gen(function* () {
      const address = "[fe80::1%none0]:80"
      const socket = yield* Udp.bind("[::]:0")
      for (const failing of [
        Tcp.listen(address),
        Tcp.connect(address),
        Tcp.connect("[::1]:9", { localAddress: address }),
        Udp.bind(address),
        socket.send(bytesOf("x"), address),
        socket.connect(address)
      ]) {
        const error = yield* Effect.flip(failing as Effect.Effect<unknown, PollerError.PollerError, never>)
        expect(error.reason._tag).toBe("InvalidArgument")
        expect(error.message).toContain('no network interface "none0"')
      }
    })
  )

  live("is taken in the host of a PollerSocket", () =>
    Effect.gen(function* () {
      const { port } = (yield* Tcp.listen("[::1]:0")).address
      const socket = yield* PollerSocket.make({ host: `::1%${loopback}`, port })
      yield* Effect.scoped(socket.reader)
    })
  )
})
