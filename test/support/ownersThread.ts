/** A thread that locks one number again and again, and adds one to a word while it does. */
import { workerData } from "node:worker_threads"
import { Owners } from "../../src/internal/kernel/owners.ts"

interface OwnersThreadData {
  readonly owners: SharedArrayBuffer
  readonly counts: SharedArrayBuffer
  readonly rounds: number
}

const data = workerData as OwnersThreadData
const owners = new Owners(data.owners)
const counts = new Int32Array(data.counts)

// Both threads begin at once.
Atomics.add(counts, 0, 1)
Atomics.notify(counts, 0)
if (Atomics.load(counts, 0) < 2) Atomics.wait(counts, 0, 1, 10_000)

for (let round = 0; round < data.rounds; round++) {
  owners.lock(3)
  counts[1] = counts[1]! + 1
  owners.unlock(3, 1)
}
