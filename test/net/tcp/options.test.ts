/** Options reach the kernel. The tests ask it for them, with the numbers of its headers. */
import { expect } from "@effect/vitest"
import { Effect } from "effect"
import { Tcp } from "effect-amy"
import * as Kernel from "../../support/kernel.ts"
import { until } from "../../support/observe.ts"
import { reasonOf } from "../../support/outcome.ts"
import { isWindows, notLinux } from "../../support/platform.ts"
import { describeTcp, nodeClient, nodeServer, twoLayers } from "./support.ts"

/** SOL_SOCKET, and the numbers of the options: all systems but Linux have those of BSD, for most. */
const level = notLinux ? 0xffff : 1
const [KEEPALIVE, REUSE, SNDBUF, RCVBUF] = notLinux ? [8, isWindows ? -5 : 4, 0x1001, 0x1002] : [9, 2, 7, 8]
const probes = notLinux ? (isWindows ? [3, 17, 16] : [0x10, 0x101, 0x102]) : [4, 5, 6]

const socketOption = (fd: number, level: number, name: number) => Kernel.option(fd, level, name)[0]!
const noDelay = (fd: number) => socketOption(fd, 6, 1)
const keepAlive = (fd: number) => [
  // Other systems return the number of the option in place of 1.
  socketOption(fd, level, KEEPALIVE) === 0 ? 0 : 1,
  ...probes.map((name) => socketOption(fd, 6, name))
]
const sendBuffer = (fd: number) => socketOption(fd, level, SNDBUF)
const receiveBuffer = (fd: number) => socketOption(fd, level, RCVBUF)
const reuses = (fd: number) => socketOption(fd, level, REUSE) !== 0

const options: Tcp.SetOptions = {
  noDelay: false,
  keepAlive: { idle: "7 seconds", interval: "3500 millis", count: 5 },
  sendBufferSize: 50_000,
  receiveBufferSize: 60_000
}

const expectOptions = (fd: number) => {
  expect(noDelay(fd)).toBe(0)
  // The kernel counts whole seconds, so a fraction is rounded up.
  expect(keepAlive(fd)).toEqual([1, 7, 4, 5])
  // Linux returns twice what was asked for.
  expect(sendBuffer(fd)).toBe(notLinux ? 50_000 : 100_000)
  expect(receiveBuffer(fd)).toBe(notLinux ? 60_000 : 120_000)
}

describeTcp(
  "options of Tcp",
  (live) => {
    live("connections send at once and are not probed, by default", () =>
      Effect.gen(function* () {
        const notGiven = { noDelay: undefined, keepAlive: undefined, sendBufferSize: undefined, timeout: undefined }
        const listener = yield* Tcp.listen("127.0.0.1:0", notGiven)
        const client = yield* Tcp.connect(listener.address, notGiven)
        const another = yield* Tcp.connect(listener.address)
        for (const { fd } of [client, another, yield* listener.accept]) {
          expect(noDelay(fd)).toBe(1)
          expect(keepAlive(fd)[0]).toBe(0)
        }
      })
    )

    live("accepted connections get the options of their listener", () =>
      Effect.gen(function* () {
        const listener = yield* Tcp.listen("127.0.0.1:0", options)
        yield* nodeClient(listener.address.port)
        expectOptions((yield* listener.accept).fd)
      })
    )

    live("connect sets the options of the connection", () =>
      Effect.gen(function* () {
        const port = yield* nodeServer(() => {})
        expectOptions((yield* Tcp.connect({ address: "127.0.0.1", port }, options)).fd)
      })
    )

    live("setOptions changes the options that are given, and no others", () =>
      Effect.gen(function* () {
        const port = yield* nodeServer(() => {})
        const connection = yield* Tcp.connect({ address: "127.0.0.1", port })
        yield* connection.setOptions(options)
        expectOptions(connection.fd)
        yield* connection.setOptions({ noDelay: true })
        expect(noDelay(connection.fd)).toBe(1)
        expect(keepAlive(connection.fd)).toEqual([1, 7, 4, 5])
        yield* connection.setOptions({ keepAlive: false })
        expect(keepAlive(connection.fd)[0]).toBe(0)
        yield* connection.setOptions({ keepAlive: true })
        expect(keepAlive(connection.fd)).toEqual([1, 7, 4, 5])
        expect(noDelay(connection.fd)).toBe(1)
      })
    )

    live("reuseAddress is on by default", () =>
      Effect.gen(function* () {
        expect(reuses((yield* Tcp.listen("127.0.0.1:0")).fd)).toBe(true)
        expect(reuses((yield* Tcp.listen("127.0.0.1:0", { reuseAddress: false })).fd)).toBe(false)
      })
    )

    live("reusePort lets several listeners share a port, and each connection reaches one of them", () =>
      Effect.gen(function* () {
        const first = yield* Tcp.listen("127.0.0.1:0", { reusePort: true })
        expect(yield* reasonOf(Tcp.listen(first.address))).toBe("AddressInUse")
        const second = yield* Tcp.listen(first.address, { reusePort: true })
        let accepted = 0
        for (const listener of [first, second]) {
          yield* Effect.forkChild(Effect.forever(Effect.tap(listener.accept, () => Effect.sync(() => accepted++))))
        }
        for (let i = 0; i < 20; i++) {
          const client = yield* Tcp.connect(first.address)
          yield* client.shutdown("write")
        }
        yield* until(() => accepted === 20)
      })
    )

    live("backlog limits the connections that wait", () =>
      Effect.gen(function* () {
        const listener = yield* Tcp.listen("127.0.0.1:0", { backlog: 3 })
        // Linux lets one more connection wait.
        for (let i = 0; i < 4; i++) yield* Tcp.connect(listener.address)
        expect(yield* reasonOf(Tcp.connect(listener.address, { timeout: 100 }))).toBe("TimedOut")
        yield* listener.accept
        yield* Tcp.connect(listener.address)
      })
    )
  },
  twoLayers
)
