/** A thread that computes, and sends each result through a channel. It does not need a poller. */
import { NodeRuntime } from "@effect/platform-node"
import { Effect } from "effect"
import { Fd, PollChannel } from "effect-amy"
import { workerData } from "node:worker_threads"
import type { Primes, PrimesInput } from "./primes.ts"

const { limits, log, sender: handle } = workerData as PrimesInput

/** Counts the primes below a limit with the sieve of Eratosthenes. */
const countPrimes = (limit: number): number => {
  const composite = new Uint8Array(limit)
  let count = 0
  for (let n = 2; n < limit; n++) {
    if (composite[n] === 1) continue
    count++
    for (let multiple = n * n; multiple < limit; multiple += n) composite[multiple] = 1
  }
  return count
}

const program = Effect.gen(function* () {
  const sender = yield* PollChannel.fromHandle<Primes>(handle)
  const fifo = yield* Fd.own(log)
  let sent = 0
  let hasWaited = false
  for (const limit of limits) {
    const result = { limit, count: countPrimes(limit) }
    // `send` alone would do. `trySend` only finds out whether `send` is going to wait, to report it
    // once.
    if (!(yield* sender.trySend(result))) {
      if (!hasWaited) yield* fifo.tryWrite(Buffer.from(`the channel is full after ${sent} results; waiting`))
      hasWaited = true
      yield* sender.send(result)
    }
    sent++
  }
})

program.pipe(Effect.scoped, NodeRuntime.runMain)
