/** Options that are true or false: nothing else is taken for one of them, and nothing is done then. */
import { describe, expect, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import {
  AsyncFd,
  Poller,
  PollerDatagramSocket,
  PollerSocket,
  PollerSocketServer,
  type Registrar,
  Registrar as Registering,
  Tcp,
  Udp
} from "effect-amy"
import * as Kernel from "../support/kernel.ts"
import { sockets } from "../net/tcp/support.ts"

type Needs = Registrar.Registrar | Poller.Poller | Scope.Scope
type Use = (options: never) => Effect.Effect<unknown, unknown, Needs>

/** Reads the error of a socket of `effect/socket`, which has the poller's as its cause. */
const causeOf = (error: unknown): unknown => {
  const { cause, reason } = error as { readonly cause?: unknown; readonly reason?: { readonly cause?: unknown } }
  return cause ?? (reason?.cause === undefined ? error : causeOf(reason.cause))
}

const sending = (connection: Tcp.TcpStream) => connection.setOptions as Use
const connected = Effect.flatMap(Tcp.listen("127.0.0.1:0"), ({ address }) => Tcp.connect(address))

const uses: { readonly [name: string]: readonly [Use, ReadonlyArray<string>] } = {
  "Tcp.listen": [
    (options) => Tcp.listen("127.0.0.1:0", options),
    ["reuseAddress", "reusePort", "ipv6Only", "noDelay", "keepAlive"]
  ],
  "Tcp.connect": [(options) => Tcp.connect("127.0.0.1:1", options), ["noDelay", "keepAlive"]],
  "TcpStream.setOptions": [
    (options) => Effect.flatMap(connected, (connection) => sending(connection)(options)),
    ["noDelay", "keepAlive"]
  ],
  "Udp.bind": [
    (options) => Udp.bind("127.0.0.1:0", options),
    ["reuseAddress", "reusePort", "ipv6Only", "broadcast", "gro", "multicastLoopback"]
  ],
  "UdpSocket.setOptions": [
    (options) => Effect.flatMap(Udp.bind("127.0.0.1:0"), (socket) => socket.setOptions(options)),
    ["broadcast", "gro", "multicastLoopback"]
  ],
  PollerSocketServer: [
    (options: object) => PollerSocketServer.make({ host: "127.0.0.1", port: 0, ...options }),
    ["reusePort", "ipv6Only", "noDelay", "keepAlive"]
  ],
  PollerSocket: [
    (options: object) =>
      Effect.flatMap(PollerSocket.make({ host: "127.0.0.1", port: 1, ...options }), ({ reader }) => reader),
    ["noDelay", "keepAlive"]
  ],
  PollerDatagramSocket: [
    (options) => Effect.flatMap(PollerDatagramSocket.make(options), ({ reader }) => reader),
    ["reuseAddress", "reusePort", "ipv6Only", "broadcast"]
  ],
  "PollerDatagramSocket, multicast": [
    (multicast: object) => Effect.flatMap(PollerDatagramSocket.make({ multicast }), ({ reader }) => reader),
    ["loopback"]
  ],
  "Registrar.register": [
    (options) => Effect.flatMap(wrapped, (fd) => Registering.register(fd, "Read", options)),
    ["priority", "exclusive"]
  ],
  "AsyncFd.make": [(options) => Effect.flatMap(wrapped, (fd) => AsyncFd.make(fd, options)), ["priority"]]
}

const wrapped = Effect.acquireRelease(
  Effect.sync(() => Kernel.tcpPair()),
  (pair) => Effect.sync(() => pair.forEach(Kernel.close))
).pipe(Effect.map(([near]) => near))

describe("what must be true or false", () => {
  for (const [name, [use, options]] of Object.entries(uses)) {
    for (const option of options) {
      it.live(`is refused if it is neither: ${option} of ${name}`, () =>
        Effect.gen(function* () {
          const before = sockets().length
          for (const value of ["false", "yes", "", 0, 1, NaN, null, Symbol("yes")]) {
            const error = causeOf(yield* Effect.flip(Effect.scoped(use({ [option]: value } as never))))
            expect(error).toMatchObject({ _tag: "PollerError", reason: { _tag: "InvalidArgument" } })
            expect(String(error)).toContain(option)
            expect(String(error)).toMatch(/true(,| or) false/)
          }
          expect(sockets().length).toBe(before)
        }).pipe(Effect.scoped, Effect.provide(Poller.layerWorker()))
      )
    }
  }
})
