/** One client: a plain `node:net` socket that sends messages, one at a time, and checks every byte that comes back. */
import { randomFillSync } from "node:crypto"
import { once } from "node:events"
import { connect } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"

const KiB = 1024
const MiB = 1024 * KiB

/** The kinds of clients: how large their messages are, and how many milliseconds they take their time. */
export const kinds = {
  small: { from: 1, to: 16 * KiB, betweenMessages: 5, betweenReads: 0 },
  large: { from: 512 * KiB, to: 4 * MiB, betweenMessages: 100, betweenReads: 0 },
  // More than the kernel keeps for both ends of a connection: the server's send buffer must run full.
  slow: { from: 8 * MiB, to: 12 * MiB, betweenMessages: 50, betweenReads: 2 }
} as const

export type Kind = keyof typeof kinds

/** A few read slowly, some send large messages. They come at odd distances, so that every worker gets some of each. */
export const kindOf = (index: number): Kind => (index % 29 === 1 ? "slow" : index % 11 === 2 ? "large" : "small")

/** Every message is a stretch of these, so bytes that come back in another's place are seen. */
const bytes = randomFillSync(Buffer.alloc(24 * MiB))

const silence = 30_000

export interface ClientResult {
  readonly kind: Kind
  readonly sent: number
  readonly received: number
  /** How many milliseconds each echo took, from the first byte sent to the last one received. */
  readonly roundTrips: ReadonlyArray<number>
  /** What was lost, if anything was. */
  readonly problem: string | undefined
}

/** Runs until the deadline (by `performance.now()`), and a bit longer for the echo that is on its way by then. */
export const runClient = async (index: number, port: number, deadline: number): Promise<ClientResult> => {
  const kind = kindOf(index)
  const { betweenMessages, betweenReads, from, to } = kinds[kind]
  const roundTrips: Array<number> = []
  let sent = 0
  let received = 0
  let problem: string | undefined

  const socket = connect(port, "127.0.0.1")
  // The read that waits fails with it. One that comes when none waits any more must not end the whole thread.
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
          throw new Error(
            `what came back differs within the ${chunk.value.length} bytes after byte ${done} of ${length}`
          )
        }
        done += chunk.value.length
        received += chunk.value.length
      }
      roundTrips.push(performance.now() - begun)
      await sleep(Math.random() * 2 * betweenMessages)
    } while (performance.now() < deadline)
    socket.end()
    if ((await chunks.next()).done !== true) throw new Error("more came back than was sent")
  } catch (error) {
    problem = `client ${index} (${kind}): ${error instanceof Error ? error.message : String(error)}`
  } finally {
    socket.destroy()
  }
  return { kind, sent, received, roundTrips, problem }
}
