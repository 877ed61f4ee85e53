/** The thread that replaces the writer process where there is no C compiler. */
import { workerData } from "node:worker_threads"
import * as Kernel from "../../test/support/kernel.ts"
import type { WriterData } from "./written.ts"

const { descriptors, rounds } = workerData as WriterData
for (let round = 0; ; round++) {
  Atomics.wait(rounds, 0, round)
  if (Atomics.load(rounds, 0) === -1) break
  for (const fd of descriptors) Kernel.signal(fd)
}
