/** UDP sockets, with sockets of `node:dgram` and with each other. */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Option, type Scope, Stream } from "effect"
import { type Poller, PollerError, Registrar, Udp } from "effect-amy"
import { NetAddress } from "effect/net"
import { constants, networkInterfaces } from "node:os"
import { WatchedFd } from "../../src/internal/descriptor/watchedFd.ts"
import { libc } from "../../src/internal/libc/koffi.ts"
import { DatagramChannel } from "../../src/internal/net/datagramChannel.ts"
import { encodeInet } from "../../src/internal/net/sockaddr.ts"
import { attachmentOf } from "../../src/internal/delivery/registrar.ts"
import * as Dgram from "../support/dgram.ts"
import * as Kernel from "../support/kernel.ts"
import { describeLayers } from "../support/layers.ts"
import { reported } from "../support/networkErrors.ts"
import { open } from "../support/opened.ts"
import { reasonOf } from "../support/outcome.ts"

const bytes = (text: string) => new TextEncoder().encode(text)
const text = ({ payload }: Udp.Datagram) => new TextDecoder().decode(payload)
const patterned = (length: number) => Uint8Array.from({ length }, (_, i) => (i * 7 + (i >> 8)) & 0xff)

/** Returns the address that a socket is bound to. */
const addressOf = ({ localAddress }: Udp.UdpSocket) => Effect.runSync(localAddress)

/** An address that no socket is bound to any more. */
const deserted = Effect.scoped(Effect.flatMap(Udp.bind("127.0.0.1:0"), ({ localAddress }) => localAddress))

const IPPROTO_UDPLITE = 136
/** Whether the kernel has sockets of datagrams that are not those of UDP. */
const hasUdpLite = ((): boolean => {
  if (process.platform !== "linux") return false
  const { functions, profile } = libc()
  const fd = functions.socket(profile.socket.AF_INET, profile.socket.SOCK_DGRAM, IPPROTO_UDPLITE)
  return fd !== -1 && functions.close(fd) === 0
})()

const families = { IPv4: "127.0.0.1", IPv6: "::1" }
const at = (host: string, port = 0) => ({ address: host, port })

const hasIpv6 = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === "::1"))

/**
 * Returns the interfaces that can have groups: the address, and for IPv6 the index. The loopback
 * one has no IPv6 groups.
 */
const outside = (wanted: "IPv4" | "IPv6") =>
  Object.values(networkInterfaces())
    .flatMap((all) => all ?? [])
    .map(({ address, family, internal, scopeid }) => ({ address, family, internal, index: scopeid ?? 0 }))
    .filter(({ family, internal }) => family === wanted && !internal)
const links = { IPv4: outside("IPv4"), IPv6: outside("IPv6") }
const indexOfLink = links.IPv6.find(({ index }) => index > 0)?.index
const hostOfLink = links.IPv6.find(({ index }) => index === 0)?.address

interface Where {
  readonly bind: string
  readonly group: string
  readonly interface: string | number | undefined
  readonly one: {
    readonly group: string
    readonly source: string | undefined
    readonly other: string
  }
}
const groups: { readonly [family: string]: Where } = {
  IPv4: {
    bind: "0.0.0.0",
    group: "239.83.7.1",
    interface: "127.0.0.1",
    one: { group: "232.83.7.2", source: "127.0.0.1", other: "127.9.9.9" }
  },
  IPv6: {
    bind: "::",
    group: "ff02::8371",
    interface: indexOfLink,
    one: { group: "ff32::8371", source: hostOfLink, other: "2001:db8::9" }
  }
}

const numbered = (i: number) => `${i}:${"x".repeat(i % 200)}`

/** Makes a channel on a socket, in which a test replaces one function of the C library. */
const channelWith = (socket: Udp.UdpSocket, name: "recvfrom" | "sendto", make: (real: () => number) => number) =>
  Effect.gen(function* () {
    const attachment = yield* attachmentOf(yield* Registrar.Registrar)
    const libc = attachment.libc!
    const real = libc.functions[name] as (...args: ReadonlyArray<unknown>) => number
    let errno = 0
    const functions: typeof libc.functions = Object.create(libc.functions, {
      [name]: {
        value: (...args: ReadonlyArray<unknown>) => {
          const result = make(() => real(...args))
          errno = result < 0 ? -result : 0
          return result < 0 ? -1 : result
        }
      }
    })
    const watchedFd = new WatchedFd(attachment, socket.fd)
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        const error = new PollerError.PollerError({ reason: new PollerError.Closed({}) })
        watchedFd.release(error)
        watchedFd.end(error)
      })
    )
    // As on a system that receives and sends one by one.
    const socketProfile = { ...libc.profile.socket, manyDatagrams: undefined }
    return new DatagramChannel(watchedFd, {
      ...libc,
      profile: { ...libc.profile, socket: socketProfile },
      functions,
      errno: () => (errno === 0 ? libc.errno() : errno)
    })
  })

describeLayers("Udp", (layer) => {
  const live = <E>(
    name: string,
    body: () => Effect.Effect<void, E, Poller.Poller | Registrar.Registrar | Scope.Scope>,
    skip = false
  ) => it.live.skipIf(skip)(name, () => body().pipe(Effect.scoped, Effect.provide(layer())))

  for (const [family, host] of Object.entries(families)) {
    describe(`with node:dgram over ${family}`, () => {
      const skip = family === "IPv6" && !hasIpv6
      live(
        "receives a datagram with the address of its sender, and responds to it",
        () =>
          Effect.gen(function* () {
            const socket = yield* Udp.bind(at(host))
            const peer = yield* Dgram.bind(host)
            peer.send("ping", addressOf(socket).port)
            const received = yield* socket.receive
            expect(text(received)).toBe("ping")
            expect(NetAddress.formatInet(received.address)).toBe(
              family === "IPv4" ? `127.0.0.1:${peer.port}` : `[::1]:${peer.port}`
            )
            expect(yield* socket.send(bytes("by datagram"), received)).toBe(11)
            expect(yield* socket.send(bytes("by address"), received.address)).toBe(10)
            expect(yield* socket.send(bytes("by address again"), received.address)).toBe(16)
            expect(yield* socket.send(bytes("by text"), NetAddress.formatInet(received.address))).toBe(7)
            const answers = yield* peer.receive(4)
            expect(answers.map(({ payload }) => payload.toString())).toEqual([
              "by datagram",
              "by address",
              "by address again",
              "by text"
            ])
            for (const { port, address } of answers) expect([address, port]).toEqual([host, addressOf(socket).port])
          }),
        skip
      )

      live(
        "the largest datagram arrives whole, a longer one is refused, and an empty one is a datagram",
        () =>
          Effect.gen(function* () {
            const largest = patterned(family === "IPv4" ? 65_507 : 65_527)
            const options = { receiveBufferSize: 1 << 20, sendBufferSize: 1 << 20 }
            const socket = yield* Udp.bind(at(host), options)
            const other = yield* Udp.bind(at(host), options)
            expect(yield* socket.send(largest, addressOf(other))).toBe(largest.length)
            expect(Buffer.compare((yield* other.receive).payload, largest)).toBe(0)
            const tooLong = yield* Effect.flip(socket.send(new Uint8Array(65_536), addressOf(other)))
            expect(tooLong.reason).toMatchObject({ _tag: "MessageTooLarge", code: "EMSGSIZE" })
            expect(yield* socket.send(new Uint8Array(0), addressOf(other))).toBe(0)
            expect(yield* socket.send(bytes("after"), addressOf(other))).toBe(5)
            expect((yield* other.receive).payload).toEqual(new Uint8Array(0))
            expect(text(yield* other.receive)).toBe("after")

            const peer = yield* Dgram.bind(host)
            yield* socket.send(largest, at(host, peer.port))
            const [received] = yield* peer.receive(1)
            expect(received!.payload.equals(largest)).toBe(true)
            peer.send("", addressOf(socket).port)
            expect((yield* socket.receive).payload.length).toBe(0)
          }),
        skip
      )

      live(
        "a connected socket sends without an address, receives from its peer alone, and can be disconnected",
        () =>
          Effect.gen(function* () {
            const socket = yield* Udp.bind(at(host))
            const peer = yield* Dgram.bind(host)
            const stranger = yield* Udp.bind(at(host))
            expect(yield* reasonOf(socket.send(bytes("where to?")))).toBe("NotConnected")
            yield* socket.connect(at(host, peer.port))
            yield* socket.send(bytes("hello"))
            expect((yield* peer.receive(1))[0]!.payload.toString()).toBe("hello")
            yield* stranger.send(bytes("psst"), addressOf(socket))
            peer.send("hi", addressOf(socket).port)
            expect(text(yield* socket.receive)).toBe("hi")

            yield* socket.disconnect
            expect(yield* reasonOf(socket.send(bytes("where to?")))).toBe("NotConnected")
            yield* stranger.send(bytes("at last"), addressOf(socket))
            const received = yield* socket.receive
            expect([text(received), received.address.port]).toEqual(["at last", addressOf(stranger).port])
          }),
        skip
      )
    })
  }

  describe("many datagrams", () => {
    live("each arrives once, unchanged", () =>
      Effect.gen(function* () {
        const total = 5000
        const window = 100
        const socket = yield* Udp.bind("127.0.0.1:0", { receiveBufferSize: 1 << 20 })
        const peer = yield* Dgram.bind("127.0.0.1")
        // The sender waits for each hundred to arrive, so that no buffer overflows.
        const send = (first: number) => {
          for (let i = first; i < Math.min(first + window, total); i++) peer.send(numbered(i), addressOf(socket).port)
        }
        send(0)
        const received: Array<string> = []
        let chunks = 0
        yield* socket.stream.pipe(
          Stream.chunks,
          Stream.takeUntil((chunk) => {
            chunks++
            expect(chunk.length).toBeLessThanOrEqual(64)
            for (const one of chunk) {
              received.push(text(one))
              if (received.length % window === 0) send(received.length)
            }
            return received.length === total
          }),
          Stream.runDrain
        )
        const inOrder = received.toSorted((a, b) => Number.parseInt(a) - Number.parseInt(b))
        expect(inOrder).toEqual(Array.from({ length: total }, (_, i) => numbered(i)))
        expect(chunks).toBeLessThanOrEqual(total)
      })
    )

    live("several fibers that receive get one each", () =>
      Effect.gen(function* () {
        const socket = yield* Udp.bind("127.0.0.1:0")
        const sender = yield* Udp.bind("127.0.0.1:0")
        const receiving = yield* Effect.forkScoped(
          Effect.all(
            Array.from({ length: 10 }, () => socket.receive),
            { concurrency: "unbounded" }
          ),
          { startImmediately: true }
        )
        for (let i = 0; i < 10; i++) yield* sender.send(bytes(String(i)), addressOf(socket))
        const received = (yield* Fiber.join(receiving)).map(text)
        expect(received.toSorted()).toEqual(Array.from({ length: 10 }, (_, i) => String(i)))
      })
    )

    live("receiveMany returns up to 64 datagrams, each with its own payload and sender", () =>
      Effect.gen(function* () {
        const socket = yield* Udp.bind("127.0.0.1:0")
        const senders = yield* Effect.all([Udp.bind("127.0.0.1:0"), Udp.bind("127.0.0.1:0")])
        for (let i = 0; i < 140; i++) yield* senders[i % 2]!.send(bytes(String(i)), addressOf(socket))
        const batches: Array<ReadonlyArray<Udp.Datagram>> = []
        while (batches.flat().length < 140) batches.push(yield* socket.receiveMany)
        for (const batch of batches) expect(batch.length).toBeLessThanOrEqual(64)
        const received = batches.flat().toSorted((a, b) => Number(text(a)) - Number(text(b)))
        expect(received.map((one) => [text(one), one.address.port])).toEqual(
          Array.from({ length: 140 }, (_, i) => [String(i), addressOf(senders[i % 2]!).port])
        )
      })
    )
  })

  describe("without waiting", () => {
    live("tryReceive returns none until a datagram has arrived", () =>
      Effect.gen(function* () {
        const socket = yield* Udp.bind("127.0.0.1:0")
        const sender = yield* Udp.bind("127.0.0.1:0")
        expect(Option.isNone(yield* socket.tryReceive)).toBe(true)
        yield* sender.send(bytes("first"), addressOf(socket))
        yield* sender.send(bytes("second"), addressOf(socket))
        expect(Option.map(yield* socket.tryReceive, text)).toEqual(Option.some("first"))
        expect(text(yield* socket.receive)).toBe("second")
        expect(Option.isNone(yield* socket.tryReceive)).toBe(true)
      })
    )

    live("tryReceive takes nothing that a fiber waits for", () =>
      Effect.gen(function* () {
        const socket = yield* Udp.bind("127.0.0.1:0")
        const waiting = yield* Effect.forkScoped(socket.receive, { startImmediately: true })
        yield* (yield* Udp.bind("127.0.0.1:0")).send(bytes("hello"), addressOf(socket))
        expect(Option.isNone(yield* socket.tryReceive)).toBe(true)
        expect(text(yield* Fiber.join(waiting))).toBe("hello")
      })
    )

    live("trySend sends at once", () =>
      Effect.gen(function* () {
        const socket = yield* Udp.bind("127.0.0.1:0")
        const sender = yield* Udp.bind("127.0.0.1:0")
        expect(yield* sender.trySend(bytes("hello"), addressOf(socket))).toEqual(Option.some(5))
        const received = yield* socket.receive
        expect(yield* socket.trySend(bytes("hi"), received)).toEqual(Option.some(2))
        expect(text(yield* sender.receive)).toBe("hi")
        expect(yield* reasonOf(sender.trySend(bytes("where to?")))).toBe("NotConnected")
        expect(yield* reasonOf(sender.trySend(bytes("x"), "nowhere"))).toBe("InvalidArgument")
      })
    )

    live("trySend returns none where send waits for room", () =>
      Effect.gen(function* () {
        const socket = yield* Udp.bind("127.0.0.1:0")
        const sender = yield* Udp.bind("127.0.0.1:0")
        const results = [-constants.errno.EAGAIN]
        const channel = yield* channelWith(sender, "sendto", (real) => results.shift() ?? real())
        const to = encodeInet((yield* attachmentOf(yield* Registrar.Registrar)).libc!.profile.socket, addressOf(socket))
        expect(Option.isNone(yield* channel.trySendUnsafe(bytes("no room"), to))).toBe(true)
        expect(yield* channel.trySendUnsafe(bytes("room"), to)).toEqual(Option.some(4))
        expect(text(yield* socket.receive)).toBe("room")
      })
    )
  })

  describe("rare results of the kernel", () => {
    live("send waits while there is no room, and tries again", () =>
      Effect.gen(function* () {
        const socket = yield* Udp.bind("127.0.0.1:0")
        const sender = yield* Udp.bind("127.0.0.1:0")
        const answers = [-constants.errno.EINTR, -constants.errno.EAGAIN]
        const channel = yield* channelWith(sender, "sendto", (real) => answers.shift() ?? real())
        const to = encodeInet((yield* attachmentOf(yield* Registrar.Registrar)).libc!.profile.socket, addressOf(socket))
        expect(yield* channel.sendUnsafe(bytes("patience"), to)).toBe(8)
        expect(answers).toEqual([])
        expect(text(yield* socket.receive)).toBe("patience")
      })
    )

    live("an error between datagrams is returned once, after the datagrams that came before it", () =>
      Effect.gen(function* () {
        const socket = yield* Udp.bind("127.0.0.1:0")
        const sender = yield* Udp.bind("127.0.0.1:0")
        let calls = 0
        const channel = yield* channelWith(socket, "recvfrom", (real) =>
          ++calls === 2 ? -constants.errno.ECONNREFUSED : real()
        )
        yield* sender.send(bytes("before"), addressOf(socket))
        expect((yield* channel.receiveMany).map(text)).toEqual(["before"])
        expect(yield* reasonOf(channel.receiveMany)).toBe("ConnectionRefused")
        yield* sender.send(bytes("after"), addressOf(socket))
        expect((yield* channel.receiveMany).map(text)).toEqual(["after"])
      })
    )
  })

  describe("an error that the network reports to a connected socket", () => {
    live("fails the next fiber that receives, waiting or not, and the socket goes on", () =>
      Effect.gen(function* () {
        const socket = yield* Udp.bind("127.0.0.1:0")
        yield* socket.connect(yield* deserted)
        const waiting = yield* Effect.forkScoped(reasonOf(socket.receive), { startImmediately: true })
        yield* socket.send(bytes("anyone?"))
        expect(yield* Fiber.join(waiting)).toBe("ConnectionRefused")
        yield* socket.send(bytes("really?"))
        expect(yield* reasonOf(socket.receiveMany)).toBe("ConnectionRefused")

        const peer = yield* Udp.bind("127.0.0.1:0")
        yield* socket.connect(addressOf(peer))
        yield* socket.send(bytes("you"))
        yield* peer.send(bytes("me"), yield* peer.receive)
        expect(text(yield* socket.receive)).toBe("me")
      })
    )

    live("fails the next fiber that sends", () =>
      Effect.gen(function* () {
        const socket = yield* Udp.bind("127.0.0.1:0")
        yield* socket.connect(yield* deserted)
        yield* socket.send(bytes("anyone?"))
        yield* reported(socket)
        expect(yield* reasonOf(socket.send(bytes("really?")))).toBe("ConnectionRefused")
      })
    )

    live("loses no datagram that came before it", () =>
      Effect.gen(function* () {
        const socket = yield* Udp.bind("127.0.0.1:0")
        const other = yield* Udp.bind("127.0.0.1:0")
        yield* socket.connect(addressOf(other))
        yield* other.send(bytes("last words"), addressOf(socket))
        yield* other.close
        yield* socket.send(bytes("still there?"))
        yield* reported(socket)
        expect(yield* reasonOf(socket.receiveMany)).toBe("ConnectionRefused")
        expect((yield* socket.receiveMany).map(text)).toEqual(["last words"])
      })
    )
  })

  describe("groups", () => {
    for (const [family, { bind, group, interface: link, one }] of Object.entries(groups)) {
      live(
        `${family}: datagrams to a group arrive while the scope is open`,
        () =>
          Effect.gen(function* () {
            const member = yield* Udp.bind(at(bind))
            // With a ttl of 0, the datagrams stay on this machine.
            const sender = yield* Udp.bind(at(bind), { multicastInterface: link!, multicastTtl: 0 })
            const to = at(group, addressOf(member).port)
            const join = member.joinMulticast({ group, interface: link! })
            yield* Effect.scoped(
              Effect.gen(function* () {
                yield* join
                expect(yield* reasonOf(Effect.scoped(join))).toBe("AddressInUse")
                yield* sender.send(bytes("to all"), to)
                const received = yield* member.receive
                expect([text(received), received.address.port]).toEqual(["to all", addressOf(sender).port])
              })
            )
            yield* sender.send(bytes("to nobody"), to)
            yield* sender.send(bytes("to you"), at(families[family as "IPv4"], addressOf(member).port))
            expect(text(yield* member.receive)).toBe("to you")
          }),
        link === undefined
      )

      live(
        `${family}: a group of one source receives from that source alone`,
        () =>
          Effect.gen(function* () {
            const member = yield* Udp.bind(at(bind))
            const sender = yield* Udp.bind(at(one.source!), { multicastInterface: link!, multicastTtl: 0 })
            const to = at(one.group, addressOf(member).port)
            yield* Effect.scoped(
              Effect.gen(function* () {
                yield* member.joinMulticast({ group: one.group, interface: link!, source: one.other })
                yield* sender.send(bytes("not for you"), to)
              })
            )
            yield* member.joinMulticast({ group: one.group, interface: link!, source: one.source! })
            yield* sender.send(bytes("for you"), to)
            expect(text(yield* member.receive)).toBe("for you")
          }),
        link === undefined || one.source === undefined
      )
    }

    const [link] = links.IPv4
    live(
      "without loopback, this machine does not receive its own datagrams",
      () =>
        Effect.gen(function* () {
          const { group } = groups["IPv4"]!
          const member = yield* Udp.bind("0.0.0.0:0")
          const sender = yield* Udp.bind("0.0.0.0:0", { multicastInterface: link!.address, multicastTtl: 0 })
          yield* member.joinMulticast({ group, interface: link!.address })
          yield* sender.setOptions({ multicastLoopback: false })
          yield* sender.send(bytes("unheard"), at(group, addressOf(member).port))
          yield* sender.setOptions({ multicastLoopback: true })
          yield* sender.send(bytes("heard"), at(group, addressOf(member).port))
          expect(text(yield* member.receive)).toBe("heard")
        }),
      link === undefined
    )
  })

  describe("options", () => {
    live("a broadcast needs the option", () =>
      Effect.gen(function* () {
        const socket = yield* Udp.bind("127.0.0.1:0")
        const receiver = yield* Udp.bind("0.0.0.0:0")
        const everybody = at("127.255.255.255", addressOf(receiver).port)
        expect(yield* reasonOf(socket.send(bytes("all"), everybody))).toBe("PermissionDenied")
        yield* socket.setOptions({ broadcast: true })
        yield* socket.send(bytes("all"), everybody)
        expect(text(yield* receiver.receive)).toBe("all")
        yield* socket.setOptions({ broadcast: false })
        expect(yield* reasonOf(socket.send(bytes("all"), everybody))).toBe("PermissionDenied")
      })
    )

    live("sockets share a port only if all of them have the option", () =>
      Effect.gen(function* () {
        for (const option of ["reuseAddress", "reusePort"] as const) {
          const first = yield* Udp.bind("127.0.0.1:0", { [option]: true })
          const second = yield* Udp.bind(addressOf(first), { [option]: true })
          expect(addressOf(second)).toEqual(addressOf(first))
          expect(yield* reasonOf(Udp.bind(addressOf(first)))).toBe("AddressInUse")
        }
      })
    )

    live(
      "a socket at an IPv6 address receives from and sends to IPv4, unless it is ipv6Only",
      () =>
        Effect.gen(function* () {
          const both = yield* Udp.bind("[::]:0")
          const four = yield* Udp.bind("127.0.0.1:0")
          yield* four.send(bytes("four"), at("127.0.0.1", addressOf(both).port))
          const received = yield* both.receive
          expect([text(received), received.address.port]).toEqual(["four", addressOf(four).port])
          yield* both.send(bytes("by datagram"), received)
          yield* both.send(bytes("by address"), addressOf(four))
          expect([text(yield* four.receive), text(yield* four.receive)]).toEqual(["by datagram", "by address"])
          const only = yield* Udp.bind("[::]:0", { ipv6Only: true })
          expect(yield* reasonOf(only.send(bytes("four"), addressOf(four)))).toBe("InvalidArgument")
          const shared = yield* Udp.bind(at("0.0.0.0", addressOf(only).port))
          yield* four.send(bytes("mine"), at("127.0.0.1", addressOf(only).port))
          expect(text(yield* shared.receive)).toBe("mine")
        }),
      !hasIpv6
    )
  })

  describe("promise 12: invalid input fails with its reason, and leaves nothing open", () => {
    live("an invalid address or option", () =>
      Effect.gen(function* () {
        const before = Kernel.openDescriptors().size
        const refused = {
          "a name": Udp.bind("localhost:0"),
          "no port": Udp.bind("127.0.0.1"),
          "a port out of range": Udp.bind(at("127.0.0.1", 65_536)),
          "a ttl of 0": Udp.bind("127.0.0.1:0", { ttl: 0 }),
          "a ttl of 256": Udp.bind("[::1]:0", { ttl: 256 }),
          "a ttl of 1.5": Udp.bind("127.0.0.1:0", { ttl: 1.5 }),
          "a multicast ttl of -1": Udp.bind("127.0.0.1:0", { multicastTtl: -1 }),
          "a multicast ttl of NaN": Udp.bind("127.0.0.1:0", { multicastTtl: Number.NaN }),
          "a buffer of 0": Udp.bind("127.0.0.1:0", { sendBufferSize: 0 }),
          "a buffer of 2^31": Udp.bind("127.0.0.1:0", { receiveBufferSize: 2 ** 31 }),
          "an index for IPv4": Udp.bind("127.0.0.1:0", { multicastInterface: 1 }),
          "an address for IPv6": Udp.bind("[::1]:0", { multicastInterface: "127.0.0.1" }),
          "an invalid interface": Udp.bind("127.0.0.1:0", { multicastInterface: "nonsense" })
        }
        for (const [what, effect] of Object.entries(refused)) {
          expect([what, yield* reasonOf(effect)]).toEqual([what, "InvalidArgument"])
        }
        // An address of the network for documentation: no machine has it.
        expect(yield* reasonOf(Udp.bind("198.51.100.77:0"))).toBe("AddressNotAvailable")
        const taken = yield* Udp.bind("127.0.0.1:0")
        expect(yield* reasonOf(Udp.bind(addressOf(taken)))).toBe("AddressInUse")
        expect(Kernel.openDescriptors().size).toBe(before + 1)
      })
    )

    live("an invalid payload or destination", () =>
      Effect.gen(function* () {
        const socket = yield* Udp.bind("127.0.0.1:0")
        const target = yield* Udp.bind("127.0.0.1:0")
        const send = (payload: unknown, to: unknown) =>
          reasonOf(socket.send(payload as Uint8Array, to as NetAddress.InetAddressInput))
        expect(yield* send("text", addressOf(target))).toBe("InvalidArgument")
        expect(yield* send(undefined, addressOf(target))).toBe("InvalidArgument")
        expect(yield* send(bytes("x"), "localhost:1")).toBe("InvalidArgument")
        expect(yield* send(bytes("x"), "127.0.0.1:0")).toBe("InvalidArgument")
        expect(yield* send(bytes("x"), "[::1]:1")).toBe("InvalidArgument")
        expect(yield* reasonOf(socket.connect("[::1]:1"))).toBe("InvalidArgument")
        expect(yield* reasonOf(socket.connect("nowhere"))).toBe("InvalidArgument")
        expect(yield* reasonOf(socket.connect("127.0.0.1:0"))).toBe("InvalidArgument")
        // The socket remains usable.
        yield* socket.send(bytes("x"), addressOf(target))
        expect(text(yield* target.receive)).toBe("x")
      })
    )

    live("an invalid group", () =>
      Effect.gen(function* () {
        const four = yield* Udp.bind("127.0.0.1:0")
        const join = (options: Udp.JoinMulticastOptions) => Effect.scoped(reasonOf(four.joinMulticast(options)))
        expect(yield* join(undefined as never)).toBe("InvalidArgument")
        expect(yield* join({ group: undefined as never })).toBe("InvalidArgument")
        expect(yield* join({ group: "127.0.0.1" })).toBe("InvalidArgument")
        expect(yield* join({ group: "nonsense" })).toBe("InvalidArgument")
        expect(yield* join({ group: "ff02::1" })).toBe("InvalidArgument")
        expect(yield* join({ group: "239.0.0.1", interface: 1 })).toBe("InvalidArgument")
        expect(yield* join({ group: "239.0.0.1", interface: "::1" as string })).toBe("InvalidArgument")
        expect(yield* join({ group: "239.0.0.1", source: "::1" })).toBe("InvalidArgument")
        expect(yield* join({ group: "239.0.0.1", source: "nonsense" })).toBe("InvalidArgument")
      })
    )

    const widened = "a connected socket that was taken over has its wide address again once it is disconnected"
    it.live.skipIf(process.platform !== "linux")(widened, () =>
      Effect.gen(function* () {
        const peer = yield* Udp.bind("127.0.0.1:0")
        const first = yield* Udp.bind("0.0.0.0:0")
        const { port } = yield* first.localAddress
        yield* first.connect(addressOf(peer))
        const socket = yield* Udp.fromFd(yield* first.take)
        expect(String(yield* socket.localAddress)).toBe(`127.0.0.1:${port}`)
        yield* socket.disconnect
        expect(String(yield* socket.localAddress)).toBe(`0.0.0.0:${port}`)
      }).pipe(Effect.scoped, Effect.provide(layer()))
    )

    live(
      "fromFd refuses datagrams of another protocol",
      () =>
        Effect.gen(function* () {
          const { functions, profile } = (yield* attachmentOf(yield* Registrar.Registrar)).libc!
          const { AF_INET, SOCK_DGRAM } = profile.socket
          const fd = functions.socket(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE)
          const error = yield* Effect.flip(Udp.fromFd(fd))
          Kernel.close(fd)
          expect(error.reason).toMatchObject({ _tag: "InvalidArgument", fd })
          expect(error.message).toContain("expected a UDP socket")
        }),
      !hasUdpLite
    )

    live("fromFd refuses other descriptors, and leaves them to their owner", () =>
      Effect.gen(function* () {
        const [reading, writing] = Kernel.pipe()
        const [left, right] = Kernel.socketPair()
        const listener = Kernel.listen()
        for (const fd of [reading, left, listener.fd, -2, 1.5]) {
          expect([fd, yield* reasonOf(Udp.fromFd(fd))]).toEqual([fd, fd === -2 ? "BadDescriptor" : "InvalidArgument"])
        }
        for (const fd of [reading, writing, left, right, listener.fd]) Kernel.close(fd)
        expect(yield* reasonOf(Udp.fromFd(reading))).toBe("BadDescriptor")
      })
    )
  })

  describe("promise 13: interruption leaves nothing behind", () => {
    live("no waiter stays in line, and no datagram is lost", () =>
      Effect.gen(function* () {
        const socket = yield* Udp.bind("127.0.0.1:0")
        const sender = yield* Udp.bind("127.0.0.1:0")
        for (let round = 0; round < 20; round++) {
          const waiting = yield* Effect.forkScoped(socket.receive, { startImmediately: true })
          const other = yield* Effect.forkScoped(socket.receiveMany, { startImmediately: true })
          yield* Fiber.interrupt(waiting)
          if (round % 2 === 0) yield* sender.send(bytes(`early ${round}`), addressOf(socket))
          yield* Fiber.interrupt(other)
          const late = yield* Effect.forkScoped(socket.receive, { startImmediately: true })
          if (round % 2 === 1) yield* sender.send(bytes(`late ${round}`), addressOf(socket))
          const exit = yield* Fiber.await(other)
          // Either the fiber was interrupted or it got the datagram, which is never lost.
          if (exit._tag === "Success") {
            expect(exit.value.map(text)).toEqual([`early ${round}`])
            yield* Fiber.interrupt(late)
          } else {
            expect(text(yield* Fiber.join(late))).toBe(`${round % 2 === 0 ? "early" : "late"} ${round}`)
          }
        }
      })
    )
  })

  describe("closing", () => {
    live("fails the fibers that wait, and every later operation, with Closed", () =>
      Effect.gen(function* () {
        const socket = yield* Udp.bind("127.0.0.1:0")
        const address = addressOf(socket)
        const waiting = yield* Effect.forkScoped(
          Effect.all(
            [reasonOf(socket.receive), reasonOf(socket.receiveMany), reasonOf(Stream.runDrain(socket.stream))],
            {
              concurrency: "unbounded"
            }
          ),
          { startImmediately: true }
        )
        yield* socket.close
        expect(yield* Fiber.join(waiting)).toEqual(["Closed", "Closed", "Closed"])
        expect(socket.fd).toBe(-1)
        const later: ReadonlyArray<Effect.Effect<unknown, PollerError.PollerError>> = [
          socket.receive,
          socket.receiveMany,
          socket.tryReceive,
          socket.trySend(bytes("x"), address),
          socket.send(bytes("x"), address),
          socket.send(bytes("x")),
          socket.sendMany([{ payload: bytes("x"), address }]),
          socket.connect(address),
          socket.disconnect,
          socket.setOptions({ ttl: 1 }),
          Effect.scoped(socket.joinMulticast({ group: "239.0.0.1" })),
          socket.close,
          socket.take
        ]
        for (const effect of later) expect(yield* reasonOf(effect)).toBe("Closed")
        // The port is free again.
        yield* Udp.bind(address)
      })
    )

    it.live("promise 8: closing the poller does so as well, and the scope closes the descriptor", () =>
      Effect.gen(function* () {
        const { close, registrar } = yield* open(layer())
        yield* Effect.scoped(
          Effect.gen(function* () {
            const socket = yield* Udp.bind("127.0.0.1:0")
            const waiting = yield* Effect.forkScoped(reasonOf(socket.receive), { startImmediately: true })
            yield* close
            expect(yield* Fiber.join(waiting)).toBe("Closed")
            expect(yield* reasonOf(socket.receive)).toBe("Closed")
            expect(Kernel.isOpen(socket.fd)).toBe(true)
            const { fd } = socket
            yield* Effect.addFinalizer(() => Effect.sync(() => expect(Kernel.isOpen(fd)).toBe(true)))
          })
        ).pipe(Effect.provideService(Registrar.Registrar, registrar))
      }).pipe(Effect.scoped)
    )

    live("the scope closes a socket and leaves its groups; a socket that was given away stays open", () =>
      Effect.gen(function* () {
        const before = Kernel.openDescriptors()
        const taken = yield* Effect.scoped(
          Effect.gen(function* () {
            const socket = yield* Udp.bind("0.0.0.0:0")
            yield* socket.joinMulticast({ group: "239.83.7.1", interface: "127.0.0.1" })
            yield* Effect.forkScoped(Stream.runDrain(socket.stream), { startImmediately: true })
            expect(Kernel.isCloseOnExec(socket.fd)).toBe(true)
            expect(Kernel.isNonblocking(socket.fd)).toBe(true)
            const other = yield* Udp.bind("127.0.0.1:0")
            return yield* other.take
          })
        )
        expect([...Kernel.openDescriptors().keys()].filter((fd) => !before.has(fd))).toEqual([taken])
        yield* Effect.scoped(
          Effect.gen(function* () {
            const again = yield* Udp.fromFd(taken)
            yield* again.send(bytes("to myself"), addressOf(again))
            expect(text(yield* again.receive)).toBe("to myself")
          })
        )
        expect(Kernel.isOpen(taken)).toBe(false)
      })
    )
  })
})
