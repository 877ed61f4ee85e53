/**
 * `PollerDatagramSocket` in place of `NodeDatagramSocket`: the same programs run on both, with the
 * same outcome. Tests of the differences follow.
 */
import { NodeDatagramSocket } from "@effect/platform-node"
import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { PollerDatagramSocket, Registrar, Udp } from "effect-amy"
import { AddressResolver, Dns, NetAddress } from "effect/net"
import { DatagramSocket } from "effect/socket"
import { constants, networkInterfaces } from "node:os"
import * as Dgram from "../support/dgram.ts"
import { failingCalls } from "../support/failingCalls.ts"
import * as Kernel from "../support/kernel.ts"
import { nextLayerEntries, type PollerLayer } from "../support/layers.ts"
import { open } from "../support/opened.ts"

type Make = (
  options?: PollerDatagramSocket.MakeOptions
) => Effect.Effect<DatagramSocket.DatagramSocket, never, Registrar.Registrar>

interface Implementation {
  readonly make: Make
  readonly layer: PollerLayer | undefined
}

const implementations: { readonly [name: string]: Implementation } = {
  NodeDatagramSocket: { make: NodeDatagramSocket.make, layer: undefined },
  ...Object.fromEntries(
    nextLayerEntries().map(([name, layer]) => [
      `PollerDatagramSocket on ${name}`,
      { make: PollerDatagramSocket.make, layer: layer() }
    ])
  )
}

const text = ({ payload }: DatagramSocket.Datagram) => new TextDecoder().decode(payload)
const ip = NetAddress.ipFromStringUnsafe
const patterned = (length: number) => Uint8Array.from({ length }, (_, i) => (i * 7 + (i >> 8)) & 0xff)
const hasMany = process.platform === "linux"
const hasIpv6 = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === "::1"))

/** Opens the reader and the writer of a service. */
const opened = (make: Make, options?: PollerDatagramSocket.MakeOptions) =>
  Effect.gen(function* () {
    const socket = yield* make(options)
    const reader = yield* socket.reader
    return { reader, writer: yield* socket.writer, port: reader.address.port, address: reader.address }
  })

/** Returns the reason of a failure, and its kind. */
const failureOf = <A, R>(effect: Effect.Effect<A, DatagramSocket.DatagramSocketError, R>) =>
  Effect.map(Effect.flip(effect), ({ reason }) => ("kind" in reason ? `${reason._tag} ${reason.kind}` : reason._tag))

/** Pulls a number of datagrams, however many each pull returns. */
const pullMany = (reader: DatagramSocket.Reader, count: number) =>
  Effect.gen(function* () {
    const received: Array<DatagramSocket.Datagram> = []
    while (received.length < count) received.push(...(yield* reader.pull))
    return received
  })

/** Resolves a name to these addresses. */
const resolving = (...addresses: ReadonlyArray<string>) =>
  Layer.provide(AddressResolver.layer(), Dns.layerStatic({ hosts: { "several.test": addresses } }))

const local = { bind: { address: "127.0.0.1" } }

const boundAt = (make: Make, options: PollerDatagramSocket.MakeOptions) =>
  Effect.scoped(Effect.map(opened(make, options), ({ address }) => NetAddress.formatIp(address.address)))

/** Returns a port that no socket has any more. */
const desertedPort = (make: Make) => Effect.scoped(Effect.map(opened(make, local), ({ port }) => port))

const rightFamily = (group: NetAddress.IpAddress) => {
  if (!NetAddress.isIpv4Address(group) || !NetAddress.isMulticast(group)) throw new Error("no group of IPv4")
  return group
}

for (const [name, { layer, make }] of Object.entries(implementations)) {
  const live = <E>(what: string, body: () => Effect.Effect<void, E, Registrar.Registrar | Scope.Scope>, skip = false) =>
    it.live.skipIf(skip)(what, () => {
      const scoped = Effect.scoped(body())
      // The implementation of Node needs no layer.
      return layer === undefined
        ? (scoped as Effect.Effect<void, E>)
        : (Effect.provide(scoped, layer) as Effect.Effect<void, unknown>)
    })

  describe(`drop-in (${name})`, () => {
    live("sends to its peer, to an address, and to the sender of a datagram", () =>
      Effect.gen(function* () {
        const server = yield* opened(make, local)
        const client = yield* opened(make, { ...local, peer: { address: "127.0.0.1", port: server.port } })
        yield* client.writer.write({ payload: "to the peer" })
        yield* client.writer.write({ payload: new TextEncoder().encode("by address"), address: server.address })
        const received = yield* pullMany(server.reader, 2)
        expect(received.map(text)).toEqual(["to the peer", "by address"])
        for (const { address } of received) expect(address).toEqual(client.address)

        yield* server.writer.write(received[0]!)
        yield* server.writer.write({ payload: "by datagram", address: received[0]! })
        yield* server.writer.write({ payload: "by its address", address: received[0]!.address })
        yield* server.writer.writeAll([
          { payload: "all 1", address: client.address },
          { payload: "all 2", address: client.address }
        ])
        const answers = yield* pullMany(client.reader, 5)
        expect(answers.map(text)).toEqual(["to the peer", "by datagram", "by its address", "all 1", "all 2"])
        for (const { address } of answers) expect(address).toEqual(server.address)
      })
    )

    live("exchanges long, short and empty datagrams with node:dgram", () =>
      Effect.gen(function* () {
        const { port, reader, writer } = yield* opened(make, {
          ...local,
          kernelReceiveBufferSize: 1 << 20,
          kernelSendBufferSize: 1 << 20
        })
        const peer = yield* Dgram.bind("127.0.0.1")
        const address = NetAddress.inetAddressUnsafe(NetAddress.ipv4Loopback, peer.port)
        for (const payload of [patterned(65_507), patterned(1), new Uint8Array(0), patterned(1472)]) {
          yield* writer.write({ payload, address })
          const [received] = yield* peer.receive(1)
          expect(received!.port).toBe(port)
          expect(Buffer.compare(received!.payload, payload)).toBe(0)
          peer.send(payload, port)
          const [answer] = yield* reader.pull
          expect(answer.address).toEqual(address)
          expect(Buffer.compare(answer.payload, payload)).toBe(0)
        }
      })
    )

    live(
      "receives from IPv4 over IPv6 too, unless it is ipv6Only",
      () =>
        Effect.gen(function* () {
          const server = yield* opened(make, { family: "ipv6" })
          expect(NetAddress.formatIp(server.address.address)).toBe("::")
          const six = yield* opened(make, { peer: { address: ip("::1"), port: server.port } })
          const four = yield* opened(make, { ...local, peer: { address: "127.0.0.1", port: server.port } })
          yield* six.writer.write({ payload: "six" })
          const [fromSix] = yield* server.reader.pull
          expect([text(fromSix), NetAddress.formatInet(fromSix.address)]).toEqual(["six", `[::1]:${six.port}`])
          yield* four.writer.write({ payload: "four" })
          const [fromFour] = yield* server.reader.pull
          expect([text(fromFour), NetAddress.formatInet(NetAddress.toCanonical(fromFour.address))]).toEqual([
            "four",
            `127.0.0.1:${four.port}`
          ])
          yield* server.writer.write(fromSix)
          yield* server.writer.write(fromFour)
          expect([text((yield* six.reader.pull)[0]), text((yield* four.reader.pull)[0])]).toEqual(["six", "four"])

          const only = yield* opened(make, { family: "ipv6", ipv6Only: true })
          yield* opened(make, { bind: { address: "0.0.0.0", port: only.port } })
        }),
      !hasIpv6
    )

    live("takes the family of its options", () =>
      Effect.gen(function* () {
        expect(yield* boundAt(make, {})).toBe("0.0.0.0")
        expect(yield* boundAt(make, { bind: { address: ip("127.0.0.1") } })).toBe("127.0.0.1")
        expect(yield* boundAt(make, { bind: { address: "localhost" }, family: "ipv4" })).toBe("127.0.0.1")
        expect(yield* boundAt(make, { peer: { address: "localhost", port: 9 } })).toBe("0.0.0.0")
        expect(yield* boundAt(make, { connect: { address: "localhost", port: 9 }, family: "ipv4" })).toBe("127.0.0.1")
        if (!hasIpv6) return
        expect(yield* boundAt(make, { bind: { address: "::1" } })).toBe("::1")
        expect(yield* boundAt(make, { peer: NetAddress.inetAddressUnsafe(ip("::1"), 9) })).toBe("::")
        expect(yield* boundAt(make, { connect: { address: "::1", port: 9 } })).toBe("::1")
      })
    )

    live("sends without an address once it is connected, refuses one, and receives from its peer alone", () =>
      Effect.gen(function* () {
        const server = yield* opened(make, local)
        const stranger = yield* opened(make, local)
        const client = yield* opened(make, { connect: { address: "localhost", port: server.port }, family: "ipv4" })
        yield* client.writer.write({ payload: "hello" })
        const [hello] = yield* server.reader.pull
        expect([text(hello), hello.address]).toEqual(["hello", client.address])
        expect(yield* failureOf(client.writer.write({ payload: "x", address: server.address }))).toBe(
          "DatagramSocketWriteError Unknown"
        )
        yield* stranger.writer.write({ payload: "psst", address: client.address })
        yield* server.writer.write({ payload: "hi", address: hello })
        const [hi] = yield* client.reader.pull
        expect(text(hi)).toBe("hi")
        yield* client.writer.write(hi)
        expect(text((yield* server.reader.pull)[0])).toBe("hi")
      })
    )

    live("calls onError if its peer is not there, and goes on", () =>
      Effect.gen(function* () {
        const port = yield* desertedPort(make)
        const failed = yield* Deferred.make<DatagramSocket.DatagramSocketError>()
        const { reader, writer } = yield* opened(make, {
          connect: { address: "127.0.0.1", port },
          onError: (error) => void Deferred.doneUnsafe(failed, Exit.succeed(error))
        })
        yield* writer.write({ payload: "anyone?" })
        const { reason } = yield* Deferred.await(failed)
        expect(reason).toMatchObject({ _tag: "DatagramSocketReadError", kind: "ConnectionRefused" })
        const late = yield* opened(make, { bind: { address: "127.0.0.1", port } })
        yield* writer.write({ payload: "and now?" })
        yield* late.writer.write((yield* late.reader.pull)[0])
        expect(text((yield* reader.pull)[0])).toBe("and now?")
      })
    )

    live("fails a write that cannot be sent, and names the address", () =>
      Effect.gen(function* () {
        const { address, reader, writer } = yield* opened(make, local)
        const tooLong = new Uint8Array(65_508)
        const one = yield* Effect.flip(writer.write({ payload: tooLong, address }))
        expect(one.reason).toMatchObject({ _tag: "DatagramSocketWriteError", kind: "MessageTooLarge", address })
        const all = yield* Effect.flip(
          writer.writeAll([
            { payload: "first", address },
            { payload: tooLong, address }
          ])
        )
        expect(all.reason).toMatchObject({ _tag: "DatagramSocketWriteError", kind: "MessageTooLarge", address })
        expect(text((yield* reader.pull)[0])).toBe("first")
        expect(yield* failureOf(writer.write({ payload: "nowhere" }))).toBe("DatagramSocketWriteError Unknown")
        const everybody = NetAddress.inetAddressUnsafe(ip("127.255.255.255"), address.port)
        expect(yield* failureOf(writer.write({ payload: "all", address: everybody }))).toBe(
          "DatagramSocketWriteError PermissionDenied"
        )
      })
    )

    live("responses to datagrams that arrive together arrive once, those of a fiber in order", () =>
      Effect.gen(function* () {
        const server = yield* opened(make, local)
        const tooLong = new Uint8Array(65_508)
        const failed: Array<string> = []
        const shared = new Uint8Array(4)
        const serve = Effect.gen(function* () {
          const received = yield* server.reader.pull
          for (const datagram of received) {
            // The buffer is used again as soon as the write is over.
            shared.set(datagram.payload)
            yield* server.writer.write({ payload: shared, address: datagram })
            const error = yield* Effect.flip(
              server.writer.writeAll([datagram, { payload: tooLong, address: datagram }, datagram])
            )
            failed.push("kind" in error.reason ? error.reason.kind : error.reason._tag)
          }
        })
        yield* Effect.forkScoped(Effect.forever(serve))
        const client = yield* opened(make, { ...local, peer: { address: "127.0.0.1", port: server.port } })
        const sent = Array.from({ length: 40 }, (_, i) => String(i).padStart(4, "0"))
        const [first, ...others] = sent.map((payload) => ({ payload }))
        yield* client.writer.writeAll([first!, ...others])
        const received = (yield* pullMany(client.reader, 120)).map(text)
        expect(received).toEqual(sent.flatMap((one) => [one, one, one]))
        expect(failed).toEqual(sent.map(() => "MessageTooLarge"))
      })
    )

    live("broadcasts with the option", () =>
      Effect.gen(function* () {
        const receiver = yield* opened(make)
        const { writer } = yield* opened(make, {
          ...local,
          broadcast: true,
          ttl: 1,
          peer: { address: "127.255.255.255", port: receiver.port }
        })
        yield* writer.write({ payload: "all" })
        expect(text((yield* receiver.reader.pull)[0])).toBe("all")
      })
    )

    live("receives from a group while the scope of its membership is open", () =>
      Effect.gen(function* () {
        const member = yield* opened(make, { bind: { address: "0.0.0.0" }, reuseAddress: true })
        const group = rightFamily(ip("239.83.7.3"))
        const { writer } = yield* opened(make, {
          multicast: { interface: NetAddress.ipv4Loopback, ttl: 1, loopback: true },
          peer: { address: group, port: member.port }
        })
        const direct = NetAddress.inetAddressUnsafe(NetAddress.ipv4Loopback, member.port)
        const membership = { group, interface: NetAddress.ipv4Loopback }
        yield* Effect.scoped(
          Effect.gen(function* () {
            yield* member.reader.joinMulticast(membership)
            yield* writer.write({ payload: "to all" })
            expect(text((yield* member.reader.pull)[0])).toBe("to all")
            expect(yield* failureOf(Effect.scoped(member.reader.joinMulticast(membership)))).toBe(
              "DatagramSocketOpenError AddressInUse"
            )
          })
        )
        yield* writer.write({ payload: "to nobody" })
        yield* writer.write({ payload: "to you", address: direct })
        expect(text((yield* member.reader.pull)[0])).toBe("to you")

        yield* member.reader.joinMulticast({ ...membership, source: ip("127.9.9.9") as NetAddress.Ipv4Address })
        yield* writer.write({ payload: "from another" })
        yield* writer.write({ payload: "to you again", address: direct })
        expect(text((yield* member.reader.pull)[0])).toBe("to you again")
      })
    )

    live("fails to open with a kind, and leaves nothing open", () =>
      Effect.gen(function* () {
        const taken = yield* opened(make, local)
        const before = Kernel.openDescriptors().size
        const failures: { readonly [kind: string]: ReadonlyArray<PollerDatagramSocket.MakeOptions> } = {
          AddressInUse: [{ bind: { address: "127.0.0.1", port: taken.port } }],
          AddressNotAvailable: [
            // An address of the network for documentation: no machine has it.
            { bind: { address: "198.51.100.77" } },
            // A name with an empty part is invalid.
            { bind: { address: "no..name" } },
            { peer: { address: "no..name", port: 9 } }
          ],
          Unknown: [
            { ...local, ttl: 256 },
            { ...local, multicast: { ttl: 256 } },
            { ...local, connect: { address: "::1", port: 9 } },
            { ...local, connect: { address: "127.0.0.1", port: 65_536 } },
            { ...local, connect: { address: "127.0.0.1", port: 0 } },
            { ...local, family: "ipv6" }
          ]
        }
        for (const [kind, all] of Object.entries(failures)) {
          for (const options of all) {
            const socket = yield* make(options)
            expect([options, yield* failureOf(Effect.scoped(socket.reader))]).toEqual([
              options,
              `DatagramSocketOpenError ${kind}`
            ])
          }
        }
        // Node closes its sockets a moment later.
        while (Kernel.openDescriptors().size > before) yield* Effect.yieldNow
        expect(Kernel.openDescriptors().size).toBe(before)
      })
    )

    for (const strategy of ["dropping", "sliding"] as const) {
      live(`counts the datagrams that it drops while no fiber pulls (${strategy})`, () =>
        Effect.gen(function* () {
          const { port, reader } = yield* opened(make, { ...local, receiveBuffer: { capacity: 10, strategy } })
          const peer = yield* Dgram.bind("127.0.0.1")
          for (let i = 0; i < 100; i++) peer.send(String(i), port)
          while (reader.dropped() < 90) yield* Effect.yieldNow
          expect(reader.dropped()).toBe(90)
          const first = strategy === "dropping" ? 0 : 90
          expect((yield* reader.pull).map(text)).toEqual(Array.from({ length: 10 }, (_, i) => String(first + i)))
        })
      )
    }

    live("receives many datagrams, each once and unchanged", () =>
      Effect.gen(function* () {
        const total = 5000
        const window = 100
        const server = yield* opened(make, local)
        const client = yield* opened(make, { ...local, peer: { address: "127.0.0.1", port: server.port } })
        yield* Effect.forkScoped(
          Effect.forever(Effect.flatMap(server.reader.pull, (received) => server.writer.writeAll(received)))
        )
        const numbered = Array.from({ length: total }, (_, i) => `${i}:${"x".repeat(i % 200)}`)
        const answers: Array<string> = []
        for (let first = 0; first < total; first += window) {
          for (const payload of numbered.slice(first, first + window)) yield* client.writer.write({ payload })
          answers.push(...(yield* pullMany(client.reader, window)).map(text))
        }
        expect(answers.toSorted((a, b) => Number.parseInt(a) - Number.parseInt(b))).toEqual(numbered)
      })
    )

    live("opens a socket for each reader, one at a time, and writes wait for it", () =>
      Effect.gen(function* () {
        const server = yield* opened(make, local)
        const client = yield* make({ ...local, peer: { address: "127.0.0.1", port: server.port } })
        const writer = yield* client.writer
        const writing = yield* Effect.forkScoped(writer.write({ payload: "at last" }), { startImmediately: true })
        const first = yield* Scope.make()
        const { address } = yield* Scope.provide(client.reader, first)
        yield* Fiber.join(writing)
        expect((yield* server.reader.pull)[0].address).toEqual(address)

        const second = yield* Effect.forkScoped(client.reader, { startImmediately: true })
        yield* Effect.yieldNow
        expect(second.pollUnsafe()).toBe(undefined)
        yield* Scope.close(first, Exit.void)
        const reader = yield* Fiber.join(second)
        yield* writer.write({ payload: "again" })
        expect((yield* server.reader.pull)[0].address).toEqual(reader.address)
      })
    )

    live("fails the fibers that pull when the reader's scope closes, and frees the port", () =>
      Effect.gen(function* () {
        const socket = yield* make(local)
        const scope = yield* Scope.make()
        const reader = yield* Scope.provide(socket.reader, scope)
        const { address } = reader
        const pulling = yield* Effect.forkScoped(
          Effect.all([failureOf(reader.pull), failureOf(reader.pull)], { concurrency: 2 }),
          {
            startImmediately: true
          }
        )
        yield* Scope.close(scope, Exit.void)
        expect(yield* Fiber.join(pulling)).toEqual(["DatagramSocketClosedError", "DatagramSocketClosedError"])
        expect(yield* failureOf(reader.pull)).toBe("DatagramSocketClosedError")
        yield* opened(make, { bind: { address: "127.0.0.1", port: address.port } })
      })
    )

    live("loses no datagram to an interrupted pull", () =>
      Effect.gen(function* () {
        const { address, reader, writer } = yield* opened(make, local)
        for (let round = 0; round < 20; round++) {
          const pulling = yield* Effect.forkScoped(reader.pull, { startImmediately: true })
          yield* Fiber.interrupt(pulling)
          yield* writer.write({ payload: String(round), address })
          expect((yield* reader.pull).map(text)).toEqual([String(round)])
        }
      })
    )

    live("leaves nothing open if a reader is interrupted while it opens", () =>
      Effect.gen(function* () {
        const before = Kernel.openDescriptors().size
        const socket = yield* make({ bind: { address: "localhost" } })
        for (let round = 0; round < 5; round++) {
          const opening = yield* Effect.forkScoped(Effect.scoped(socket.reader), { startImmediately: true })
          yield* Fiber.interrupt(opening)
        }
        // This reader waits for those before it.
        yield* Effect.scoped(socket.reader)
        while (Kernel.openDescriptors().size > before) yield* Effect.yieldNow
        expect(Kernel.openDescriptors().size).toBe(before)
      })
    )
  })
}

for (const [name, layer] of nextLayerEntries()) {
  describe(`PollerDatagramSocket (${name})`, () => {
    it.live("responses to datagrams that arrive together are made by few calls", () =>
      Effect.gen(function* () {
        const many = yield* failingCalls("sendmmsg")
        const single = yield* failingCalls("sendto")
        yield* Effect.gen(function* () {
          const server = yield* opened(PollerDatagramSocket.make, local)
          const client = yield* Udp.bind("127.0.0.1:0")
          const payloads = Array.from({ length: 50 }, (_, i) => String(i).padStart(4, "0"))
          yield* client.sendMany(
            payloads.map((payload) => ({ payload: new TextEncoder().encode(payload), address: server.address }))
          )
          expect(many.count).toBe(hasMany ? 1 : 0)
          const serve = Effect.flatMap(server.reader.pull, server.writer.writeAll)
          // It pulls again at once, without a turn for others.
          yield* Effect.forkScoped(Effect.forever(serve, { disableYield: true }), { startImmediately: true })
          const received: Array<string> = []
          while (received.length < 50) received.push(...(yield* client.receiveMany).map(text))
          expect(received).toEqual(payloads)
          if (hasMany) expect(many.count + single.count).toBeLessThan(10)
        }).pipe(Effect.provide(layer()))
      }).pipe(Effect.scoped)
    )

    for (const name of ["write", "writeAll"] as const) {
      it.live(`promise 13: a ${name} that goes on after an interruption never uses the caller's memory`, () =>
        Effect.gen(function* () {
          const { errnos } = yield* failingCalls(hasMany && name === "writeAll" ? "sendmmsg" : "sendto")
          yield* Effect.gen(function* () {
            const receiver = yield* Udp.bind("127.0.0.1:0")
            const { port } = yield* receiver.localAddress
            const socket = yield* opened(PollerDatagramSocket.make, { peer: { address: "127.0.0.1", port } })
            const buffers = [new Uint8Array(8).fill(1), new Uint8Array(9).fill(1)] as const
            const [first, second] = buffers.map((payload) => ({ payload })) as [
              DatagramSocket.OutgoingDatagram,
              DatagramSocket.OutgoingDatagram
            ]
            const { writer } = socket
            const write = name === "write" ? writer.write(first) : writer.writeAll([first, second])
            errnos.push(constants.errno.EAGAIN)
            const writing = yield* Effect.forkScoped(write, { startImmediately: true })
            expect(writing.pollUnsafe()).toBeUndefined()
            yield* Fiber.interrupt(writing)
            for (const buffer of buffers) buffer.fill(2)
            expect((yield* receiver.receive).payload).toEqual(new Uint8Array(8).fill(1))
            if (name === "writeAll") expect((yield* receiver.receive).payload).toEqual(new Uint8Array(9).fill(1))
          }).pipe(Effect.scoped, Effect.provide(layer()))
        }).pipe(Effect.scoped)
      )
    }

    it.live("is provided by its layer", () =>
      Effect.gen(function* () {
        const socket = yield* DatagramSocket.DatagramSocket
        const { address } = yield* socket.reader
        expect(NetAddress.formatIp(address.address)).toBe("127.0.0.1")
      }).pipe(Effect.scoped, Effect.provide(PollerDatagramSocket.layer(local)), Effect.provide(layer()))
    )

    it.live("refuses an invalid port, where Node takes another one", () =>
      Effect.gen(function* () {
        const socket = yield* PollerDatagramSocket.make({ bind: { port: 65_536 } })
        expect(yield* failureOf(Effect.scoped(socket.reader))).toBe("DatagramSocketOpenError Unknown")
        const { writer } = yield* opened(PollerDatagramSocket.make, { peer: { address: "127.0.0.1", port: 65_536 } })
        expect(yield* failureOf(writer.write({ payload: "x" }))).toBe("DatagramSocketWriteError Unknown")
      }).pipe(Effect.scoped, Effect.provide(layer()))
    )

    it.live("connects to the next address of a name if the system refuses the first", () =>
      Effect.gen(function* () {
        const server = yield* opened(PollerDatagramSocket.make, local)
        // Without the option `broadcast`, connect(2) refuses a broadcast address.
        const { writer } = yield* opened(PollerDatagramSocket.make, {
          connect: { address: "several.test", port: server.port }
        })
        yield* writer.write({ payload: "hello" })
        const [datagram] = yield* pullMany(server.reader, 1)
        expect(text(datagram!)).toBe("hello")
      }).pipe(Effect.scoped, Effect.provide(resolving("255.255.255.255", "127.0.0.1")), Effect.provide(layer()))
    )

    it.live("fails with the error of each address of a name if the system refuses all", () =>
      Effect.gen(function* () {
        const before = [...Kernel.openDescriptors().keys()]
        const error = yield* Effect.flip(
          Effect.scoped(opened(PollerDatagramSocket.make, { connect: { address: "several.test", port: 9 } }))
        )
        const { reason } = error
        expect(reason).toMatchObject({ _tag: "DatagramSocketOpenError", kind: "PermissionDenied" })
        expect((reason.cause as AggregateError).errors).toMatchObject([
          { reason: { _tag: "PermissionDenied", address: "255.255.255.255:9" } },
          { reason: { _tag: "PermissionDenied", address: "127.255.255.255:9" } }
        ])
        expect([...Kernel.openDescriptors().keys()]).toEqual(before)
      }).pipe(Effect.provide(resolving("255.255.255.255", "127.255.255.255")), Effect.provide(layer()))
    )

    it.live("promise 8: fails pulls and writes with Closed once the poller is closed", () =>
      Effect.gen(function* () {
        const { close, registrar } = yield* open(layer())
        const before = Kernel.openDescriptors().size
        yield* Effect.scoped(
          Effect.gen(function* () {
            const { address, reader, writer } = yield* Effect.provideService(
              opened(PollerDatagramSocket.make, local),
              Registrar.Registrar,
              registrar
            )
            const pulling = yield* Effect.forkScoped(failureOf(reader.pull), { startImmediately: true })
            yield* close
            expect(yield* Fiber.join(pulling)).toBe("DatagramSocketClosedError")
            expect(yield* failureOf(reader.pull)).toBe("DatagramSocketClosedError")
            expect(yield* failureOf(writer.write({ payload: "x", address }))).toBe("DatagramSocketClosedError")
          })
        )
        expect(Kernel.openDescriptors().size).toBeLessThan(before)
      }).pipe(Effect.scoped)
    )

    it.live("closes its descriptor with the reader's scope, at once", () =>
      Effect.gen(function* () {
        const socket = yield* PollerDatagramSocket.make(local)
        const before = [...Kernel.openDescriptors().keys()]
        const during = yield* Effect.scoped(Effect.map(socket.reader, () => [...Kernel.openDescriptors().keys()]))
        expect(during.length).toBe(before.length + 1)
        expect([...Kernel.openDescriptors().keys()]).toEqual(before)
      }).pipe(Effect.provide(layer()))
    )
  })
}
