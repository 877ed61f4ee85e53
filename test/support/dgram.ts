/** A peer of `node:dgram`, so that what is tested talks to something that is not ours. */
import { Effect, type Scope } from "effect"
import { createSocket } from "node:dgram"

export interface Received {
  readonly payload: Buffer
  readonly address: string
  readonly port: number
}

export interface Peer {
  readonly port: number
  /** To the same host, from which it is bound. */
  readonly send: (payload: string | Uint8Array, port: number) => void
  /** The next so many that come. */
  readonly receive: (count: number) => Effect.Effect<ReadonlyArray<Received>>
}

/** Binds a socket to a free port; it is closed with the scope. */
export const bind = (host: string): Effect.Effect<Peer, never, Scope.Scope> =>
  Effect.gen(function* () {
    const socket = yield* Effect.acquireRelease(
      Effect.sync(() =>
        createSocket({ type: host.includes(":") ? "udp6" : "udp4", recvBufferSize: 1 << 20, sendBufferSize: 1 << 20 })
      ),
      (socket) => Effect.callback<void>((resume) => void socket.close(() => resume(Effect.void)))
    )
    const waiting: Array<Received> = []
    let told: (() => void) | undefined
    socket.on("message", (payload, { address, port }) => {
      waiting.push({ payload, address, port })
      told?.()
    })
    yield* Effect.callback<void>((resume) => void socket.bind(0, host, () => resume(Effect.void)))
    return {
      port: socket.address().port,
      send: (payload, port) => socket.send(payload, port, host),
      receive: (count) =>
        Effect.callback((resume) => {
          told = () => {
            if (waiting.length < count) return
            told = undefined
            resume(Effect.succeed(waiting.splice(0, count)))
          }
          told()
        })
    }
  })
