/** The public types of the sockets. The compiler checks this file, not the test run. */
import { describe, expect, expectTypeOf, it } from "@effect/vitest"
import {
  type Duration,
  Effect,
  type Inspectable,
  type Layer,
  type Option,
  type Scope,
  type Sink,
  type Stream
} from "effect"
import {
  type AsyncFd,
  type Fd,
  type PollerError,
  PollerDatagramSocket,
  PollerSocket,
  PollerSocketServer,
  type Registrar,
  Tcp,
  Udp,
  Unix
} from "effect-amy"
import type * as NetAddress from "effect/net/NetAddress"
import type { DatagramSocket, Socket, SocketServer } from "effect/socket"
import { type Loose, same, type Same } from "../support/types.ts"

type Failure = PollerError.PollerError
type Needs = Registrar.Registrar | Scope.Scope
type Opening<A> = Effect.Effect<A, Failure, Needs>
type Transfer<A> = (buffer: Uint8Array, offset?: number, length?: number) => Effect.Effect<A, Failure>

type Branded<TypeId extends string> = Inspectable.Inspectable & { readonly [Id in TypeId]: Id }

/** What a TCP and a Unix connection have in common. */
interface Connection<Address> {
  readonly fd: number
  readonly localAddress: Effect.Effect<Address, Failure>
  readonly remoteAddress: Effect.Effect<Address, Failure>
  readonly read: Transfer<number>
  readonly readable: Effect.Effect<AsyncFd.Ready, Failure>
  readonly writable: Effect.Effect<AsyncFd.Ready, Failure>
  readonly tryRead: Transfer<Option.Option<number>>
  readonly write: Transfer<number>
  readonly tryWrite: Transfer<Option.Option<number>>
  readonly writeAll: Transfer<void>
  readonly stream: Stream.Stream<Uint8Array, Failure>
  readonly sink: Sink.Sink<void, Uint8Array, never, Failure>
  readonly shutdown: (how: "read" | "write" | "both") => Effect.Effect<void, Failure>
  readonly close: Effect.Effect<void, Failure>
  readonly take: Effect.Effect<number, Failure>
}

/** A listener without its `run`, which is generic. */
interface Listening<Address, Stream_> {
  readonly fd: number
  readonly address: Address
  readonly accept: Effect.Effect<Stream_, Failure, Scope.Scope>
  readonly incoming: Stream.Stream<Stream_, Failure>
  readonly close: Effect.Effect<void, Failure>
}

type Plain<A> = { [K in keyof A]: A[K] }

class Service {
  declare private readonly _: never
}
declare const handler: (connection: unknown) => Effect.Effect<string, "handled", Service | Scope.Scope>
const maybe = undefined as boolean | undefined
const maybeNumber = undefined as number | undefined

/** Compiles a function, and never calls it. */
const compiled = (use: () => unknown) => expect(use).toBeTypeOf("function")

describe("Tcp", () => {
  it("has connections and listeners", () => {
    same<
      Same<
        Plain<Tcp.TcpStream>,
        Plain<
          Branded<"~effect-amy/TcpStream"> &
            Connection<NetAddress.InetAddress> & {
              readonly setOptions: (options: Tcp.SetOptions) => Effect.Effect<void, Failure>
            }
        >
      >
    >(true)
    same<
      Same<
        Omit<Tcp.TcpListener, "run">,
        Plain<Branded<"~effect-amy/TcpListener"> & Listening<NetAddress.InetAddress, Tcp.TcpStream>>
      >
    >(true)
    expectTypeOf<Loose<Tcp.TcpStream> | Loose<Tcp.TcpListener> | Loose<typeof Tcp>>().toBeNever()
  })

  it("opens sockets in a scope, on a Registrar", () => {
    expectTypeOf(Tcp.listen).toEqualTypeOf<
      (address: NetAddress.InetAddressInput, options?: Tcp.ListenOptions) => Opening<Tcp.TcpListener>
    >()
    expectTypeOf(Tcp.connect).toEqualTypeOf<
      (address: NetAddress.InetAddressInput, options?: Tcp.ConnectOptions) => Opening<Tcp.TcpStream>
    >()
    expectTypeOf(Tcp.fromFd).toEqualTypeOf<(fd: number) => Opening<Tcp.TcpStream>>()
    expect(Object.keys(Tcp).toSorted()).toEqual(["connect", "fromFd", "isTcpListener", "isTcpStream", "listen"])
    compiled(() => [
      // @ts-expect-error it would have two owners: fromFd takes a number that was given away
      Tcp.fromFd({ fd: 3 }),
      // @ts-expect-error a port is a number
      Tcp.listen({ address: "127.0.0.1", port: "80" }),
      // @ts-expect-error only listeners have a backlog
      Tcp.connect("127.0.0.1:80", { backlog: 5 })
    ])
  })

  it("runs handlers of any error and result, and requires their services except for a scope", () => {
    compiled((listener: Tcp.TcpListener = {} as Tcp.TcpListener) => {
      const running = listener.run(handler)
      expectTypeOf(running).toEqualTypeOf<Effect.Effect<never, Failure, Service>>()
      return running
    })
  })

  it("accepts undefined for an option", () => {
    const keepAlive = { idle: maybeNumber, interval: maybeNumber, count: maybeNumber }
    const options = { noDelay: maybe, keepAlive, sendBufferSize: maybeNumber, receiveBufferSize: maybeNumber }
    compiled(() => [
      Tcp.connect("[::1]:1", { ...options, timeout: maybeNumber, localAddress: undefined }),
      Tcp.listen("[::1]:1", {
        ...options,
        backlog: maybeNumber,
        reuseAddress: maybe,
        reusePort: maybe,
        ipv6Only: maybe
      })
    ])
    expectTypeOf<Tcp.ConnectOptions["timeout"]>().toEqualTypeOf<Duration.Input | undefined>()
  })
})

describe("Unix", () => {
  it("has connections that also carry descriptors, and listeners", () => {
    same<
      Same<
        Plain<Unix.UnixStream>,
        Plain<
          Branded<"~effect-amy/UnixStream"> &
            Connection<Unix.UnixAddress> & {
              readonly setOptions: (options: Unix.SetOptions) => Effect.Effect<void, Failure>
              readonly sendDescriptors: (
                fds: ReadonlyArray<Registrar.FdLike>,
                bytes: Uint8Array
              ) => Effect.Effect<void, Failure>
              readonly receiveDescriptors: (
                buffer: Uint8Array,
                most: number
              ) => Effect.Effect<Unix.Received, Failure, Scope.Scope>
            }
        >
      >
    >(true)
    same<
      Same<
        Omit<Unix.UnixListener, "run">,
        Plain<Branded<"~effect-amy/UnixListener"> & Listening<Unix.UnixAddress, Unix.UnixStream>>
      >
    >(true)
    same<Same<Unix.Received, { readonly length: number; readonly descriptors: ReadonlyArray<Fd.Fd> }>>(true)
    expectTypeOf<Loose<Unix.UnixStream> | Loose<Unix.UnixListener> | Loose<typeof Unix>>().toBeNever()
  })

  it("opens sockets in a scope, on a Registrar", () => {
    expectTypeOf(Unix.listen).toEqualTypeOf<
      (address: Unix.UnixAddressInput, options?: Unix.ListenOptions) => Opening<Unix.UnixListener>
    >()
    expectTypeOf(Unix.connect).toEqualTypeOf<
      (address: Unix.UnixAddressInput, options?: Unix.ConnectOptions) => Opening<Unix.UnixStream>
    >()
    expectTypeOf(Unix.socketPair).toEqualTypeOf<Opening<readonly [Unix.UnixStream, Unix.UnixStream]>>()
    expectTypeOf(Unix.fromFd).toEqualTypeOf<(fd: number) => Opening<Unix.UnixStream>>()
    expect(Object.keys(Unix).toSorted()).toEqual([
      "connect",
      "fromFd",
      "isUnixListener",
      "isUnixStream",
      "listen",
      "socketPair"
    ])
    compiled((fd: Fd.Fd = {} as Fd.Fd, tcp: Tcp.TcpListener = {} as Tcp.TcpListener) => [
      // @ts-expect-error it would have two owners
      Unix.fromFd(fd),
      // @ts-expect-error an address is a path or a name
      Unix.connect({ host: "localhost" }),
      // @ts-expect-error an address of TCP is not one of a Unix socket
      Unix.connect(tcp.address),
      Unix.listen("/path", { backlog: maybeNumber, sendBufferSize: maybeNumber, receiveBufferSize: maybeNumber }),
      Unix.connect({ abstract: "name" }, { timeout: maybeNumber })
    ])
  })
})

describe("an address that a socket reports", () => {
  it("is accepted as it is by what connects, listens, binds and sends", () => {
    expectTypeOf<Tcp.TcpListener["address"]>().toExtend<Parameters<typeof Tcp.connect>[0]>()
    expectTypeOf<Effect.Success<Tcp.TcpStream["localAddress"]>>().toExtend<Parameters<typeof Tcp.listen>[0]>()
    expectTypeOf<Effect.Success<Tcp.TcpStream["remoteAddress"]>>().toExtend<Parameters<typeof Tcp.connect>[0]>()
    expectTypeOf<Unix.UnixListener["address"]>().toExtend<Parameters<typeof Unix.connect>[0]>()
    expectTypeOf<Effect.Success<Unix.UnixStream["localAddress"]>>().toExtend<Parameters<typeof Unix.listen>[0]>()
    expectTypeOf<Effect.Success<Unix.UnixStream["remoteAddress"]>>().toExtend<Parameters<typeof Unix.connect>[0]>()
    expectTypeOf<Effect.Success<Udp.UdpSocket["localAddress"]>>().toExtend<Parameters<typeof Udp.bind>[0]>()
    expectTypeOf<Effect.Success<Udp.UdpSocket["localAddress"]>>().toExtend<Parameters<Udp.UdpSocket["connect"]>[0]>()
    expectTypeOf<Udp.Datagram["address"]>().toExtend<Parameters<Udp.UdpSocket["send"]>[1]>()
    compiled((unix: Unix.UnixListener = {} as never, server: SocketServer.SocketServer["Service"] = {} as never) => [
      PollerSocket.make({ address: unix.address }),
      PollerSocketServer.make({ address: unix.address }),
      PollerSocket.make({ address: server.address }),
      PollerSocketServer.make({ address: server.address }),
      PollerSocket.make({ address: { abstract: "name" } }),
      // @ts-expect-error a name is text
      PollerSocket.make({ address: { abstract: 7 } })
    ])
    compiled((reader: Effect.Success<DatagramSocket.DatagramSocket["reader"]> = {} as never) => [
      PollerDatagramSocket.make({ bind: reader.address, peer: reader.address }),
      PollerDatagramSocket.make({ connect: reader.address })
    ])
  })
})

describe("Udp", () => {
  it("has sockets of datagrams, each with its sender", () => {
    same<
      Same<
        Plain<Udp.UdpSocket>,
        Plain<
          Branded<"~effect-amy/UdpSocket"> & {
            readonly fd: number
            readonly localAddress: Effect.Effect<NetAddress.InetAddress, Failure>
            readonly send: (
              payload: Uint8Array,
              to?: NetAddress.InetAddressInput | Udp.Datagram
            ) => Effect.Effect<number, Failure>
            readonly trySend: (
              payload: Uint8Array,
              to?: NetAddress.InetAddressInput | Udp.Datagram
            ) => Effect.Effect<Option.Option<number>, Failure>
            readonly sendMany: (
              datagrams: ReadonlyArray<Udp.OutgoingDatagram | Udp.Datagram>
            ) => Effect.Effect<void, Failure>
            readonly receive: Effect.Effect<Udp.Datagram, Failure>
            readonly tryReceive: Effect.Effect<Option.Option<Udp.Datagram>, Failure>
            readonly receiveMany: Effect.Effect<readonly [Udp.Datagram, ...Array<Udp.Datagram>], Failure>
            readonly stream: Stream.Stream<Udp.Datagram, Failure>
            readonly connect: (address: NetAddress.InetAddressInput) => Effect.Effect<void, Failure>
            readonly disconnect: Effect.Effect<void, Failure>
            readonly joinMulticast: (options: Udp.JoinMulticastOptions) => Effect.Effect<void, Failure, Scope.Scope>
            readonly setOptions: (options: Udp.SetOptions) => Effect.Effect<void, Failure>
            readonly close: Effect.Effect<void, Failure>
            readonly take: Effect.Effect<number, Failure>
          }
        >
      >
    >(true)
    same<
      Same<
        Plain<Udp.Datagram>,
        Plain<
          Branded<"~effect-amy/Datagram"> & {
            readonly payload: Uint8Array
            readonly address: NetAddress.InetAddress
          }
        >
      >
    >(true)
    expectTypeOf<Loose<Udp.UdpSocket> | Loose<typeof Udp>>().toBeNever()
  })

  it("opens sockets in a scope, on a Registrar", () => {
    expectTypeOf(Udp.bind).toEqualTypeOf<
      (address: NetAddress.InetAddressInput, options?: Udp.BindOptions) => Opening<Udp.UdpSocket>
    >()
    expectTypeOf(Udp.fromFd).toEqualTypeOf<(fd: number) => Opening<Udp.UdpSocket>>()
    expect(Object.keys(Udp).toSorted()).toEqual(["bind", "fromFd", "isDatagram", "isUdpSocket"])
    compiled((socket: Udp.UdpSocket = {} as Udp.UdpSocket) => [
      Udp.bind("[::]:0", { broadcast: maybe, ttl: maybeNumber, multicastInterface: maybeNumber, reusePort: maybe }),
      socket.joinMulticast({ group: "224.0.0.1", interface: maybeNumber, source: undefined }),
      // @ts-expect-error a datagram is bytes
      socket.send("text"),
      // @ts-expect-error only a datagram that was received is one
      socket.send(new Uint8Array(), { payload: new Uint8Array(), address: "127.0.0.1:1" }),
      // @ts-expect-error it would have two owners
      Udp.fromFd(socket)
    ])
  })
})

describe("the services of effect/socket", () => {
  it("are made on a Registrar, with the errors of their modules", () => {
    expectTypeOf(PollerSocket.make).toEqualTypeOf<
      (options: PollerSocket.MakeOptions) => Effect.Effect<Socket.Socket, never, Registrar.Registrar>
    >()
    expectTypeOf(PollerSocket.layer).toEqualTypeOf<
      (options: PollerSocket.MakeOptions) => Layer.Layer<Socket.Socket, never, Registrar.Registrar>
    >()
    expectTypeOf(PollerSocketServer.make).toEqualTypeOf<
      (
        options: PollerSocketServer.MakeOptions
      ) => Effect.Effect<PollerSocketServer.Server, SocketServer.SocketServerError, Needs>
    >()
    expectTypeOf<PollerSocketServer.Server>().toExtend<SocketServer.SocketServer["Service"]>()
    expectTypeOf(PollerSocketServer.layer).toEqualTypeOf<
      (
        options: PollerSocketServer.MakeOptions
      ) => Layer.Layer<SocketServer.SocketServer, SocketServer.SocketServerError, Registrar.Registrar>
    >()
    expectTypeOf(PollerDatagramSocket.make).toEqualTypeOf<
      (
        options?: PollerDatagramSocket.MakeOptions
      ) => Effect.Effect<DatagramSocket.DatagramSocket, never, Registrar.Registrar>
    >()
    expectTypeOf(PollerDatagramSocket.layer).toEqualTypeOf<
      (
        options?: PollerDatagramSocket.MakeOptions
      ) => Layer.Layer<DatagramSocket.DatagramSocket, never, Registrar.Registrar>
    >()
    expectTypeOf<
      Loose<typeof PollerSocket> | Loose<typeof PollerSocketServer> | Loose<typeof PollerDatagramSocket>
    >().toBeNever()
  })

  it("of a stream require the services of its opening except for a scope", () => {
    compiled((open: Effect.Effect<Tcp.TcpStream, Failure, Service | Scope.Scope> = {} as never) => {
      const socket = PollerSocket.fromStream(open)
      expectTypeOf(socket).toEqualTypeOf<Effect.Effect<Socket.Socket, never, Service>>()
      return socket
    })
  })

  it("provide a handler with its connection, and require its other services", () => {
    type Address = NetAddress.InetAddress | Unix.UnixAddress
    same<
      Same<
        PollerSocket.Connection["Service"],
        {
          readonly localAddress: Effect.Effect<Address, Failure>
          readonly remoteAddress: Effect.Effect<Address, Failure>
          readonly socket: Tcp.TcpStream | Unix.UnixStream
        }
      >
    >(true)
    compiled((server: PollerSocketServer.Server = {} as PollerSocketServer.Server) => {
      const running = server.run(() =>
        Effect.gen(function* () {
          const { remoteAddress, socket } = yield* PollerSocket.Connection
          if (Tcp.isTcpStream(socket)) yield* socket.setOptions({ noDelay: maybe })
          else expectTypeOf(socket).toEqualTypeOf<Unix.UnixStream>()
          expectTypeOf(yield* Effect.map(remoteAddress, (address) => address)).toEqualTypeOf<Address>()
          yield* handler(undefined)
        })
      )
      expectTypeOf(running).toEqualTypeOf<Effect.Effect<never, SocketServer.SocketServerError, Service | Scope.Scope>>()
      return running
    })
  })

  it("are not made of an object that only looks like a stream", () => {
    compiled((stream: Plain<Omit<Tcp.TcpStream, "~effect-amy/TcpStream">> = {} as never) => [
      // @ts-expect-error it only has the same properties
      PollerSocket.fromStream(Effect.succeed(stream))
    ])
  })

  it("take one target", () => {
    compiled(() => [
      PollerSocket.make({ port: 80, host: undefined, openTimeout: maybeNumber, noDelay: maybe }),
      PollerSocketServer.make({ path: "/path", backlog: maybeNumber }),
      PollerDatagramSocket.make({ bind: { port: maybeNumber }, ttl: maybeNumber }),
      // @ts-expect-error a path or a port, not both
      PollerSocket.make({ path: "/path", port: 80 }),
      // @ts-expect-error a target is required
      PollerSocket.make({ host: "localhost" }),
      // @ts-expect-error a peer or a connection, not both
      PollerDatagramSocket.make({ peer: { address: "::1", port: 1 }, connect: { address: "::1", port: 1 } })
    ])
  })
})
