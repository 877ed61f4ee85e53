/**
 * One client: a `node:net` socket that sends messages, one at a time, and checks every byte that
 * comes back.
 */
import { randomFillSync } from "node:crypto"
import { once } from "node:events"
import { connect } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"

const KiB = 1024
const MiB = 1024 * KiB

/** The kinds of clients: the size of their messages in bytes, and their pauses in milliseconds. */
export const kinds = {
  small: { from: 1, to: 16 * KiB, betweenMessages: 5, betweenReads: 0 },
  large: { from: 512 * KiB, to: 4 * MiB, betweenMessages: 100, betweenReads: 0 },
  // More than the kernel buffers for both ends of a connection, so the server's send buffer must
  // run full.
  slow: { from: 8 * MiB, to: 12 * MiB, betweenMessages: 50, betweenReads: 2 }
} as const

export type Kind = keyof typeof kinds

/**
 * Returns the kind of a client. The kinds are spread at odd distances, so that every worker gets
 * some of each.
 */
export const kindOf = (index: number): Kind => (index % 29 === 1 ? "slow" : index % 11 === 2 ? "large" : "small")

/** Every message is a part of these bytes, so misplaced bytes are noticed. */
const bytes = randomFillSync(Buffer.alloc(24 * MiB))

const silence = 30_000

export interface ClientResult {
  readonly kind: Kind
  readonly sent: number
  readonly received: number
  /** Milliseconds that each echo took, from the first byte sent to the last byte received. */
  readonly roundTrips: ReadonlyArray<number>
  /** A sentence about what was lost, if anything was. */
  readonly problem: string | undefined
}

/**
 * Runs until the deadline (by `performance.now()`), and until the echo that is on its way has
 * arrived.
 */
export const runClient = async (index: number, port: number, deadline: number): Promise<ClientResult> => {
  const kind = kindOf(index)
  const { betweenMessages, betweenReads, from, to } = kinds[kind]
  const roundTrips: Array<number> = []
  let sent = 0
  let received = 0
  let problem: string | undefined

  const socket = connect(port, "127.0.0.1")
  // A waiting read fails with this error. Without a waiting read, it must not end the whole thread.
  socket.on("error", () => {})
  socket.setTimeout(silence, () => socket.destroy(new Error(`nothing moved for ${silence / 1000} seconds`)))
  try {
    await once(socket, "connect")
    const chunks: AsyncIterator<Buffer> = socket[Symbol.asyncIterator]()
    do {
      const length = from + Math.floor(Math.random() * (to - from + 1))
      const start = Math.floor(Math.random() * (bytes.length - length))
      const message = bytes.subarray(start, start + length)
      const begun = performance.now()
      socket.write(message)
      sent += length
      for (let done = 0; done < length;) {
        if (betweenReads > 0) await sleep(betweenReads)
        const chunk = await chunks.next()
        if (chunk.done === true) throw new Error(`the connection ended after ${done} of ${length} bytes`)
        if (!chunk.value.equals(message.subarray(done, done + chunk.value.length))) {
          throw new Error(`the echo differs within the ${chunk.value.length} bytes after byte ${done} of ${length}`)
        }
        done += chunk.value.length
        received += chunk.value.length
      }
      roundTrips.push(performance.now() - begun)
      await sleep(Math.random() * 2 * betweenMessages)
    } while (performance.now() < deadline)
    socket.end()
    if ((await chunks.next()).done !== true) throw new Error("more bytes came back than were sent")
  } catch (error) {
    problem = `client ${index} (${kind}): ${error instanceof Error ? error.message : String(error)}`
  } finally {
    socket.destroy()
  }
  return { kind, sent, received, roundTrips, problem }
}
