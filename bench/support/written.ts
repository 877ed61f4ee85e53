/**
 * Descriptors that another program makes ready. That is the writer process, if it started this
 * process. Where there is no C compiler to build the writer, a thread does the same.
 */
import { Effect, type Scope } from "effect"
import { writeSync } from "node:fs"
import { Worker } from "node:worker_threads"
import * as Kernel from "../../test/support/kernel.ts"
import * as Meter from "./meter.ts"

export interface Written {
  readonly descriptors: ReadonlyArray<number>
  /** Makes each of them ready once. */
  readonly next: () => void
}

export const written: Effect.Effect<Written, never, Scope.Scope> = Effect.suspend(() =>
  process.env["BENCH_FIRST_FD"] === undefined ? byThread : byProcess
)

const byProcess = Effect.sync((): Written => {
  const first = Meter.setting("BENCH_FIRST_FD")
  const go = Meter.setting("BENCH_GO_FD")
  return {
    descriptors: Array.from({ length: Meter.setting("BENCH_COUNT") }, (_, i) => first + i),
    next: () => void writeSync(go, "\n")
  }
})

/** The thread's `workerData`. */
export interface WriterData {
  readonly descriptors: ReadonlyArray<number>
  /** The number of rounds asked for. -1 ends the thread. */
  readonly rounds: Int32Array
}

const byThread = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => {
      const rounds = new Int32Array(new SharedArrayBuffer(4))
      const descriptors = Array.from({ length: Meter.setting("BENCH_COUNT") }, Kernel.eventfd)
      const data: WriterData = { descriptors, rounds }
      const worker = new Worker(new URL("./writer.ts", import.meta.url), { workerData: data })
      return { descriptors, rounds, exited: new Promise((resolve) => worker.once("exit", resolve)) }
    }),
    ({ descriptors, exited, rounds }) =>
      Effect.promise(async () => {
        Atomics.store(rounds, 0, -1)
        Atomics.notify(rounds, 0)
        await exited
        for (const fd of descriptors) Kernel.close(fd)
      })
  ),
  ({ descriptors, rounds }): Written => ({
    descriptors,
    next() {
      Atomics.add(rounds, 0, 1)
      Atomics.notify(rounds, 0)
    }
  })
)
