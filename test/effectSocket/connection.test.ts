/** What the handler of a server can know of its connection, and do with it. */
import { expect, it } from "@effect/vitest"
import { Context, Deferred, Effect, Layer, Option, Queue } from "effect"
import { NetAddress } from "effect/net"
import { Rpc, RpcClient, RpcGroup, RpcSerialization, RpcServer } from "effect/rpc"
import { type Socket, SocketServer } from "effect/socket"
import { PollerSocket, PollerSocketServer, Tcp, Unix } from "effect-amy"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { anyPort, describeOurs, echo, failureOf, pullText, pullToEnd } from "../support/effectSockets.ts"
import * as Kernel from "../support/kernel.ts"
import { turn } from "../support/watched.ts"

/** Runs a server until the scope closes. */
const run = <E, R>(
  server: PollerSocketServer.Server,
  handler: (socket: Socket.Socket) => Effect.Effect<unknown, E, R>
) => Effect.forkScoped(server.run(handler), { startImmediately: true })

const tcp = ({ address }: PollerSocketServer.Server) => address as NetAddress.InetAddress

/** Keeps a handler busy until its peer has ended. */
const toTheEnd = ({ reader }: Socket.Socket) =>
  Effect.scoped(Effect.flatMap(reader, ({ pull }) => Effect.ignore(Effect.forever(pull))))

describeOurs("PollerSocket.Connection", (_, leavesNothing) => {
  it.live("is the connection of the handler, and of no other: its addresses", () =>
    leavesNothing(
      Effect.gen(function* () {
        const server = yield* PollerSocketServer.make(anyPort)
        const seen = yield* Queue.unbounded<readonly [string, NetAddress.InetAddress, NetAddress.InetAddress]>()
        yield* run(server, (socket) =>
          Effect.gen(function* () {
            const { pull } = yield* socket.reader
            const [chunk] = yield* pull
            const { localAddress, remoteAddress } = yield* PollerSocket.Connection
            const addresses = [yield* localAddress, yield* remoteAddress] as Array<NetAddress.InetAddress>
            yield* Queue.offer(seen, [Buffer.from(chunk).toString(), addresses[0]!, addresses[1]!])
            yield* Effect.forever(pull)
          }).pipe(Effect.scoped, Effect.ignore)
        )
        const clients = new Map<string, Tcp.TcpStream>()
        for (let n = 0; n < 3; n++) clients.set(`client ${n}`, yield* Tcp.connect(tcp(server)))
        for (const [name, client] of clients) yield* client.writeAll(Buffer.from(name))
        for (let n = 0; n < 3; n++) {
          const [name, local, remote] = yield* Queue.take(seen)
          expect([local, remote]).toEqual([server.address, yield* clients.get(name)!.localAddress])
        }
      })
    )
  )

  it.live("knows the address of a peer that was gone before the handler began, for the log", () =>
    leavesNothing(
      Effect.gen(function* () {
        const server = yield* PollerSocketServer.make(anyPort)
        const client = yield* Tcp.connect(tcp(server))
        const address = yield* client.localAddress
        Kernel.closeWithReset(yield* client.take)
        const seen = Deferred.makeUnsafe<unknown>()
        yield* run(server, () =>
          Effect.gen(function* () {
            const { remoteAddress } = yield* PollerSocket.Connection
            yield* Deferred.succeed(seen, yield* remoteAddress)
          })
        )
        expect(yield* Deferred.await(seen)).toEqual(address)
      })
    )
  )

  it.live("has the addresses of a Unix socket: a path, an abstract name, and none", () =>
    leavesNothing(
      Effect.gen(function* () {
        const path = join(tmpdir(), `connection-test-${process.pid}.sock`)
        for (const target of [{ path }, { path: `\0${path}` }]) {
          yield* Effect.gen(function* () {
            const server = yield* PollerSocketServer.make(target)
            const seen = Deferred.makeUnsafe<ReadonlyArray<unknown>>()
            yield* run(server, (socket) =>
              Effect.gen(function* () {
                const connection = yield* PollerSocket.Connection
                const addresses = [yield* connection.localAddress, yield* connection.remoteAddress]
                yield* Deferred.succeed(seen, [Unix.isUnixStream(connection.socket), ...addresses])
                yield* toTheEnd(socket)
              })
            )
            const client = yield* PollerSocket.make(target)
            yield* client.reader
            expect(yield* Deferred.await(seen)).toEqual([
              true,
              target.path === path ? NetAddress.unixPathAddress(path) : { _tag: "UnixAbstractAddress", name: path },
              { _tag: "UnixUnnamedAddress" }
            ])
          }).pipe(Effect.scoped)
        }
      })
    )
  )

  it.live("lets a handler refuse a peer by its address before anything is read", () =>
    leavesNothing(
      Effect.gen(function* () {
        const server = yield* PollerSocketServer.make(anyPort)
        const served: Array<string> = []
        yield* run(server, (socket) =>
          Effect.gen(function* () {
            const from = yield* Effect.flatMap(PollerSocket.Connection, ({ remoteAddress }) => remoteAddress)
            if (!NetAddress.isInetAddress(from) || NetAddress.formatIp(from.address) !== "127.0.0.1") return
            served.push(NetAddress.formatIp(from.address))
            yield* echo(socket)
          })
        )
        const stranger = yield* Tcp.connect(tcp(server), { localAddress: "127.0.0.2:0" })
        expect(yield* stranger.read(new Uint8Array(1))).toBe(0)
        const friend = yield* PollerSocket.make({ address: server.address })
        const { pull } = yield* friend.reader
        yield* (yield* friend.writer).write("hello")
        yield* pullText(pull, "hello")
        expect(served).toEqual(["127.0.0.1"])
      })
    )
  )

  it.live("sets the options of its connection alone, and closes it", () =>
    leavesNothing(
      Effect.gen(function* () {
        const server = yield* PollerSocketServer.make(anyPort)
        const ends = Deferred.makeUnsafe<ReadonlyArray<string>>()
        yield* run(server, (socket) =>
          Effect.gen(function* () {
            const { remoteAddress, socket: stream } = yield* PollerSocket.Connection
            if (Tcp.isTcpStream(stream)) yield* stream.setOptions({ noDelay: false, keepAlive: true })
            const { pull } = yield* socket.reader
            yield* stream.close
            const gone = yield* Effect.flip(remoteAddress)
            yield* Deferred.succeed(ends, [yield* failureOf(pull), gone.reason._tag])
          }).pipe(Effect.scoped)
        )
        const client = yield* PollerSocket.make({ address: server.address })
        const { pull } = yield* client.reader
        expect((yield* pullToEnd(pull)).end).toBe("SocketCloseError 1000")
        expect(yield* Deferred.await(ends)).toEqual(["SocketCloseError 1006", "Closed"])
      })
    )
  )

  it.live("can give its descriptor away before the reader is acquired, which then fails", () =>
    leavesNothing(
      Effect.gen(function* () {
        const server = yield* PollerSocketServer.make(anyPort)
        const taken = Deferred.makeUnsafe<readonly [number, string]>()
        yield* run(server, (socket) =>
          Effect.gen(function* () {
            const { socket: stream } = yield* PollerSocket.Connection
            const fd = yield* stream.take
            yield* Deferred.succeed(taken, [fd, yield* failureOf(Effect.scoped(socket.reader))])
          })
        )
        const client = yield* PollerSocket.make({ address: server.address })
        const { pull } = yield* client.reader
        const [fd, end] = yield* Deferred.await(taken)
        expect(end).toBe("SocketCloseError 1000")
        // The server has finished with the connection, and left the descriptor alone.
        yield* turn
        expect(Kernel.isOpen(fd)).toBe(true)
        const owner = yield* Tcp.fromFd(fd)
        yield* owner.writeAll(Buffer.from("from its owner"))
        yield* pullText(pull, "from its owner")
      })
    )
  )

  it.live("is there behind the layer of a server, next to the services of the caller", () =>
    leavesNothing(
      Effect.gen(function* () {
        class Name extends Context.Service<Name, string>()("connection.test/Name") {}
        const seen = Deferred.makeUnsafe<readonly [boolean, string]>()
        const context = yield* Layer.build(PollerSocketServer.layer(anyPort))
        const server = Context.get(context, SocketServer.SocketServer)
        yield* server
          .run((socket) =>
            Effect.gen(function* () {
              const connection = yield* Effect.serviceOption(PollerSocket.Connection)
              const isTcp = Option.exists(connection, (found) => Tcp.isTcpStream(found.socket))
              yield* Deferred.succeed(seen, [isTcp, yield* Name])
              yield* toTheEnd(socket)
            })
          )
          .pipe(Effect.provideService(Name, "of the caller"), Effect.forkScoped({ startImmediately: true }))
        const client = yield* PollerSocket.make({ address: server.address })
        yield* client.reader
        expect(yield* Deferred.await(seen)).toEqual([true, "of the caller"])
        expect(yield* Effect.serviceOption(PollerSocket.Connection)).toEqual(Option.none())
      })
    )
  )

  it.live("serves to guard a server of RPC: the service is wrapped", () =>
    leavesNothing(
      Effect.gen(function* () {
        class Numbers extends RpcGroup.make(Rpc.make("one")) {}
        const log: Array<string> = []
        const guarded = Layer.effect(
          SocketServer.SocketServer,
          Effect.map(PollerSocketServer.make(anyPort), ({ address, run }) =>
            SocketServer.SocketServer.of({
              address,
              run: (handler) =>
                run((socket) =>
                  Effect.gen(function* () {
                    const from = yield* Effect.flatMap(PollerSocket.Connection, ({ remoteAddress }) => remoteAddress)
                    log.push(NetAddress.isInetAddress(from) ? NetAddress.formatIp(from.address) : from._tag)
                    if (log.at(-1) === "127.0.0.1") yield* handler(socket)
                  })
                )
            })
          )
        )
        const context = yield* Layer.build(
          RpcServer.layer(Numbers).pipe(
            Layer.provide(Numbers.toLayer({ one: () => Effect.void })),
            Layer.provide(RpcServer.layerProtocolSocketServer),
            Layer.provideMerge(guarded),
            Layer.provide(RpcSerialization.layerNdjson)
          )
        )
        const { address } = Context.get(context, SocketServer.SocketServer)
        const stranger = yield* Tcp.connect(address as NetAddress.InetAddress, { localAddress: "127.0.0.3:0" })
        expect(yield* stranger.read(new Uint8Array(1))).toBe(0)
        const client = RpcClient.layerProtocolSocket().pipe(
          Layer.provide(PollerSocket.layer({ address })),
          Layer.provide(RpcSerialization.layerNdjson)
        )
        yield* Effect.flatMap(RpcClient.make(Numbers), (numbers) => numbers.one()).pipe(
          Effect.scoped,
          Effect.provide(client)
        )
        expect(log).toEqual(["127.0.0.3", "127.0.0.1"])
      })
    )
  )
})
