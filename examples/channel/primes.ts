/** What the main thread of examples/channel.ts and its worker thread say to each other. */
import type { PollChannel } from "effect-amy"

/** What the thread is started with. The port in the sender's handle has to be transferred. */
export interface PrimesInput {
  readonly sender: PollChannel.SenderHandle
  /** What it reports to in words: a descriptor is a number that every thread can use. */
  readonly log: number
  readonly limits: ReadonlyArray<number>
}

/** One result. */
export interface Primes {
  readonly limit: number
  /** How many primes there are below it. */
  readonly count: number
}
