/** Many datagrams by one call: what arrives, in which order, and what becomes of those that fail. */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Option, type Scope, Stream } from "effect"
import { type Poller, PollerError, Registrar, Udp } from "effect-amy"
import { constants } from "node:os"
import { attachmentOf } from "../../src/internal/delivery/registrar.ts"
import { WatchedFd } from "../../src/internal/descriptor/watchedFd.ts"
import type { Libc } from "../../src/internal/libc/koffi.ts"
import { DatagramChannel } from "../../src/internal/net/datagramChannel.ts"
import { layoutOf } from "../../src/internal/net/messageVector.ts"
import { encodeInet } from "../../src/internal/net/sockaddr.ts"
import { failingCalls } from "../support/failingCalls.ts"
import * as Kernel from "../support/kernel.ts"
import { describeLayers } from "../support/layers.ts"
import { times } from "../support/long.ts"
import { reported } from "../support/networkErrors.ts"
import { until } from "../support/observe.ts"
import { reasonOf } from "../support/outcome.ts"
import { numbers } from "../support/randomSteps.ts"
import { turn } from "../support/watched.ts"

const { EACCES, EAGAIN, EINTR, EINVAL, EIO, ENOSYS } = constants.errno

const bytes = (text: string) => new TextEncoder().encode(text)
const text = ({ payload }: Udp.Datagram) => new TextDecoder().decode(payload)
const addressOf = ({ localAddress }: Udp.UdpSocket) => Effect.runSync(localAddress)
const outgoing = (texts: ReadonlyArray<string>, to: Udp.UdpSocket) =>
  texts.map((one) => ({ payload: bytes(one), address: addressOf(to) }))
const range = (count: number) => Array.from({ length: count }, (_, i) => i)
/** Texts of one length. */
const numbered = (count: number) => range(count).map((i) => String(i).padStart(4, "0"))

const hasMany = process.platform === "linux"

/** Expects these datagrams and no more. They may arrive a moment after they were sent. */
const expectArrived = (socket: Udp.UdpSocket, texts: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const all: Array<string> = []
    for (;;) {
      const next = yield* socket.tryReceive
      if (Option.isSome(next)) all.push(text(next.value))
      else if (all.length >= texts.length) break
      else yield* turn
    }
    expect(all).toEqual(texts)
  })

/** Receives this many datagrams, by each of the ways in turn. */
const receiveInEveryWay = (socket: Udp.UdpSocket, count: number, random: () => number) =>
  Effect.gen(function* () {
    const all: Array<Udp.Datagram> = []
    while (all.length < count) {
      const left = count - all.length
      switch (Math.floor(random() * 4)) {
        case 0:
          all.push(yield* socket.receive)
          break
        case 1:
          all.push(...Option.toArray(yield* socket.tryReceive))
          break
        case 2:
          all.push(...(yield* socket.receiveMany))
          break
        default: {
          const some = 1 + Math.floor(random() * Math.min(left, 9))
          all.push(...(yield* Stream.runCollect(Stream.take(socket.stream, some))))
        }
      }
    }
    return all
  })

/** Makes a channel on a descriptor, with a C library that a test has changed. */
const channelOn = (fd: number, change: (libc: Libc) => Partial<Libc>) =>
  Effect.gen(function* () {
    const attachment = yield* attachmentOf(yield* Registrar.Registrar)
    const libc = attachment.libc!
    const watchedFd = new WatchedFd(attachment, fd)
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        const error = new PollerError.PollerError({ reason: new PollerError.Closed({}) })
        watchedFd.release(error)
        watchedFd.end(error)
      })
    )
    return new DatagramChannel(watchedFd, { ...libc, ...change(libc) })
  })

/**
 * Replaces sendmmsg(2): `limit` returns how many of the messages the call may send, or the errno
 * that it fails with, negated. `isJoined` says whether the first of them has several datagrams.
 */
const limited =
  (limit: (count: number, isJoined: boolean) => number) =>
  (libc: Libc): Partial<Libc> => {
    let errno = 0
    const sendmmsg: Libc["functions"]["sendmmsg"] = (fd, messages, count, flags) => {
      const words = new Int32Array(messages.buffer)
      const most = limit(count, words[layoutOf(libc.profile).controlLength] !== 0)
      errno = most < 0 ? -most : 0
      return most < 0 ? -1 : libc.functions.sendmmsg(fd, messages, most, flags)
    }
    return {
      functions: Object.create(libc.functions, { sendmmsg: { value: sendmmsg } }) as Libc["functions"],
      errno: () => (errno === 0 ? libc.errno() : errno)
    }
  }

/** As on a system that receives and sends one by one. */
const oneByOne = (libc: Libc): Partial<Libc> => ({
  profile: { ...libc.profile, socket: { ...libc.profile.socket, manyDatagrams: undefined } } as Libc["profile"]
})

/** What a channel sends to the peer of a connected socket. */
const payloads = (texts: ReadonlyArray<string>) =>
  texts.map((one) => ({ payload: bytes(one), length: one.length, to: undefined }))

const unsentOf = (error: PollerError.PollerError) => error.unsent?.map(({ index, reason }) => [index, reason._tag])

const refusedOf = (sending: Effect.Effect<void, PollerError.PollerError>) =>
  Effect.map(Effect.flip(sending), (error) => [error.reason._tag, unsentOf(error)])

describeLayers("many datagrams", (layer) => {
  const live = <E>(
    name: string,
    body: () => Effect.Effect<void, E, Poller.Poller | Registrar.Registrar | Scope.Scope>,
    skip = false
  ) => it.live.skipIf(skip)(name, () => body().pipe(Effect.scoped, Effect.provide(layer())))

  /** Runs a test with the calls for many datagrams, and on a system that lacks them. */
  const both = <E>(
    name: string,
    body: () => Effect.Effect<void, E, Poller.Poller | Registrar.Registrar | Scope.Scope>
  ) => {
    live(name, body)
    it.live(`${name}, on a kernel without the calls for many`, () =>
      Effect.gen(function* () {
        for (const call of ["recvmmsg", "sendmmsg"] as const) {
          const { errnos } = yield* failingCalls(call)
          errnos.push(ENOSYS)
        }
        yield* Effect.provide(body(), layer())
      }).pipe(Effect.scoped)
    )
  }

  both("each datagram of any size arrives once and in order, from several senders to several receivers", () =>
    Effect.gen(function* () {
      for (let seed = 0; seed < times(3, 40); seed++) {
        const random = numbers(seed)
        const below = (limit: number) => Math.floor(random() * limit)
        const host = seed % 3 === 2 ? "[::1]:0" : "127.0.0.1:0"
        const gro = hasMany && seed % 2 === 1 ? { gro: true } : {}
        const receivers = yield* Effect.all(range(3).map(() => Udp.bind(host, { ...gro, receiveBufferSize: 1 << 20 })))
        const senders = yield* Effect.all(range(2).map(() => Udp.bind(host)))
        for (let round = 0; round < 6; round++) {
          const expected = receivers.map(() => senders.map((): Array<Buffer> => []))
          let number = 0
          for (const [from, sender] of senders.entries()) {
            for (let batch = 0; batch < 3; batch++) {
              let length = 4
              let to = 0
              const datagrams = range(1 + below(30)).map(() => {
                // Runs of one size to one address, now and then something else.
                if (below(4) === 0) to = below(receivers.length)
                if (below(4) === 0) length = [0, 4, 64, 1200, 1472, 5000][below(6)]!
                const payload = Buffer.alloc(below(8) === 0 ? Math.max(length - 1, 0) : length, number)
                if (payload.length >= 4) payload.writeUInt32LE(number++)
                expected[to]![from]!.push(payload)
                return { payload, address: addressOf(receivers[to]!) }
              })
              if (below(4) > 0) yield* sender.sendMany(datagrams)
              else for (const { address, payload } of datagrams) yield* sender.send(payload, address)
            }
          }
          for (const [i, receiver] of receivers.entries()) {
            const count = expected[i]!.flat().length
            const received = yield* receiveInEveryWay(receiver, count, random)
            expect(received.length).toBe(count)
            for (const [from, sender] of senders.entries()) {
              const { port } = addressOf(sender)
              const ofSender = received.filter(({ address }) => address.port === port)
              expect(ofSender.map(({ payload }) => Buffer.from(payload).toString("hex"))).toEqual(
                expected[i]![from]!.map((payload) => payload.toString("hex"))
              )
            }
            expect(Option.isNone(yield* receiver.tryReceive)).toBe(true)
          }
        }
      }
    })
  )

  both("a datagram that cannot be sent is named, and the others arrive", () =>
    Effect.gen(function* () {
      const receiver = yield* Udp.bind("127.0.0.1:0")
      const sender = yield* Udp.bind("127.0.0.1:0")
      const address = addressOf(receiver)
      const everybody = { address: "127.255.255.255", port: address.port }
      const tooLong = new Uint8Array(65_508)
      const muchTooLong = new Uint8Array(100_000)
      const error = yield* Effect.flip(
        sender.sendMany([
          { payload: bytes("0"), address },
          { payload: tooLong, address },
          { payload: bytes("2"), address },
          { payload: muchTooLong, address },
          // These have one size and one address, so they may be handed over together.
          { payload: bytes("4"), address: everybody },
          { payload: bytes("5"), address: everybody },
          { payload: bytes("6"), address: everybody },
          { payload: bytes("7"), address }
        ])
      )
      expect(error.reason).toMatchObject({ _tag: "MessageTooLarge", address: `127.0.0.1:${address.port}` })
      expect(unsentOf(error)).toEqual([
        [1, "MessageTooLarge"],
        [3, "MessageTooLarge"],
        [4, "PermissionDenied"],
        [5, "PermissionDenied"],
        [6, "PermissionDenied"]
      ])
      yield* expectArrived(receiver, ["0", "2", "7"])
      // The socket remains usable, and joins datagrams again.
      yield* sender.sendMany(outgoing(numbered(10), receiver))
      yield* expectArrived(receiver, numbered(10))
    })
  )

  both("nothing is sent if a payload or an address is invalid", () =>
    Effect.gen(function* () {
      const receiver = yield* Udp.bind("127.0.0.1:0")
      const sender = yield* Udp.bind("127.0.0.1:0")
      const good = { payload: bytes("x"), address: addressOf(receiver) }
      const throwing = {
        get payload(): Uint8Array {
          throw new Error("no")
        }
      }
      const invalid: ReadonlyArray<unknown> = [
        { payload: "text", address: addressOf(receiver) },
        { payload: bytes("x"), address: "nowhere" },
        { payload: bytes("x"), address: "[::1]:9" },
        {},
        null,
        throwing
      ]
      for (const one of invalid) {
        expect(yield* reasonOf(sender.sendMany([good, one as Udp.OutgoingDatagram]))).toBe("InvalidArgument")
      }
      for (const all of [undefined, good, "text"]) {
        expect(yield* reasonOf(sender.sendMany(all as never))).toBe("InvalidArgument")
      }
      yield* expectArrived(receiver, [])
      yield* sender.sendMany([])
      yield* sender.sendMany([good])
      yield* expectArrived(receiver, ["x"])
    })
  )

  both("a received datagram can be sent back as it is, and a connected socket needs no address", () =>
    Effect.gen(function* () {
      const server = yield* Udp.bind("127.0.0.1:0")
      const client = yield* Udp.bind("127.0.0.1:0")
      const payload = bytes("where to?")
      const error = yield* Effect.flip(client.sendMany([{ payload }, { payload, address: addressOf(server) }]))
      expect(unsentOf(error)).toEqual([[0, "NotConnected"]])
      yield* expectArrived(server, ["where to?"])
      yield* client.connect(addressOf(server))
      yield* client.sendMany(numbered(3).map((one) => ({ payload: bytes(one) })))
      yield* server.sendMany(yield* server.receiveMany)
      expect((yield* client.receiveMany).map(text)).toEqual(numbered(3))
    })
  )

  both("a peer that does not listen is reported to each call for a connected socket", () =>
    Effect.gen(function* () {
      const gone = yield* Effect.scoped(Effect.map(Udp.bind("127.0.0.1:0"), addressOf))
      for (const texts of [numbered(5), ["of", "several", "sizes"]]) {
        const client = yield* Udp.bind("127.0.0.1:0")
        yield* client.connect(gone)
        const datagrams = texts.map((one) => ({ payload: bytes(one) }))
        for (let i = 0; i < 3; i++) {
          // Returns once a datagram was sent: its report is then there for the next call.
          yield* Effect.eventually(client.send(bytes("anyone?")))
          const error = yield* Effect.flip(client.sendMany(datagrams))
          expect(unsentOf(error)![0]).toEqual([0, "ConnectionRefused"])
        }
        yield* Effect.eventually(client.send(bytes("anyone?")))
        const peer = yield* Udp.bind(gone)
        const error = yield* Effect.flip(client.sendMany(datagrams))
        expect(unsentOf(error)).toEqual([[0, "ConnectionRefused"]])
        yield* expectArrived(peer, texts.slice(1))
        yield* peer.close
      }
    })
  )

  both("what a stream has read and not emitted is there for the next receiver", () =>
    Effect.gen(function* () {
      const socket = yield* Udp.bind("127.0.0.1:0")
      const sender = yield* Udp.bind("127.0.0.1:0")
      for (let round = 0; round < 20; round++) {
        yield* sender.sendMany(outgoing(numbered(8), socket))
        const received: Array<Udp.Datagram> = []
        received.push(...(yield* Stream.runCollect(Stream.take(socket.stream, 2))))
        received.push(yield* socket.receive)
        received.push(...Option.toArray(yield* socket.tryReceive))
        received.push(...(yield* Stream.runCollect(Stream.take(socket.stream, 1))))
        received.push(...(yield* socket.receiveMany))
        expect(received.map(text)).toEqual(numbered(8))
        // What arrives afterwards is reported.
        const waiting = yield* Effect.forkScoped(socket.receive, { startImmediately: true })
        yield* sender.sendMany(outgoing(["late"], socket))
        expect(text(yield* Fiber.join(waiting))).toBe("late")
      }
    })
  )

  both("fibers that wait are served in turn from one look at the socket", () =>
    Effect.gen(function* () {
      const socket = yield* Udp.bind("127.0.0.1:0")
      const sender = yield* Udp.bind("127.0.0.1:0")
      const one = Effect.map(Stream.runCollect(Stream.take(socket.stream, 1)), ([datagram]) => text(datagram!))
      for (let round = 0; round < 5; round++) {
        const waiting = yield* Effect.forEach(range(6), (i) =>
          Effect.forkScoped(i % 2 === 0 ? one : Effect.map(socket.receive, text), { startImmediately: true })
        )
        yield* Fiber.interrupt(waiting[3]!)
        yield* sender.sendMany(outgoing(numbered(5), socket))
        const got = yield* Effect.forEach(waiting.toSpliced(3, 1), Fiber.join)
        expect(got).toEqual(numbered(5))
      }
    })
  )

  both("datagrams of one sender share its address, also if others send in between", () =>
    Effect.gen(function* () {
      const socket = yield* Udp.bind("127.0.0.1:0", { receiveBufferSize: 1 << 20 })
      const senders = yield* Effect.all(range(5).map(() => Udp.bind("127.0.0.1:0")))
      for (let i = 0; i < 50; i++) yield* senders[i % 5]!.send(bytes(String(i)), addressOf(socket))
      const received = yield* socket.receiveMany
      expect(received.map(({ address }) => address.port)).toEqual(range(50).map((i) => addressOf(senders[i % 5]!).port))
      // A few more if they took the places of others.
      expect(new Set(received.map(({ address }) => address)).size).toBeLessThan(10)
    })
  )

  live("a socket that is closed, and one that closes while fibers wait, fails with Closed and lists all", () =>
    Effect.gen(function* () {
      const receiver = yield* Udp.bind("127.0.0.1:0")
      const sender = yield* Udp.bind("127.0.0.1:0")
      const datagrams = outgoing(numbered(3), receiver)
      yield* sender.close
      const error = yield* Effect.flip(sender.sendMany(datagrams))
      expect([error.reason._tag, unsentOf(error)]).toEqual([
        "Closed",
        [
          [0, "Closed"],
          [1, "Closed"],
          [2, "Closed"]
        ]
      ])
      // What was read ahead is not returned by a closed socket.
      yield* (yield* Udp.bind("127.0.0.1:0")).sendMany(datagrams)
      yield* Stream.runDrain(Stream.take(receiver.stream, 1))
      yield* receiver.close
      expect(yield* reasonOf(receiver.receive)).toBe("Closed")
      expect(yield* reasonOf(receiver.receiveMany)).toBe("Closed")
    })
  )

  it.live.skipIf(!hasMany)("many datagrams take one call, and those of one size to one address one message", () =>
    Effect.gen(function* () {
      const received = yield* failingCalls("recvmmsg")
      const sent = yield* failingCalls("sendmmsg")
      const single = yield* failingCalls("recvfrom")
      yield* Effect.gen(function* () {
        const socket = yield* Udp.bind("127.0.0.1:0")
        const sender = yield* Udp.bind("127.0.0.1:0")
        yield* sender.sendMany(outgoing(numbered(50), socket))
        expect(sent.count).toBe(1)
        expect((yield* socket.receiveMany).map(text)).toEqual(numbered(50))
        expect([received.count, single.count]).toEqual([1, 0])
        // The socket was seen to be empty, so a fiber that waits makes no call before the next report.
        const waiting = yield* Effect.forkScoped(socket.receiveMany, { startImmediately: true })
        expect(received.count).toBe(1)
        yield* sender.sendMany(outgoing(["late"], socket))
        expect((yield* Fiber.join(waiting)).map(text)).toEqual(["late"])
        // More than a call has messages for, to an address that is made anew for each.
        const before = sent.count
        yield* sender.sendMany(outgoing(numbered(150), socket))
        expect(sent.count).toBe(before + 1)
        const all = yield* Stream.runCollect(Stream.take(socket.stream, 150))
        expect(all.map(text)).toEqual(numbered(150))
      }).pipe(Effect.provide(layer()))
    }).pipe(Effect.scoped)
  )

  it.live("small payloads that are kept do not hold the memory that they were received in", () =>
    Effect.gen(function* () {
      const socket = yield* Udp.bind("127.0.0.1:0")
      const sender = yield* Udp.bind("127.0.0.1:0")
      const kept: Array<Uint8Array> = []
      const round = Effect.gen(function* () {
        yield* sender.sendMany(outgoing(numbered(50), socket))
        kept.push(...(yield* socket.receiveMany).map(({ payload }) => payload))
      })
      yield* round
      const before = process.memoryUsage().arrayBuffers
      for (let i = 0; i < 40; i++) yield* round
      expect(kept.length).toBe(41 * 50)
      const memory = new Set(kept.map(({ buffer }) => buffer))
      expect([...memory].reduce((sum, { byteLength }) => sum + byteLength, 0)).toBeLessThanOrEqual(3 * 64 * 1024)
      expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(4 << 20)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  describe.skipIf(!hasMany)("rare results of the kernel", () => {
    live("each datagram is sent once and in order, however much a call sends", () =>
      Effect.gen(function* () {
        const receiver = yield* Udp.bind("127.0.0.1:0", { receiveBufferSize: 1 << 20 })
        const sender = yield* Udp.bind("127.0.0.1:0")
        const profile = (yield* attachmentOf(yield* Registrar.Registrar)).libc!.profile.socket
        const to = encodeInet(profile, addressOf(receiver))
        const other = encodeInet(profile, addressOf(sender))
        const sendAtRandom = Effect.fnUntraced(function* (seed: number) {
          const random = numbers(seed)
          const below = (limit: number) => Math.floor(random() * limit)
          // A kernel reports room only after it has moved a datagram.
          let hasMoved = true
          const channel = yield* channelOn(
            sender.fd,
            limited((count, isJoined) => {
              const choice = below(6)
              if (choice === 0 && hasMoved) {
                hasMoved = false
                return -EAGAIN
              }
              if (choice === 1) return -EINTR
              // Only joined ones are refused, so none may be missing in the end.
              if (choice === 2 && isJoined) return -[EINVAL, EIO, EACCES][below(3)]!
              hasMoved = true
              return 1 + below(count)
            })
          )
          const texts = range(100).map((i) => `${i}`.padStart(1 + below(2) * 4, "0"))
          const datagrams = texts.map((one) => {
            const payload = bytes(one)
            return { payload, length: payload.length, to: below(10) === 0 ? other : to }
          })
          yield* channel.sendManyUnsafe(datagrams)
          yield* expectArrived(
            receiver,
            texts.filter((_, i) => datagrams[i]!.to === to)
          )
          yield* expectArrived(
            sender,
            texts.filter((_, i) => datagrams[i]!.to === other)
          )
        }, Effect.scoped)
        for (let seed = 0; seed < times(10, 100); seed++) yield* sendAtRandom(seed)
      })
    )

    for (const [name, errno] of Object.entries({ EIO, EINVAL })) {
      live(`datagrams whose joining is refused with ${name} are sent one by one from then on`, () =>
        Effect.gen(function* () {
          const receiver = yield* Udp.bind("127.0.0.1:0")
          const sender = yield* Udp.bind("127.0.0.1:0")
          const profile = (yield* attachmentOf(yield* Registrar.Registrar)).libc!.profile.socket
          const to = encodeInet(profile, addressOf(receiver))
          let refused = 0
          const change = limited((count, isJoined) => {
            if (!isJoined) return count
            refused++
            return -errno
          })
          const channel = yield* channelOn(sender.fd, change)
          const datagrams = numbered(20).map((one) => ({ payload: bytes(one), length: 4, to }))
          for (let i = 0; i < 3; i++) {
            yield* channel.sendManyUnsafe(datagrams)
            yield* expectArrived(receiver, numbered(20))
            expect(refused).toBe(1)
          }
        })
      )
    }

    live("an error of one message is that of its datagrams alone", () =>
      Effect.gen(function* () {
        const receiver = yield* Udp.bind("127.0.0.1:0")
        const sender = yield* Udp.bind("127.0.0.1:0")
        const profile = (yield* attachmentOf(yield* Registrar.Registrar)).libc!.profile.socket
        const to = encodeInet(profile, addressOf(receiver))
        const results = [2, -EACCES, 1, -EACCES]
        const channel = yield* channelOn(
          sender.fd,
          limited((count) => results.shift() ?? count)
        )
        channel.joinable = 0
        const datagrams = numbered(6).map((one) => ({ payload: bytes(one), length: 4, to }))
        const error = yield* Effect.flip(channel.sendManyUnsafe(datagrams))
        expect(unsentOf(error)).toEqual([
          [2, "PermissionDenied"],
          [4, "PermissionDenied"]
        ])
        yield* expectArrived(receiver, ["0000", "0001", "0003", "0005"])
      })
    )
  })

  /** Datagrams of Unix sockets count as unsent until they are read, so a small buffer fills up. */
  for (const [name, change] of Object.entries({ "by one call": () => ({}), "one by one": oneByOne })) {
    describe(`with a receiver that has no room, ${name}`, () => {
      const pair = Effect.gen(function* () {
        const fds = Kernel.datagramPair()
        yield* Effect.addFinalizer(() => Effect.sync(() => fds.forEach(Kernel.close)))
        const channel = yield* channelOn(fds[0], change)
        // The smallest buffer that the kernel has: room for a few.
        const { SO_SNDBUF, SOL_SOCKET } = channel.libc.profile.socket
        channel.libc.functions.setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, new Uint8Array(4), 4)
        // These sockets do not cut messages.
        channel.joinable = 0
        const read = () => {
          const all: Array<string> = []
          for (let next; (next = Kernel.readText(fds[1])) !== "";) all.push(next)
          return all
        }
        return { channel, read }
      })
      live("the rest waits for room, and no other datagram comes in between", () =>
        Effect.gen(function* () {
          const { channel, read } = yield* pair
          const first = numbered(100).map((one) => `a${one}`)
          const second = numbered(40).map((one) => `b${one}`)
          const sending = yield* Effect.forkScoped(channel.sendManyUnsafe(payloads(first)), { startImmediately: true })
          const single = yield* Effect.forkScoped(channel.sendUnsafe(bytes("single"), undefined), {
            startImmediately: true
          })
          const more = yield* Effect.forkScoped(
            Effect.suspend(() => channel.sendManyUnsafe(payloads(second))),
            { startImmediately: true }
          )
          const received: Array<string> = []
          while (received.length < 141) {
            received.push(...read())
            yield* Effect.yieldNow
          }
          yield* Fiber.join(sending)
          yield* Fiber.join(single)
          yield* Fiber.join(more)
          expect(received).toEqual([...first, "single", ...second])
          expect(read()).toEqual([])
        })
      )

      live("an interruption leaves the sent ones sent, and nothing in line", () =>
        Effect.gen(function* () {
          const { channel, read } = yield* pair
          for (let round = 0; round < 5; round++) {
            const sending = yield* Effect.forkScoped(channel.sendManyUnsafe(payloads(numbered(100))), {
              startImmediately: true
            })
            const some = round % 2 === 0 ? [] : read()
            yield* Fiber.interrupt(sending)
            const received = [...some, ...read()]
            expect(received.length).toBeLessThan(100)
            expect(received).toEqual(numbered(received.length))
            yield* channel.sendUnsafe(bytes("after"), undefined)
            expect(read()).toEqual(["after"])
          }
        })
      )

      live("a buffer that has lost its bytes meanwhile is named, and the others are sent", () =>
        Effect.gen(function* () {
          const { channel, read } = yield* pair
          const all = payloads(numbered(100))
          const sending = yield* Effect.forkScoped(Effect.flip(channel.sendManyUnsafe(all)), { startImmediately: true })
          structuredClone(all[98]!.payload.buffer, { transfer: [all[98]!.payload.buffer as ArrayBuffer] })
          const received: Array<string> = []
          while (received.length < 99) {
            received.push(...read())
            yield* Effect.yieldNow
          }
          expect(unsentOf(yield* Fiber.join(sending))).toEqual([[98, "InvalidArgument"]])
          expect(received).toEqual(numbered(100).toSpliced(98, 1))
        })
      )

      live("closing while datagrams wait lists those that were not sent", () =>
        Effect.gen(function* () {
          const { channel, read } = yield* pair
          const sending = yield* Effect.forkScoped(Effect.flip(channel.sendManyUnsafe(payloads(numbered(100)))), {
            startImmediately: true
          })
          const error = new PollerError.PollerError({ reason: new PollerError.Closed({}) })
          channel.watchedFd.release(error)
          channel.watchedFd.end(error)
          const received = read()
          expect(received).toEqual(numbered(received.length))
          expect(unsentOf(yield* Fiber.join(sending))).toEqual(
            range(100)
              .slice(received.length)
              .map((i) => [i, "Closed"])
          )
        })
      )
    })
  }

  describe.skipIf(!hasMany)("a refusal by the peer of a connected socket is reported to sendMany", () => {
    /** Connects a socket to an address where none listens any more. */
    const connectedToNone = Effect.gen(function* () {
      const gone = yield* Effect.scoped(Effect.flatMap(Udp.bind("127.0.0.1:0"), ({ localAddress }) => localAddress))
      const socket = yield* Udp.bind("127.0.0.1:0")
      yield* socket.connect(gone)
      return socket
    })

    live("if it came before, whatever the datagrams are and wherever they go", () =>
      Effect.gen(function* () {
        const live = yield* Udp.bind("127.0.0.1:0")
        for (const texts of [["aa"], ["aa", "bb"], ["a", "bb", "ccc"]]) {
          const socket = yield* connectedToNone
          yield* socket.send(bytes("x"))
          yield* reported(socket)
          expect(yield* refusedOf(socket.sendMany(outgoing(texts, live)))).toEqual([
            "ConnectionRefused",
            [[0, "ConnectionRefused"]]
          ])
          yield* expectArrived(live, texts.slice(1))
        }
      })
    )

    live("if one of them is refused, by the next of them, or else by the next call", () =>
      Effect.gen(function* () {
        const live = yield* Udp.bind("127.0.0.1:0")
        const socket = yield* connectedToNone
        const sending = socket.sendMany([{ payload: bytes("x") }, ...outgoing(["aa", "b"], live)])
        // The report may be late.
        const refused = yield* Effect.matchEffect(sending, {
          onFailure: (error) => Effect.succeed(unsentOf(error)),
          onSuccess: () => reasonOf(socket.receive)
        })
        if (refused === "ConnectionRefused") return
        expect(refused).toHaveLength(1)
        const [index] = refused![0] as [number, string]
        yield* expectArrived(live, [index === 1 ? "b" : "aa"])
      })
    )
  })

  describe.skipIf(!hasMany)("gro", () => {
    live("joined datagrams arrive as they were sent", () =>
      Effect.gen(function* () {
        const calls: Array<number> = []
        const socket = yield* Udp.bind("127.0.0.1:0", { gro: true, receiveBufferSize: 1 << 20 })
        const sender = yield* Udp.bind("127.0.0.1:0")
        for (const count of [1, 2, 63, 64, 65, 200]) {
          const texts = [...numbered(count), "x"]
          yield* sender.sendMany(outgoing(texts, socket))
          const received: Array<string> = []
          while (received.length < texts.length) {
            const many = yield* socket.receiveMany
            calls.push(many.length)
            received.push(...many.map(text))
          }
          expect(received).toEqual(texts)
        }
        // One look at the socket may bring more, and those come with the next ones.
        expect(Math.max(...calls)).toBe(64)
        const large = range(3).map((i) => ({ payload: new Uint8Array(9000).fill(i), address: addressOf(socket) }))
        yield* sender.sendMany(large)
        for (const { payload } of large) expect((yield* socket.receive).payload).toEqual(payload)
        // It can be switched off and on.
        yield* socket.setOptions({ gro: false })
        yield* sender.sendMany(outgoing(numbered(5), socket))
        expect((yield* socket.receiveMany).map(text)).toEqual(numbered(5))
        yield* socket.setOptions({ gro: true })
        yield* sender.sendMany(outgoing(numbered(5), socket))
        expect(text(yield* socket.receive)).toBe("0000")
        expect((yield* socket.receiveMany).map(text)).toEqual(numbered(5).slice(1))
      })
    )

    live("datagrams that were joined before it is switched off arrive as they were sent", () =>
      Effect.gen(function* () {
        const socket = yield* Udp.bind("127.0.0.1:0", { gro: true })
        const sender = yield* Udp.bind("127.0.0.1:0")
        yield* sender.sendMany(outgoing(numbered(5), socket))
        expect(text(yield* socket.receive)).toBe("0000")
        yield* sender.sendMany(outgoing(["a", "b"], socket))
        yield* socket.setOptions({ gro: false })
        yield* sender.sendMany(outgoing(["c", "d"], socket))
        const received: Array<string> = []
        while (received.length < 8) received.push(...(yield* socket.receiveMany).map(text))
        expect(received).toEqual([...numbered(5).slice(1), "a", "b", "c", "d"])
        // A fiber that waits is served, and what arrives afterwards is reported.
        yield* socket.setOptions({ gro: true })
        const waiting = yield* Effect.forkScoped(Effect.all([socket.receive, socket.receive, socket.receive]), {
          startImmediately: true
        })
        yield* sender.sendMany(outgoing(["e", "f"], socket))
        yield* socket.setOptions({ gro: false })
        yield* sender.sendMany(outgoing(["g"], socket))
        expect((yield* Fiber.join(waiting)).map(text)).toEqual(["e", "f", "g"])
      })
    )

    live("is known to the socket also if another option is refused", () =>
      Effect.gen(function* () {
        const socket = yield* Udp.bind("127.0.0.1:0")
        const sender = yield* Udp.bind("127.0.0.1:0")
        const nowhere = socket.setOptions({ gro: true, multicastInterface: "192.0.2.1" })
        expect(yield* reasonOf(nowhere)).toBe("AddressNotAvailable")
        yield* sender.sendMany(outgoing(numbered(5), socket))
        expect((yield* socket.receiveMany).map(text)).toEqual(numbered(5))
      })
    )

    live("what tryReceive has read with the first datagram is there for the next call", () =>
      Effect.gen(function* () {
        const sender = yield* Udp.bind("127.0.0.1:0")
        for (const next of ["receive", "tryReceive"] as const) {
          const socket = yield* Udp.bind("127.0.0.1:0", { gro: true })
          // Nothing is there, and nothing was registered, so nothing is reported either.
          expect(Option.isNone(yield* socket.tryReceive)).toBe(true)
          yield* sender.sendMany(outgoing(["one", "two"], socket))
          yield* until(() => Kernel.pending(socket.fd) > 0)
          expect(text(Option.getOrThrow(yield* socket.tryReceive))).toBe("one")
          const second = next === "receive" ? socket.receive : Effect.map(socket.tryReceive, Option.getOrThrow)
          expect(text(yield* second)).toBe("two")
          expect(Option.isNone(yield* socket.tryReceive)).toBe(true)
        }
      })
    )

    live("datagrams are taken apart beside other control messages", () =>
      Effect.gen(function* () {
        const socket = yield* Udp.bind("127.0.0.1:0", { gro: true })
        const { functions, profile } = (yield* attachmentOf(yield* Registrar.Registrar)).libc!
        const on = new Uint8Array(Int32Array.of(1).buffer)
        const SO_TIMESTAMP = 29
        expect(functions.setsockopt(socket.fd, profile.socket.SOL_SOCKET, SO_TIMESTAMP, on, 4)).toBe(0)
        const sender = yield* Udp.bind("127.0.0.1:0")
        yield* sender.sendMany(outgoing(["aa", "bb", "cc"], socket))
        expect((yield* socket.receiveMany).map(text)).toEqual(["aa", "bb", "cc"])
      })
    )

    live("a socket that is taken over keeps it", () =>
      Effect.gen(function* () {
        const first = yield* Udp.bind("127.0.0.1:0", { gro: true })
        const socket = yield* Udp.fromFd(yield* first.take)
        const sender = yield* Udp.bind("127.0.0.1:0")
        yield* sender.sendMany(outgoing(numbered(5), socket))
        expect((yield* socket.receiveMany).map(text)).toEqual(numbered(5))
      })
    )

    live("is refused where the kernel does not have it", () =>
      Effect.gen(function* () {
        const before = Kernel.openDescriptors().size
        const { errnos } = yield* failingCalls("setsockopt")
        errnos.push(constants.errno.ENOPROTOOPT)
        const bind = Effect.provide(Udp.bind("127.0.0.1:0", { gro: true }), layer())
        expect(yield* reasonOf(Effect.scoped(bind))).toBe("UnsupportedPlatform")
        expect(Kernel.openDescriptors().size).toBe(before)
      })
    )
  })
})
