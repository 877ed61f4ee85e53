/** The messages between the main thread of examples/channel.ts and its worker thread. */
import type { PollChannel } from "effect-amy"

/** The worker's input. The port in the sender's handle has to be transferred. */
export interface PrimesInput {
  readonly sender: PollChannel.SenderHandle
  /** The descriptor that the worker writes text to, and closes. Every thread can use its number. */
  readonly log: number
  readonly limits: ReadonlyArray<number>
}

/** One result. */
export interface Primes {
  readonly limit: number
  /** How many primes there are below it. */
  readonly count: number
}
