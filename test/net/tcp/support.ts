/**
 * Helpers of the tests of Tcp: peers of node:net, the layers to run on, and a count of open
 * sockets.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Queue, type Scope } from "effect"
import { type Poller, type Registrar, Tcp } from "effect-amy"
import type * as NetAddress from "effect/net/NetAddress"
import { fork } from "node:child_process"
import { once } from "node:events"
import * as net from "node:net"
import { networkInterfaces } from "node:os"
import * as Kernel from "../../support/kernel.ts"
import { type LayerName, layers, nextLayers, type PollerLayer, readyNow, twoLayers } from "../../support/layers.ts"
import { until } from "../../support/observe.ts"
import { notLinux } from "../../support/platform.ts"
import { programUrl } from "../../support/programUrl.ts"
import { waiters } from "../../support/waiters.ts"

export { twoLayers, waiters }

type Test = Effect.Effect<unknown, unknown, Poller.Poller | Registrar.Registrar | Scope.Scope>

/** Runs the same tests on each layer, or on some. Each test must leave no socket open. */
export const describeTcp = (
  name: string,
  body: (
    live: (name: string, test: () => Test, timeout?: number) => void,
    layer: (options?: Poller.LayerOptions) => PollerLayer
  ) => void,
  names: ReadonlyArray<LayerName> = nextLayers()
): void => {
  for (const layerName of names) {
    describe(`${name} (${layerName})`, () => {
      body((name, test, timeout) => {
        it.live(
          name,
          () => leavesNothing(Effect.suspend(test).pipe(Effect.scoped, Effect.provide(layers[layerName]()))),
          timeout
        )
      }, layers[layerName])
    })
  }
}

export const hasIpv6 = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === "::1"))

/** Returns the sockets of this process. */
export const sockets = (): ReadonlyArray<number> =>
  [...Kernel.openDescriptors()].filter(([, what]) => what.startsWith("socket:")).map(([fd]) => fd)

/** Runs an effect, and expects as many sockets to be open afterwards as before. */
export const leavesNothing = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.gen(function* () {
    const before = sockets().length
    const result = yield* effect
    // Sockets of node:net are closed a little later.
    yield* until(() => sockets().length === before).pipe(Effect.timeoutOption("100 seconds"))
    expect(sockets().length, "sockets left open, or closed that were not ours").toBe(before)
    return result
  })

/** A turn of the event loop. */
export const turn = Effect.promise(() => new Promise(setImmediate))

/** Starts a server of node:net. The scope closes it and its connections, and frees its port. */
export const nodeServer = (
  onConnection: (socket: net.Socket) => void,
  options: net.ServerOpts = {},
  host = "127.0.0.1"
): Effect.Effect<number, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const open = new Set<net.Socket>()
      const server = net.createServer({ allowHalfOpen: true, ...options }, (socket) => {
        open.add(socket)
        socket.on("error", () => {}).on("close", () => open.delete(socket))
        onConnection(socket)
      })
      server.listen(0, host)
      await once(server, "listening")
      return { server, open }
    }),
    ({ open, server }) =>
      Effect.promise(async () => {
        for (const socket of open) socket.destroy()
        server.close()
        await once(server, "close")
      })
  ).pipe(Effect.map(({ server }) => (server.address() as net.AddressInfo).port))

/** Connects by node:net. The connection is paused: it reads nothing by itself. */
export const nodeClient = (port: number, host = "127.0.0.1"): Effect.Effect<net.Socket, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const socket = net.connect({ port, host, allowHalfOpen: true })
      await once(socket, "connect")
      socket.on("error", () => {}).pause()
      return socket
    }),
    (socket) => Effect.sync(() => void socket.destroy())
  )

/** Reads everything that a socket of node:net receives until its end. */
export const receiveAll = (socket: net.Socket): Effect.Effect<Buffer> =>
  Effect.promise(async () => {
    const chunks: Array<Buffer> = []
    for await (const chunk of socket.iterator({ destroyOnReturn: false })) chunks.push(chunk as Buffer)
    return Buffer.concat(chunks)
  })

/** Reads a number of bytes. */
export const receive = (socket: net.Socket, count: number): Effect.Effect<string> =>
  Effect.promise(async () => {
    const chunks: Array<Buffer> = []
    for (let left = count; left > 0;) {
      const chunk = socket.read() as Buffer | null
      if (chunk === null) {
        if (socket.readableEnded) break
        await once(socket, "readable")
      } else {
        chunks.push(chunk)
        left -= chunk.length
      }
    }
    return Buffer.concat(chunks).toString()
  })

/** Connects a peer of node:net to a listener of ours. */
export const withNodePeer = (options?: Tcp.ListenOptions, address: NetAddress.InetAddressInput = "127.0.0.1:0") =>
  Effect.gen(function* () {
    const listener = yield* Tcp.listen(address, options)
    const peer = yield* nodeClient(listener.address.port)
    return { listener, peer, connection: yield* listener.accept }
  })

/** The two ends of a connection, both of them ours. */
export const pair = Effect.gen(function* () {
  const listener = yield* Tcp.listen("127.0.0.1:0")
  const client = yield* Tcp.connect(listener.address)
  return { listener, client, server: yield* listener.accept }
})

export const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)

/** Reads exactly a number of bytes, or fewer at the end. */
export const readText = (connection: Tcp.TcpStream, count: number) =>
  Effect.gen(function* () {
    const buffer = new Uint8Array(count)
    let length = 0
    while (length < count) {
      const read = yield* connection.read(buffer, length)
      if (read === 0) break
      length += read
    }
    return new TextDecoder().decode(buffer.subarray(0, length))
  })

/** Returns a generator of numbers from 0 to 1, the same ones for the same seed. */
export const randomNumbers = (seed: number): (() => number) => {
  let state = seed
  return () => {
    state = (state + 0x6d2b_79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000
  }
}

/** Starts an effect that has to wait, and returns once it waits. */
export const startWaiting = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const before = yield* waiters
    const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
    for (;;) {
      yield* readyNow
      expect(fiber.pollUnsafe(), "it did not have to wait").toBeUndefined()
      if ((yield* waiters) > before) return fiber
      yield* turn
    }
  })

/**
 * Returns whether the peer has no room at all, and has acknowledged all bytes (`TCP_INFO`). As long
 * as it has a little room, the kernel sends a few bytes now and then, after which there is room
 * here. Other systems than Linux are given a moment to show that there is room.
 */
const isStuck = (fd: number): boolean => {
  if (notLinux) return !Kernel.hasRoomSoon(fd)
  const info = Kernel.option(fd, 6, 11, 64)
  const unacknowledged = info[6]
  const window = info[57]
  return unacknowledged === 0 && window === 0
}

/** Writes until there is no more room anywhere. Returns how many bytes were accepted. */
export const fill = (connection: Tcp.TcpStream) =>
  Effect.gen(function* () {
    const chunk = new Uint8Array(65_536)
    let total = 0
    for (;;) {
      const fiber = yield* Effect.forkChild(connection.write(chunk), { startImmediately: true })
      let stuck = false
      while (fiber.pollUnsafe() === undefined && !stuck) {
        stuck = isStuck(connection.fd)
        // Earlier acknowledgements have arrived by then.
        yield* Effect.andThen(readyNow, turn)
      }
      if (fiber.pollUnsafe() === undefined) {
        yield* Fiber.interrupt(fiber)
        const exit = yield* Fiber.await(fiber)
        return Exit.isSuccess(exit) ? total + exit.value : total
      }
      total += yield* Fiber.join(fiber)
    }
  })

/** A listener whose backlog is full: connecting to it waits until it accepts. */
export const fullListener = Effect.gen(function* () {
  const listener = yield* Tcp.listen("127.0.0.1:0", { backlog: 0 })
  const first = yield* Tcp.connect(listener.address)
  return { listener, first }
})

/** Starts a program of test/programs as a process. The scope kills it. */
export const startProcess = (name: string, args: ReadonlyArray<string> = []) =>
  Effect.gen(function* () {
    const messages = yield* Queue.unbounded<unknown>()
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        fork(programUrl(`programs/${name}`), args, {
          execArgv: ["--conditions=effect-amy-source"],
          stdio: ["ignore", "pipe", "pipe", "ipc"]
        })
      ),
      (child) => Effect.sync(() => void child.kill("SIGKILL"))
    )
    let output = ""
    child.stdout!.on("data", (chunk: Buffer) => (output += chunk.toString()))
    child.stderr!.on("data", (chunk: Buffer) => (output += chunk.toString()))
    child.on("message", (message) => Queue.offerUnsafe(messages, message))
    const ended = new Promise<{ readonly code: number | null; readonly signal: string | null }>((resolve) =>
      child.on("close", (code, signal) => resolve({ code, signal }))
    )
    return {
      child,
      output: () => output,
      next: Effect.timeout(Queue.take(messages), "100 seconds"),
      ended: Effect.promise(() => ended)
    }
  })
