/**
 * Two implementations of the services of `effect/socket`, to compare, and helpers to read from
 * them.
 */
import { NodeSocket, NodeSocketServer } from "@effect/platform-node"
import { describe, expect } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { NetAddress } from "effect/net"
import type { Socket, SocketServer } from "effect/socket"
import { PollerSocket, PollerSocketServer, type Registrar } from "effect-amy"
import * as Kernel from "./kernel.ts"
import { layers, type PollerLayer, someLayer, twoLayers } from "./layers.ts"
import { turn, waiters } from "./watched.ts"

export type Where = { readonly host: string; readonly port: number } | { readonly path: string }

type Listen = (
  where: Where
) => Effect.Effect<
  SocketServer.SocketServer["Service"],
  SocketServer.SocketServerError,
  Registrar.Registrar | Scope.Scope
>

type Connect = (
  options: Where & { readonly openTimeout?: number }
) => Effect.Effect<Socket.Socket, never, Registrar.Registrar>

export interface Sockets {
  readonly listen: Listen
  readonly connect: Connect
}

interface Row extends Sockets {
  readonly name: string
  readonly layer: () => PollerLayer
}

const ours: Sockets = { listen: PollerSocketServer.make, connect: PollerSocket.make }
const nodes: Sockets = { listen: NodeSocketServer.make, connect: NodeSocket.makeNet }

/** The implementation of Node is the reference. Ours has to agree with it, and to work with it. */
const rows: ReadonlyArray<Row> = [
  { name: "Node's", layer: someLayer, ...nodes },
  ...twoLayers.map((name) => ({
    name: `ours, ${name}`,
    layer: layers[name],
    connect: ours.connect,
    listen: ours.listen
  })),
  { name: "our client, Node's server", layer: someLayer, connect: ours.connect, listen: nodes.listen },
  { name: "Node's client, our server", layer: someLayer, connect: nodes.connect, listen: ours.listen }
]

/**
 * Runs the same tests on every implementation. `run` provides the poller, and checks that nothing
 * stays open.
 */
export const describeSockets = (
  name: string,
  body: (
    sockets: Sockets,
    run: <A, E>(test: Effect.Effect<A, E, Registrar.Registrar | Scope.Scope>) => Effect.Effect<void, unknown>
  ) => void
): void => {
  for (const { layer, name: rowName, ...sockets } of rows) {
    describe(`${name} (${rowName})`, () => {
      body(sockets, (test) => Effect.provide(leavesNoSockets(test), layer()))
    })
  }
}

export const describeOurs = (name: string, body: Parameters<typeof describeSockets>[1]): void => {
  for (const { layer, name: rowName } of rows) {
    if (!rowName.startsWith("ours,")) continue
    describe(`${name} (${rowName})`, () => {
      body(ours, (test) => Effect.provide(leavesNoSockets(test), layer()))
    })
  }
}

const openSockets = () =>
  [...Kernel.openDescriptors()].filter(([, target]) => target.startsWith("socket:")).map(([, target]) => target)

/** Node closes a socket a few turns after the program does. */
const leavesNoSockets = <A, E, R>(test: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const before = openSockets()
    yield* Effect.scoped(test)
    for (let turns = 0; turns < 10_000 && openSockets().length > before.length; turns++) yield* turn
    expect(openSockets()).toEqual(before)
    expect(yield* waiters).toBe(0)
  })

/** Returns where a server listens, with the port that the kernel chose. */
export const whereIs = ({ address }: SocketServer.SocketServer["Service"]): Where =>
  NetAddress.isInetAddress(address) ? { host: "127.0.0.1", port: address.port } : { path: address.path }

export const anyPort: Where = { host: "127.0.0.1", port: 0 }

/** Runs a server until the scope closes. Returns a socket that connects to it. */
export const serving = <E, R>(
  { connect, listen }: Sockets,
  handler: (socket: Socket.Socket) => Effect.Effect<unknown, E, R>
) =>
  Effect.gen(function* () {
    const server = yield* listen(anyPort)
    yield* Effect.forkScoped(server.run(handler), { startImmediately: true })
    return yield* connect(whereIs(server))
  })

/**
 * Makes a peer that is a bare descriptor: `accepted` is the connection once the socket's reader is
 * acquired.
 */
export const rawPeer = ({ connect }: Sockets) =>
  Effect.gen(function* () {
    const listener = yield* Effect.acquireRelease(Effect.sync(Kernel.listen), ({ fd }) =>
      Effect.sync(() => Kernel.close(fd))
    )
    const accepted = Effect.acquireRelease(
      Effect.gen(function* () {
        for (;;) {
          const fd = Kernel.accept(listener.fd)
          if (fd !== -1) return fd
          yield* turn
        }
      }),
      (fd) => Effect.sync(() => Kernel.isOpen(fd) && Kernel.close(fd))
    )
    return { accepted, socket: yield* connect({ host: "127.0.0.1", port: listener.port }) }
  })

/** Sends back everything that arrives, until the end. */
export const echo = (socket: Socket.Socket) =>
  Effect.gen(function* () {
    const { pull } = yield* socket.reader
    const { writeAll } = yield* socket.writer
    yield* Effect.forever(Effect.flatMap(pull, writeAll))
  }).pipe(Effect.scoped, Effect.ignore)

type Pull = Socket.Reader["pull"]

/** Pulls a number of bytes, and expects no more. */
export const pullBytes = (pull: Pull, count: number) =>
  Effect.gen(function* () {
    const chunks: Array<Buffer> = []
    let length = 0
    while (length < count) {
      for (const chunk of yield* pull) {
        const bytes = Buffer.from(chunk as Uint8Array)
        chunks.push(bytes)
        length += bytes.length
      }
    }
    expect(length).toBe(count)
    return Buffer.concat(chunks)
  })

export const pullText = (pull: Pull, expected: string) =>
  Effect.map(pullBytes(pull, Buffer.byteLength(expected)), (bytes) => expect(bytes.toString()).toBe(expected))

/** Pulls until it fails. Returns the bytes that came before, and how it ended. */
export const pullToEnd = (pull: Pull) =>
  Effect.gen(function* () {
    const chunks: Array<Buffer> = []
    const error = yield* Effect.flip(
      Effect.forever(
        Effect.map(pull, (some) => {
          for (const chunk of some) chunks.push(Buffer.from(chunk as Uint8Array))
        })
      )
    )
    return { bytes: Buffer.concat(chunks), end: told(error) }
  })

/** Returns what has to be the same of an error in every implementation. */
export const told = ({ reason }: Socket.SocketError): string =>
  reason._tag === "SocketCloseError"
    ? `${reason._tag} ${reason.code}`
    : reason._tag === "SocketOpenError"
      ? `${reason._tag} ${reason.kind}`
      : reason._tag

/** Returns how an effect fails. */
export const failureOf = <A, R>(effect: Effect.Effect<A, Socket.SocketError, R>) =>
  Effect.map(Effect.flip(effect), told)
