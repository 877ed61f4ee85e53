/**
 * Thousands of connections are opened, used, half-closed, reset and closed in random order. Every
 * byte is checked.
 */
import { expect } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { Tcp } from "effect-amy"
import { once } from "node:events"
import * as net from "node:net"
import { times } from "../../support/long.ts"
import * as Kernel from "../../support/kernel.ts"
import { reasonOf } from "../../support/outcome.ts"
import { describeTcp, nodeServer, randomNumbers, twoLayers, waiters } from "./support.ts"

type Random = () => number

/** How a connection ends, as its client wants it. */
type End =
  /** The client ends first, and reads until the server has ended too. */
  | "half-close"
  /** The client asks the server to end first, and then still sends something. */
  | "half-close by the server"
  /** The client closes without waiting for the response. */
  | "close"
  /** The client asks the server to reset the connection. */
  | "reset by the server"
  /** The client resets the connection in mid-stream. */
  | "reset"

const ends: ReadonlyArray<End> = ["half-close", "half-close by the server", "close", "reset by the server", "reset"]

/**
 * The bytes that a client sends first: how its connection ends, its number, and how many bytes
 * follow.
 */
const headerSize = 12

/**
 * Returns the byte at an offset of one connection's stream. It is wrong if bytes are lost, doubled,
 * or of another stream.
 */
const byteAt = (seed: number, place: number): number =>
  (Math.imul(seed + 1, 2_654_435_761) + place * 7 + (place >>> 8)) & 0xff

const pattern = (seed: number, length: number, from = 0): Uint8Array => {
  const bytes = new Uint8Array(length)
  for (let i = 0; i < length; i++) bytes[i] = byteAt(seed, from + i)
  return bytes
}

const header = (end: End, seed: number, length: number): Uint8Array => {
  const bytes = new Uint8Array(headerSize)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, ends.indexOf(end))
  view.setUint32(4, seed)
  view.setUint32(8, length)
  return bytes
}

interface Plan {
  readonly seed: number
  readonly end: End
  readonly length: number
  /** The size of the pieces, about. */
  readonly piece: number
}

const planFor = (seed: number, random: Random): Plan => ({
  seed,
  end: ends[Math.floor(random() * ends.length)]!,
  // Mostly small, and at times more than the buffers of a socket hold at first.
  length: Math.floor(random() ** 4 * 100_000),
  piece: 1 + Math.floor(random() * 30_000)
})

/** Expects bytes to be the next ones of a connection. */
const checker = (seed: number) => {
  let place = 0
  return {
    next(bytes: Uint8Array): void {
      for (const byte of bytes) {
        if (byte !== byteAt(seed, place)) throw new Error(`connection ${seed} differs at byte ${place}`)
        place++
      }
    },
    get count() {
      return place
    }
  }
}

const readExactly = (connection: Tcp.TcpStream, length: number) =>
  Effect.gen(function* () {
    const bytes = new Uint8Array(length)
    for (let read = 0; read < length;) {
      const count = yield* connection.read(bytes, read)
      if (count === 0) return bytes.subarray(0, read)
      read += count
    }
    return bytes
  })

/** SO_LINGER of zero seconds: closing resets the connection. */
const breakOff = (connection: Tcp.TcpStream) => Effect.map(connection.take, Kernel.closeWithReset)

/** Echoes a number of bytes, and then does its part of the end. */
const serve = (connection: Tcp.TcpStream) =>
  Effect.gen(function* () {
    const first = yield* readExactly(connection, headerSize)
    if (first.length < headerSize) return
    const view = new DataView(first.buffer)
    const end = ends[view.getUint32(0)]!
    const left = view.getUint32(8)
    const buffer = new Uint8Array(16_384)
    for (let echoed = 0; echoed < left;) {
      const count = yield* connection.read(buffer, 0, Math.min(buffer.length, left - echoed))
      if (count === 0) return
      yield* connection.writeAll(buffer, 0, count)
      echoed += count
    }
    if (end === "reset by the server") {
      // Only once the client has all bytes, because a reset loses those on their way.
      yield* readExactly(connection, 1)
      return yield* breakOff(connection)
    }
    if (end === "half-close by the server") {
      yield* connection.shutdown("write")
      const check = checker(view.getUint32(4))
      check.next(yield* readExactly(connection, 100))
      expect(check.count).toBe(100)
    }
    // Reads to the client's end, because closing with unread bytes would reset the connection.
    while ((yield* connection.read(buffer)) > 0);
    if (end === "half-close") yield* connection.shutdown("write")
  }).pipe(
    // Some clients close without waiting.
    Effect.catchReasons("PollerError", { ConnectionReset: () => Effect.void, BrokenPipe: () => Effect.void })
  )

const useOurs = (port: number, { end, length, piece, seed }: Plan) =>
  Effect.gen(function* () {
    const connection = yield* Tcp.connect({ address: "127.0.0.1", port })
    yield* connection.writeAll(header(end, seed, length))
    const writing = yield* Effect.forkChild(
      Effect.gen(function* () {
        for (let sent = 0; sent < length; sent += piece) {
          yield* connection.writeAll(pattern(seed, Math.min(piece, length - sent), sent))
        }
      })
    )
    const check = checker(seed)
    const wanted = end === "close" || end === "reset" ? Math.floor(length / 2) : length
    check.next(yield* readExactly(connection, wanted))
    expect([seed, end, check.count]).toEqual([seed, end, wanted])
    if (end === "reset" || end === "close") {
      yield* Fiber.interrupt(writing)
      return yield* end === "reset" ? breakOff(connection) : connection.close
    }
    yield* Fiber.join(writing)
    const one = new Uint8Array(1)
    if (end === "reset by the server") {
      yield* connection.writeAll(one)
      expect(yield* reasonOf(connection.read(one))).toBe("ConnectionReset")
    } else if (end === "half-close by the server") {
      expect(yield* connection.read(one)).toBe(0)
      yield* connection.writeAll(pattern(seed, 100))
    } else {
      yield* connection.shutdown("write")
      expect(yield* connection.read(one)).toBe(0)
    }
  }).pipe(Effect.scoped)

/** Does the same by node:net. */
const useNode = (port: number, { end, length, piece, seed }: Plan) =>
  Effect.promise(async () => {
    const socket = net.connect({ port, host: "127.0.0.1", allowHalfOpen: true })
    const errors: Array<string> = []
    socket.on("error", (error: NodeJS.ErrnoException) => errors.push(error.code ?? error.message))
    const closed = new Promise((resolve) => socket.on("close", resolve))
    await once(socket, "connect")
    socket.write(header(end, seed, length))
    for (let sent = 0; sent < length; sent += piece) {
      socket.write(pattern(seed, Math.min(piece, length - sent), sent))
    }
    const check = checker(seed)
    const wanted = end === "close" || end === "reset" ? Math.floor(length / 2) : length
    await new Promise<void>((resolve) => {
      const look = () => {
        if (check.count >= wanted) resolve()
      }
      socket.on("data", (chunk: Buffer) => {
        check.next(chunk)
        look()
      })
      socket.on("close", resolve)
      look()
    })
    expect([seed, end, Math.min(check.count, wanted)]).toEqual([seed, end, wanted])
    switch (end) {
      case "reset":
        socket.resetAndDestroy()
        break
      case "close":
        socket.destroy()
        break
      case "reset by the server":
        socket.write("x")
        await closed
        expect(errors).toEqual(["ECONNRESET"])
        break
      case "half-close by the server":
        if (!socket.readableEnded) await once(socket, "end")
        socket.end(pattern(seed, 100))
        break
      case "half-close":
        socket.end()
        if (!socket.readableEnded) await once(socket, "end")
    }
    await closed
  })

/** A server of node:net that does what `serve` does. */
const serveNode = (socket: net.Socket): void => {
  let first = Buffer.alloc(0)
  let left = -1
  let end: End | undefined
  socket.on("data", (chunk: Buffer) => {
    if (left === -1) {
      first = Buffer.concat([first, chunk])
      if (first.length < headerSize) return
      end = ends[first.readUInt32BE(0)]!
      left = first.readUInt32BE(8)
      chunk = first.subarray(headerSize)
    }
    const echoed = chunk.subarray(0, left)
    left -= echoed.length
    if (echoed.length > 0) socket.write(echoed)
    if (left > 0) return
    if (end === "half-close by the server" && !socket.writableEnded) socket.end()
    // As above: one byte more from the client says that it has all bytes.
    if (end === "reset by the server" && chunk.length > echoed.length) socket.resetAndDestroy()
  })
  socket.on("end", () => socket.end())
}

const count = times(500, 2500)
const atATime = 200

describeTcp(
  "connections opened, used, half-closed, reset and closed in random order",
  (live) => {
    live(`work with our sockets on both sides, ${count} times`, () =>
      Effect.gen(function* () {
        const random = randomNumbers(41)
        const listener = yield* Tcp.listen("127.0.0.1:0")
        let failed: unknown
        yield* Effect.forkChild(
          listener.run((connection) =>
            Effect.onError(serve(connection), (cause) => Effect.sync(() => (failed ??= cause)))
          )
        )
        const plans = Array.from({ length: count }, (_, seed) => planFor(seed, random))
        yield* Effect.forEach(plans, (plan) => useOurs(listener.address.port, plan), {
          concurrency: atATime,
          discard: true
        })
        expect(failed).toBeUndefined()
      })
    )

    live(`work with clients of node:net, ${count / 2} times`, () =>
      Effect.gen(function* () {
        const random = randomNumbers(42)
        const listener = yield* Tcp.listen("127.0.0.1:0")
        let failed: unknown
        yield* Effect.forkChild(
          listener.run((connection) =>
            Effect.onError(serve(connection), (cause) => Effect.sync(() => (failed ??= cause)))
          )
        )
        const plans = Array.from({ length: count / 2 }, (_, seed) => planFor(seed, random))
        yield* Effect.forEach(plans, (plan) => useNode(listener.address.port, plan), {
          concurrency: atATime,
          discard: true
        })
        expect(failed).toBeUndefined()
      })
    )

    live(`work with a server of node:net, ${count / 2} times`, () =>
      Effect.gen(function* () {
        const random = randomNumbers(43)
        const port = yield* nodeServer(serveNode)
        const plans = Array.from({ length: count / 2 }, (_, seed) => planFor(seed, random))
        yield* Effect.forEach(plans, (plan) => useOurs(port, plan), { concurrency: atATime, discard: true })
        expect(yield* waiters).toBe(0)
      })
    )
  },
  twoLayers
)
