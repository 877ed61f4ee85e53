/** What only `PollerSocket` and `PollerSocketServer` have: layers, options, refusals. */
import { expect, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Queue, Scope, Stream } from "effect"
import { Socket, SocketServer } from "effect/socket"
import { PollerSocket, PollerSocketServer, Registrar, Tcp, Unix } from "effect-amy"
import { connect as connectNode, type NetConnectOpts } from "node:net"
import { networkInterfaces } from "node:os"
import {
  anyPort,
  describeOurs,
  echo,
  failureOf,
  pullText,
  pullToEnd,
  rawPeer,
  serving,
  whereIs
} from "../support/effectSockets.ts"
import * as Kernel from "../support/kernel.ts"
import { describeLayers } from "../support/layers.ts"
import { open } from "../support/opened.ts"
import { turn } from "../support/watched.ts"

/** Link-local addresses of this machine, which need the name of their interface. */
const linkLocal = Object.entries(networkInterfaces()).flatMap(([name, all]) =>
  (all ?? []).filter(({ address }) => address.startsWith("fe80:")).map(({ address }) => `${address}%${name}`)
)

/** Greets each connection, and keeps it open. */
const greet = (socket: Socket.Socket) =>
  Effect.gen(function* () {
    const { pull } = yield* socket.reader
    const { write } = yield* socket.writer
    yield* write("welcome")
    yield* Effect.forever(pull)
  }).pipe(Effect.scoped, Effect.ignore)

describeOurs("PollerSocket", (sockets, run) => {
  it.live("does not offer TLS: upgrade fails, and the connection goes on", () =>
    run(
      Effect.gen(function* () {
        const socket = yield* serving(sockets, echo)
        const { pull, upgrade } = yield* socket.reader
        const { write } = yield* socket.writer
        expect(yield* failureOf(upgrade())).toBe("SocketUpgradeError")
        yield* write("in the clear")
        yield* pullText(pull, "in the clear")
      })
    )
  )

  it.live("looks its host up for each connection, and uses an address as it is", () =>
    run(
      Effect.gen(function* () {
        const server = yield* PollerSocketServer.make({ host: "localhost", port: 0 })
        yield* Effect.forkScoped(server.run(echo), { startImmediately: true })
        const port = "port" in server.address ? server.address.port : -1
        for (const target of [{ address: server.address }, { host: "localhost", port }, { port }]) {
          const socket = yield* PollerSocket.make(target)
          for (let round = 0; round < 2; round++) {
            yield* Effect.gen(function* () {
              const { pull } = yield* socket.reader
              const { write } = yield* socket.writer
              yield* write("hello")
              yield* pullText(pull, "hello")
            }).pipe(Effect.scoped)
          }
        }
      })
    )
  )

  it.live("may connect again as soon as the program closes it, and leaves the new connection alone", () =>
    run(
      Effect.gen(function* () {
        const server = yield* PollerSocketServer.make(anyPort)
        yield* Effect.forkScoped(server.run(greet), { startImmediately: true })
        // By its address: nothing is looked up, so the next socket is opened in the same step.
        const socket = yield* PollerSocket.make({ address: server.address })
        const welcomes = yield* Queue.unbounded<string>()
        const connection = Effect.gen(function* () {
          const { pull } = yield* socket.reader
          yield* Effect.forever(Effect.flatMap(pull, ([chunk]) => Queue.offer(welcomes, Buffer.from(chunk).toString())))
        }).pipe(Effect.scoped, Effect.ignore)
        const again = Effect.gen(function* () {
          for (;;) yield* connection
        })
        yield* Effect.forkScoped(again, { startImmediately: true })
        const { write } = yield* socket.writer
        for (let round = 0; round < 20; round++) {
          expect(yield* Queue.take(welcomes)).toBe("welcome")
          // By then the fiber pulls again, and sees the end.
          for (let i = 0; i < 3; i++) yield* turn
          yield* write(new Socket.CloseEvent(1000))
        }
        expect(yield* Queue.take(welcomes)).toBe("welcome")
      })
    )
  )

  it.live("connects to an IPv6 address with the name of its interface", () =>
    run(
      Effect.gen(function* () {
        // The loopback address, and those of the links that this machine has.
        for (const host of ["::1%lo", ...linkLocal]) {
          const server = yield* PollerSocketServer.make({ host, port: 0 })
          yield* Effect.forkScoped(server.run(echo), { startImmediately: true })
          const port = "port" in server.address ? server.address.port : -1
          const socket = yield* PollerSocket.make({ host, port })
          const { pull } = yield* socket.reader
          const { write } = yield* socket.writer
          yield* write("hello")
          yield* pullText(pull, "hello")
        }
      })
    )
  )

  it.live("connects to every address that a Unix listener or a server reports, and to { abstract }", () =>
    run(
      Effect.gen(function* () {
        const abstract = `effect-amy sockets ${process.pid}`
        const listener = yield* Unix.listen({ abstract })
        yield* Effect.forkScoped(listener.run((connection) => Stream.run(connection.stream, connection.sink)))
        const server = yield* PollerSocketServer.make({ address: { abstract: `${abstract} 2` } })
        yield* Effect.forkScoped(server.run(echo), { startImmediately: true })
        expect(server.address).toMatchObject({ _tag: "UnixPathAddress", path: `\0${abstract} 2` })
        const targets = [
          { address: listener.address },
          { address: { abstract } },
          { address: { path: `\0${abstract}` } },
          { path: `\0${abstract}` },
          { address: server.address }
        ]
        for (const target of targets) {
          yield* Effect.gen(function* () {
            const socket = yield* PollerSocket.make(target)
            const { pull } = yield* socket.reader
            const { write } = yield* socket.writer
            yield* write("hello")
            yield* pullText(pull, "hello")
          }).pipe(Effect.scoped)
        }
        const inUse = yield* Effect.flip(PollerSocketServer.make({ address: listener.address }))
        expect(inUse.reason.cause).toMatchObject({ reason: { _tag: "AddressInUse" } })
      })
    )
  )

  it.live("fromStream accepts any stream, and closes it with the reader's scope", () =>
    run(
      Effect.gen(function* () {
        const [one, other] = yield* Unix.socketPair
        const socket = yield* PollerSocket.fromStream(Effect.succeed(one))
        yield* Effect.gen(function* () {
          const { pull } = yield* socket.reader
          yield* other.writeAll(new TextEncoder().encode("through a pair"))
          yield* pullText(pull, "through a pair")
        }).pipe(Effect.scoped)
        expect(one.fd).toBe(-1)
        expect(yield* other.read(new Uint8Array(1))).toBe(0)
      })
    )
  )

  it.live("fromStream fails with an open error and its cause if the stream cannot be opened", () =>
    run(
      Effect.gen(function* () {
        const socket = yield* PollerSocket.fromStream(Unix.connect("/nonexistent/socket"))
        const { reason } = yield* Effect.flip(Effect.scoped(socket.reader))
        expect(reason).toMatchObject({
          _tag: "SocketOpenError",
          kind: "Unknown",
          cause: { _tag: "PollerError", reason: { _tag: "NotFound" } }
        })
      })
    )
  )

  it.live("a suspended write fails when the reader's scope closes", () =>
    run(
      Effect.gen(function* () {
        const outer = yield* Effect.scope
        const [one] = yield* Unix.socketPair
        const socket = yield* PollerSocket.fromStream(Effect.succeed(one))
        const { write } = yield* socket.writer
        const writing = yield* Effect.gen(function* () {
          yield* socket.reader
          const writing = yield* Effect.forkScoped(failureOf(write(new Uint8Array(8 << 20))), {
            startImmediately: true
          }).pipe(Scope.provide(outer))
          yield* turn
          expect(writing.pollUnsafe()).toBeUndefined()
          return writing
        }).pipe(Effect.scoped)
        expect(yield* Fiber.join(writing)).toBe("SocketWriteError")
      })
    )
  )

  it.live("writing to a peer that has reset the connection is a write error", () =>
    run(
      Effect.gen(function* () {
        const { accepted, socket } = yield* rawPeer(sockets)
        const { pull } = yield* socket.reader
        const { write, writeAll } = yield* socket.writer
        Kernel.closeWithReset(yield* accepted)
        expect(yield* failureOf(pull)).toBe("SocketReadError")
        expect(yield* failureOf(write("nobody"))).toBe("SocketWriteError")
        expect(yield* failureOf(writeAll(["is", "there"]))).toBe("SocketWriteError")
      })
    )
  )

  it.live("fromStream has openTimeout too", () =>
    run(
      Effect.gen(function* () {
        const socket = yield* PollerSocket.fromStream(Effect.never, { openTimeout: 20 })
        expect(yield* failureOf(Effect.scoped(socket.reader))).toBe("SocketOpenError Timeout")
      })
    )
  )

  it.live("invalid options are the cause of an open error", () =>
    run(
      Effect.gen(function* () {
        const targets = [
          { host: "127.0.0.1", port: 65_536 },
          { host: "127.0.0.1", port: -1 },
          { address: "nonsense" },
          { path: "" },
          { path: `/tmp/${"x".repeat(108)}` },
          { path: `\0${"x".repeat(108)}` },
          { address: { _tag: "UnixUnnamedAddress" } },
          { address: { abstract: 7 } },
          { address: null },
          { host: "127.0.0.1", port: undefined as unknown as number }
        ]
        for (const target of targets) {
          const socket = yield* PollerSocket.make(target as PollerSocket.MakeOptions)
          const { reason } = yield* Effect.flip(Effect.scoped(socket.reader))
          expect(reason, `${JSON.stringify(target)}`).toMatchObject({
            _tag: "SocketOpenError",
            kind: "Unknown",
            cause: { _tag: "PollerError", reason: { _tag: "InvalidArgument" } }
          })
        }
      })
    )
  )

  it.live("connecting can be interrupted, and leaves nothing open", () =>
    run(
      Effect.gen(function* () {
        const listener = yield* Tcp.listen("127.0.0.1:0", { backlog: 0 })
        yield* Tcp.connect(listener.address)
        const socket = yield* PollerSocket.make({ address: listener.address })
        const connecting = yield* Effect.forkChild(Effect.scoped(socket.reader), { startImmediately: true })
        yield* turn
        expect(connecting.pollUnsafe()).toBeUndefined()
        yield* Fiber.interrupt(connecting)
      })
    )
  )
})

describeOurs("PollerSocketServer", (sockets, run) => {
  it.live("a connection is closed with its handler if that never acquires the reader", () =>
    run(
      Effect.gen(function* () {
        const socket = yield* serving(sockets, () => Effect.void)
        const { pull } = yield* socket.reader
        expect((yield* pullToEnd(pull)).end).toBe("SocketCloseError 1000")
      })
    )
  )

  it.live("a handler cannot have the connection twice", () =>
    run(
      Effect.gen(function* () {
        const again = Deferred.makeUnsafe<string>()
        const socket = yield* serving(sockets, (socket) =>
          Effect.gen(function* () {
            yield* Effect.scoped(socket.reader)
            yield* Deferred.succeed(again, yield* failureOf(Effect.scoped(socket.reader)))
          })
        )
        const { pull } = yield* socket.reader
        expect(yield* Deferred.await(again)).toBe("SocketCloseError 1000")
        expect((yield* pullToEnd(pull)).end).toBe("SocketCloseError 1000")
      })
    )
  )

  it.live("a peer that has ended its side still gets a response", () =>
    run(
      Effect.gen(function* () {
        const server = yield* sockets.listen(anyPort)
        yield* Effect.forkScoped(
          server.run((socket) =>
            Effect.gen(function* () {
              const { pull } = yield* socket.reader
              const { write } = yield* socket.writer
              const { bytes } = yield* pullToEnd(pull)
              yield* write(`${bytes.length} bytes`)
            }).pipe(Effect.scoped)
          ),
          { startImmediately: true }
        )
        const where = whereIs(server)
        const answer = yield* Effect.callback<string>((resume) => {
          const peer = connectNode({ ...where, allowHalfOpen: true } as NetConnectOpts)
          let text = ""
          peer.setEncoding("utf8").on("data", (chunk: string) => (text += chunk))
          peer.on("end", () => resume(Effect.succeed(text))).end("a question")
        })
        expect(answer).toBe("10 bytes")
      })
    )
  )

  it.live("invalid options are the cause of an open error", () =>
    run(
      Effect.gen(function* () {
        const options = [
          {},
          { host: "127.0.0.1", port: 65_536 },
          { host: "127.0.0.1", port: -1 },
          { address: "nonsense" },
          { path: "" },
          { path: `/tmp/${"x".repeat(108)}` },
          { path: `\0${"x".repeat(108)}` },
          { address: { _tag: "UnixUnnamedAddress" } },
          { address: { abstract: 7 } },
          { address: null },
          { host: "127.0.0.1", port: 0, backlog: -1 }
        ]
        for (const option of options) {
          const error = yield* Effect.flip(PollerSocketServer.make(option as PollerSocketServer.MakeOptions))
          expect(error.reason, `${JSON.stringify(option)}`).toMatchObject({
            _tag: "SocketServerOpenError",
            cause: { _tag: "PollerError", reason: { _tag: "InvalidArgument" } }
          })
        }
      })
    )
  )

  it.live("without a host it listens for IPv4 and IPv6", () =>
    run(
      Effect.gen(function* () {
        const server = yield* PollerSocketServer.make({ port: 0 })
        yield* Effect.forkScoped(server.run(echo), { startImmediately: true })
        const port = "port" in server.address ? server.address.port : -1
        const hosts = server.address._tag === "InetAddressV6" ? ["127.0.0.1", "::1"] : ["127.0.0.1"]
        for (const host of hosts) {
          const socket = yield* PollerSocket.make({ host, port })
          const { pull } = yield* socket.reader
          const { write } = yield* socket.writer
          yield* write(host)
          yield* pullText(pull, host)
        }
      })
    )
  )
})

describeLayers("PollerSocket and PollerSocketServer as layers", (layer) => {
  it.live("a socket connects to the server of another layer", () =>
    Effect.gen(function* () {
      const server = yield* SocketServer.SocketServer
      yield* Effect.forkScoped(server.run(echo), { startImmediately: true })
      const socket = yield* Socket.Socket
      const { pull } = yield* socket.reader
      const { write } = yield* socket.writer
      yield* write("layers")
      yield* pullText(pull, "layers")
    }).pipe(
      Effect.scoped,
      Effect.provide(
        Layer.unwrap(
          Effect.map(SocketServer.SocketServer, ({ address }) =>
            PollerSocket.layer({ address, openTimeout: "1 minute" })
          )
        ).pipe(Layer.provideMerge(PollerSocketServer.layer({ host: "127.0.0.1", port: 0 })), Layer.provide(layer()))
      )
    )
  )
})

describeLayers("PollerSocket when its poller closes", (layer) => {
  it.live("a suspended pull fails, and so does every later one", () =>
    Effect.gen(function* () {
      const { close, registrar } = yield* open(layer())
      yield* Effect.gen(function* () {
        const server = yield* PollerSocketServer.make(anyPort)
        const socket = yield* PollerSocket.make({ address: server.address })
        const { pull } = yield* socket.reader
        const suspended = yield* Effect.forkChild(failureOf(pull), { startImmediately: true })
        const running = yield* Effect.forkChild(Effect.flip(server.run(echo)), { startImmediately: true })
        yield* turn
        expect(suspended.pollUnsafe()).toBeUndefined()
        yield* close
        expect(yield* Fiber.join(suspended)).toBe("SocketCloseError 1006")
        expect(yield* failureOf(pull)).toBe("SocketCloseError 1006")
        expect((yield* Fiber.join(running)).reason).toMatchObject({
          _tag: "SocketServerUnknownError",
          cause: { reason: { _tag: "Closed" } }
        })
      }).pipe(Effect.scoped, Effect.provideService(Registrar.Registrar, registrar))
    }).pipe(Effect.scoped)
  )
})
