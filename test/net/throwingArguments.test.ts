/** Options and addresses whose reading throws, for every function that opens or changes a socket. */
import { assert, expect, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import {
  AsyncFd,
  CodecError,
  Fd,
  ForeignFd,
  LineReader,
  Notification,
  PollChannel,
  Poller,
  PollerDatagramSocket,
  PollerError,
  PollerSocket,
  PollerSocketServer,
  Registrar,
  Syscall,
  Tcp,
  Udp,
  Unix,
  UserEvent
} from "effect-amy"
import * as Kernel from "../support/kernel.ts"
import { describeLayers } from "../support/layers.ts"

const thrown = new Error("thrown by a getter")

const fail = (): never => {
  throw thrown
}

/** Returns an object with these properties, one of which throws when it is read. */
const throwing = (name: string, others: object = {}): never =>
  Object.defineProperty({ ...others }, name, { enumerable: true, get: fail }) as never

/** The same where the getter is inherited, as that of a class. */
const inheriting = (name: string, others: object = {}): never =>
  Object.assign(Object.create(throwing(name)) as object, others) as never

const revoked = (): never => {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy as never
}

const revokedArray = (): never => {
  const { proxy, revoke } = Proxy.revocable([], {})
  revoke()
  return proxy as never
}

/** Values that cannot be converted to a number or a text. */
const values = (): ReadonlyArray<never> => [
  Object.create(null) as never,
  { [Symbol.toPrimitive]: fail } as never,
  revoked(),
  revokedArray(),
  1n as never,
  Symbol("symbol") as never,
  null as never
]

type Made = Effect.Effect<unknown, unknown, Poller.Poller | Registrar.Registrar | Scope.Scope>
type Run = (argument: never) => Made

const inetAddress = "127.0.0.1:0"
const path = () => ({ abstract: `effect-amy ${process.pid} ${Math.random()}` })

/** The functions that take options, with those options. */
const withOptions: Readonly<Record<string, readonly [run: Run, ...names: ReadonlyArray<string>]>> = {
  "Tcp.listen": [
    (options) => Tcp.listen(inetAddress, options),
    "noDelay",
    "keepAlive",
    "sendBufferSize",
    "receiveBufferSize",
    "backlog",
    "reuseAddress",
    "reusePort",
    "ipv6Only"
  ],
  "Tcp.connect": [
    (options) => Effect.flatMap(Tcp.listen(inetAddress), ({ address }) => Tcp.connect(address, options)),
    "noDelay",
    "keepAlive",
    "sendBufferSize",
    "receiveBufferSize",
    "localAddress",
    "timeout"
  ],
  "TcpStream.setOptions": [
    (options) =>
      Effect.gen(function* () {
        const { address } = yield* Tcp.listen(inetAddress)
        const stream = yield* Tcp.connect(address)
        yield* stream.setOptions(options)
      }),
    "noDelay",
    "keepAlive",
    "sendBufferSize",
    "receiveBufferSize"
  ],
  keepAlive: [(keepAlive) => Tcp.listen(inetAddress, { keepAlive }), "idle", "interval", "count"],
  "Udp.bind": [
    (options) => Udp.bind(inetAddress, options),
    "broadcast",
    "ttl",
    "multicastTtl",
    "multicastLoopback",
    "multicastInterface",
    "sendBufferSize",
    "receiveBufferSize",
    "reuseAddress",
    "reusePort",
    "ipv6Only"
  ],
  "UdpSocket.setOptions": [
    (options) => Effect.flatMap(Udp.bind(inetAddress), (socket) => socket.setOptions(options)),
    "broadcast",
    "ttl",
    "multicastInterface",
    "sendBufferSize"
  ],
  "UdpSocket.joinMulticast": [
    (options) => Effect.flatMap(Udp.bind(inetAddress), (socket) => socket.joinMulticast(options)),
    "group",
    "interface",
    "source"
  ],
  "Unix.listen": [(options) => Unix.listen(path(), options), "backlog", "sendBufferSize", "receiveBufferSize"],
  "Unix.connect": [
    (options) => Effect.flatMap(Unix.listen(path()), ({ address }) => Unix.connect(address, options)),
    "sendBufferSize",
    "receiveBufferSize",
    "timeout"
  ],
  "UnixStream.setOptions": [
    (options) => Effect.flatMap(Unix.socketPair, ([one]) => one.setOptions(options)),
    "sendBufferSize",
    "receiveBufferSize"
  ],
  "PollerSocket.make": [
    (options) => Effect.flatMap(PollerSocket.make(options), ({ reader }) => reader),
    "address",
    "host",
    "port",
    "path",
    "noDelay",
    "keepAlive",
    "openTimeout"
  ],
  "PollerSocket.fromStream": [
    (options) => Effect.flatMap(PollerSocket.fromStream(Tcp.connect("127.0.0.1:1"), options), ({ reader }) => reader),
    "openTimeout"
  ],
  "PollerSocketServer.make": [
    (options) => PollerSocketServer.make(options),
    "address",
    "host",
    "port",
    "path",
    "backlog",
    "reusePort",
    "ipv6Only",
    "noDelay",
    "keepAlive"
  ],
  "PollerDatagramSocket.make": [
    (options) => Effect.flatMap(PollerDatagramSocket.make(options), ({ reader }) => reader),
    "bind",
    "family",
    "reuseAddress",
    "reusePort",
    "ipv6Only",
    "kernelReceiveBufferSize",
    "kernelSendBufferSize",
    "broadcast",
    "ttl",
    "multicast",
    "receiveBuffer",
    "onError",
    "connect",
    "peer"
  ],
  "PollerDatagramSocket.make, bind": [
    (bind) => Effect.flatMap(PollerDatagramSocket.make({ bind }), ({ reader }) => reader),
    "address",
    "port"
  ],
  "PollerDatagramSocket.make, connect": [
    (connect) => Effect.flatMap(PollerDatagramSocket.make({ connect }), ({ reader }) => reader),
    "address",
    "port"
  ],
  "PollerDatagramSocket.make, multicast": [
    (multicast) => Effect.flatMap(PollerDatagramSocket.make({ multicast }), ({ reader }) => reader),
    "interface",
    "loopback",
    "ttl"
  ],
  "PollerDatagramSocket.make, receiveBuffer": [
    (receiveBuffer) => Effect.flatMap(PollerDatagramSocket.make({ receiveBuffer }), ({ reader }) => reader),
    "capacity",
    "strategy"
  ],
  "ForeignFd.wait": [
    (options) =>
      Effect.gen(function* () {
        const { reader, writer } = yield* Fd.pipe
        yield* writer.tryWrite(Uint8Array.of(1))
        const foreign = yield* ForeignFd.make(reader)
        yield* foreign.wait("Read", options)
      }),
    "timeout"
  ],
  "ForeignFdSet.wait": [(options) => Effect.flatMap(ForeignFd.makeSet, (set) => set.wait(options)), "timeout"],
  "ForeignFd.waitFor": [
    (options) =>
      ForeignFd.drive((ready) =>
        Effect.succeed(ready.length > 0 ? ForeignFd.done(0) : ForeignFd.waitFor(-1, "Read", options))
      ),
    "timeout"
  ],
  "ForeignFd.waitForAny": [(fd) => ForeignFd.drive(() => Effect.succeed(ForeignFd.waitForAny([fd]))), "fd", "event"],
  "Syscall.call": [(options) => Syscall.call("close", () => -1, options), "fd", "address", "hasFailed"],
  "Syscall.unlessBlocked": [
    (options) => Syscall.unlessBlocked("close", () => -1, options),
    "fd",
    "address",
    "hasFailed"
  ],
  "Poller.layerBlocking": [(options) => Effect.provide(Effect.void, Poller.layerBlocking(options)), "allowMainThread"]
}

/** The functions that take an address, with the parts of one. */
const inet = ["address", "port"]
const unix = ["path", "abstract", "_tag"]
const withAddresses: Readonly<Record<string, readonly [run: Run, parts: ReadonlyArray<string>]>> = {
  "Tcp.listen": [(address) => Tcp.listen(address), inet],
  "Tcp.connect": [(address) => Tcp.connect(address), inet],
  "Tcp.connect, localAddress": [(localAddress) => Tcp.connect("127.0.0.1:1", { localAddress }), inet],
  "Udp.bind": [(address) => Udp.bind(address), inet],
  "UdpSocket.connect": [(address) => Effect.flatMap(Udp.bind(inetAddress), (socket) => socket.connect(address)), inet],
  "UdpSocket.send": [
    (address) => Effect.flatMap(Udp.bind(inetAddress), (socket) => socket.send(new Uint8Array(1), address)),
    inet
  ],
  "UdpSocket.trySend": [
    (address) => Effect.flatMap(Udp.bind(inetAddress), (socket) => socket.trySend(new Uint8Array(1), address)),
    inet
  ],
  "Unix.listen": [(address) => Unix.listen(address), unix],
  "Unix.connect": [(address) => Unix.connect(address), unix],
  "PollerSocket.make": [
    (address) => Effect.flatMap(PollerSocket.make({ address }), ({ reader }) => reader),
    ["path", "_tag", "address"]
  ],
  "PollerSocketServer.make": [(address) => PollerSocketServer.make({ address }), ["path", "_tag", "port"]]
}

/** Values of other kinds: a buffer's part, a list, the name of a choice. */
const withValues: Readonly<Record<string, Run>> = {
  "UnixStream.sendDescriptors": (fds) =>
    Effect.flatMap(Unix.socketPair, ([one]) => one.sendDescriptors(fds, new Uint8Array(1))),
  "UnixStream.sendDescriptors, one": (fd) =>
    Effect.flatMap(Unix.socketPair, ([one]) => one.sendDescriptors([fd], new Uint8Array(1))),
  "UnixStream.receiveDescriptors": (most) =>
    Effect.flatMap(Unix.socketPair, ([one]) => one.receiveDescriptors(new Uint8Array(1), most)),
  "read, offset": (offset) => Effect.flatMap(Unix.socketPair, ([one]) => one.read(new Uint8Array(1), offset)),
  "read, length": (length) => Effect.flatMap(Unix.socketPair, ([one]) => one.read(new Uint8Array(1), 0, length)),
  "read, buffer": (buffer) => Effect.flatMap(Unix.socketPair, ([one]) => one.read(buffer)),
  "tryRead, offset": (offset) => Effect.flatMap(Unix.socketPair, ([one]) => one.tryRead(new Uint8Array(1), offset)),
  "write, offset": (offset) => Effect.flatMap(Unix.socketPair, ([one]) => one.write(new Uint8Array(1), offset)),
  "tryWrite, offset": (offset) => Effect.flatMap(Unix.socketPair, ([one]) => one.tryWrite(new Uint8Array(1), offset)),
  "writeAll, offset": (offset) => Effect.flatMap(Unix.socketPair, ([one]) => one.writeAll(new Uint8Array(1), offset)),
  shutdown: (how) => Effect.flatMap(Unix.socketPair, ([one]) => one.shutdown(how)),
  "send, payload": (payload) => Effect.flatMap(Udp.bind(inetAddress), (socket) => socket.send(payload)),
  "Fd.tryRead, offset": (offset) => Effect.flatMap(Fd.pipe, ({ reader }) => reader.tryRead(new Uint8Array(1), offset)),
  "Fd.tryReadv": (buffers) => Effect.flatMap(Fd.pipe, ({ reader }) => reader.tryReadv(buffers)),
  "Fd.tryWritev": (buffers) => Effect.flatMap(Fd.pipe, ({ writer }) => writer.tryWritev(buffers)),
  "Fd.open": (path) => Fd.open(path, "read"),
  "Fd.open, access": (access) => Fd.open("/dev/null", access),
  "Fd.own": (fd) => Fd.own(fd),
  "Fd.eventfd": (initial) => Fd.eventfd(initial),
  "AsyncFd.read, offset": (offset) =>
    Effect.gen(function* () {
      const { reader } = yield* Fd.pipe
      yield* (yield* AsyncFd.make(reader, { event: "Read" })).read(new Uint8Array(1), offset)
    }),
  "Tcp.fromFd": (fd) => Tcp.fromFd(fd),
  "Unix.fromFd": (fd) => Unix.fromFd(fd),
  "Udp.fromFd": (fd) => Udp.fromFd(fd),
  "ForeignFd.make": (fd) => Effect.flatMap(ForeignFd.make(fd), (foreign) => foreign.wait("Read")),
  "ForeignFd.wait, event": (event) => Effect.flatMap(ForeignFd.make(0), (foreign) => foreign.wait(event)),
  "ForeignFdSet.update": (fd) =>
    Effect.flatMap(ForeignFd.makeSet, (set) => {
      set.update(fd, "Read")
      return set.wait()
    })
}

const reasonOf = (error: unknown): PollerError.PollerError["reason"] => {
  // The errors of `effect/socket` have ours as their cause.
  const own = PollerError.isPollerError(error)
    ? error
    : (error as { readonly reason: { readonly cause: unknown } }).reason.cause
  assert(PollerError.isPollerError(own))
  return own.reason
}

/** Runs, and expects that no descriptor is left open, and no registration. */
const unchanged = Effect.fnUntraced(function* <A, E, R>(use: Effect.Effect<A, E, R>) {
  // The alarm of this thread, which is opened for the first timer.
  const registrar = yield* Registrar.Registrar
  yield* registrar.cancelTimer(yield* registrar.timeout("1 hour"))
  const descriptors = Kernel.openDescriptors()
  const { stats } = yield* Poller.Poller
  const { registrations } = yield* stats
  yield* use
  expect(Kernel.openDescriptors()).toEqual(descriptors)
  expect((yield* stats).registrations).toBe(registrations)
})

const exitOf = (made: () => Made) => Effect.exit(Effect.scoped(Effect.suspend(made)))

const refusal = Effect.fnUntraced(function* (made: () => Made) {
  const exit = yield* exitOf(made)
  assert(exit._tag === "Failure")
  const [reason] = exit.cause.reasons
  assert(reason?._tag === "Fail")
  const found = reasonOf(reason.error)
  assert(found._tag === "InvalidArgument")
  return found
})

describeLayers("sockets, and arguments whose reading throws", (layer) => {
  it.live("an option that throws is refused with its cause, by every function", () =>
    Effect.gen(function* () {
      for (const [name, [run, ...names]] of Object.entries(withOptions)) {
        for (const option of names) {
          expect((yield* refusal(() => run(throwing(option)))).cause, `${name}, ${option}`).toBe(thrown)
        }
        expect((yield* refusal(() => run(inheriting(names[0]!)))).cause, name).toBe(thrown)
        expect((yield* refusal(() => run(revoked()))).cause, name).toBeInstanceOf(TypeError)
      }
    }).pipe(unchanged, Effect.scoped, Effect.provide(layer()))
  )

  it.live("an address that throws is refused with its cause, by every function", () =>
    Effect.gen(function* () {
      for (const [name, [run, parts]] of Object.entries(withAddresses)) {
        for (const part of parts) {
          // The other parts are there, or nothing would read this one.
          const others =
            parts === inet
              ? { address: "127.0.0.1", port: 1 }
              : part === "port"
                ? { address: "127.0.0.1" }
                : { port: 1 }
          expect((yield* refusal(() => run(throwing(part, others)))).cause, `${name}, ${part}`).toBe(thrown)
        }
        expect((yield* refusal(() => run(revoked()))).cause, name).toBeInstanceOf(TypeError)
      }
    }).pipe(unchanged, Effect.scoped, Effect.provide(layer()))
  )

  it.live("a value that has no text and no number is no defect", () =>
    Effect.gen(function* () {
      for (const [name, run] of Object.entries(withValues)) {
        for (const value of values())
          yield* Effect.as(
            refusal(() => run(value)),
            name
          )
      }
      for (const [run] of Object.values(withAddresses)) {
        for (const value of values().filter((each) => each !== null)) {
          yield* refusal(() => run(value))
          yield* refusal(() => run({ address: value, port: 1 } as never))
        }
      }
      for (const [name, [run, ...names]] of Object.entries(withOptions)) {
        for (const option of names) {
          // Effect itself calls a handler of errors that is invalid.
          if (option === "onError" || name.endsWith("receiveBuffer")) continue
          for (const value of values()) {
            const exit = yield* exitOf(() => run({ [option]: value } as never))
            if (exit._tag === "Failure") expect(exit.cause.reasons[0]?._tag, `${name}, ${option}`).toBe("Fail")
          }
        }
      }
    }).pipe(unchanged, Effect.scoped, Effect.provide(layer()))
  )
})

it("a revoked Proxy is of no type", () => {
  for (const is of [
    Tcp.isTcpStream,
    Tcp.isTcpListener,
    Udp.isUdpSocket,
    Udp.isDatagram,
    Unix.isUnixStream,
    Unix.isUnixListener,
    Fd.isFd,
    AsyncFd.isAsyncFd,
    ForeignFd.isForeignFd,
    ForeignFd.isForeignFdSet,
    UserEvent.isUserEvent,
    UserEvent.isUserEventHandle,
    Poller.isPollerHandle,
    PollChannel.isSenderHandle,
    PollChannel.isSender,
    PollChannel.isReceiver,
    PollerError.isPollerError,
    CodecError.isCodecError,
    Notification.isNotification,
    LineReader.isLineReader
  ]) {
    expect(is(revoked())).toBe(false)
  }
})
