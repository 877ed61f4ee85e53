/** A peer that uses `node:dgram`, so that the tests do not talk to the library's own code alone. */
import { Effect, type Scope } from "effect"
import { createSocket } from "node:dgram"

export interface Received {
  readonly payload: Buffer
  readonly address: string
  readonly port: number
}

export interface Peer {
  readonly port: number
  /** Sends a datagram to a port of the host that this socket is bound to. */
  readonly send: (payload: string | Uint8Array, port: number) => void
  /** Receives the next `count` datagrams. */
  readonly receive: (count: number) => Effect.Effect<ReadonlyArray<Received>>
}

/** Binds a socket to a free port. The scope closes it. */
export const bind = (host: string): Effect.Effect<Peer, never, Scope.Scope> =>
  Effect.gen(function* () {
    const socket = yield* Effect.acquireRelease(
      Effect.sync(() =>
        createSocket({ type: host.includes(":") ? "udp6" : "udp4", recvBufferSize: 1 << 20, sendBufferSize: 1 << 20 })
      ),
      (socket) => Effect.callback<void>((resume) => void socket.close(() => resume(Effect.void)))
    )
    const waiting: Array<Received> = []
    let received: (() => void) | undefined
    socket.on("message", (payload, { address, port }) => {
      waiting.push({ payload, address, port })
      received?.()
    })
    yield* Effect.callback<void>((resume) => void socket.bind(0, host, () => resume(Effect.void)))
    return {
      port: socket.address().port,
      send: (payload, port) => socket.send(payload, port, host),
      receive: (count) =>
        Effect.callback((resume) => {
          received = () => {
            if (waiting.length < count) return
            received = undefined
            resume(Effect.succeed(waiting.splice(0, count)))
          }
          received()
        })
    }
  })
