/**
 * The memory of layers in B8: `b8memory.ts MODULE`. Opens and closes `layerWorker` 2,000 times, one
 * after the other, as a server might do for each of its clients.
 */
import { Effect } from "effect"
import type * as Library from "effect-amy"
import { readFileSync } from "node:fs"
import { setImmediate } from "node:timers/promises"
import * as Meter from "../support/meter.ts"

const layers = 2000
const warmUp = 20

const { Poller } = (await import(process.argv[2]!)) as typeof Library

/** Returns bytes of memory of this process: what it occupies, or the most that it ever did. */
const bytes = (name: "VmRSS" | "VmHWM"): number =>
  Number(new RegExp(`${name}:\\s+(\\d+)`).exec(readFileSync("/proc/self/status", "utf8"))![1]) * 1024

let shared = 0

const openAndClose = async (times: number) => {
  for (let round = 0; round < times; round++) {
    await Effect.runPromise(Poller.Poller.use(({ wait }) => wait(0)).pipe(Effect.provide(Poller.layerWorker())))
    await setImmediate()
  }
}

/** Adds up the shared memory that one layer makes on this thread. */
const Original = SharedArrayBuffer
class Counted extends Original {
  constructor(length?: number, options?: { readonly maxByteLength?: number }) {
    super(length!, options)
    shared += this.byteLength
  }
}
globalThis.SharedArrayBuffer = Counted as SharedArrayBufferConstructor
await openAndClose(1)
globalThis.SharedArrayBuffer = Original
const sharedBytes = shared

await openAndClose(warmUp)
const [before, peakBefore] = [bytes("VmRSS"), bytes("VmHWM")]
await openAndClose(layers)
Meter.report({
  sharedBytes,
  grownBytes: Math.max(0, bytes("VmRSS") - before),
  peakBytes: Math.max(0, bytes("VmHWM") - peakBefore)
})
