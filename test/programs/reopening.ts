/**
 * Opens and closes a layer again and again: the layer and the number of times are its arguments.
 * Prints by how many KiB the resident memory has grown meanwhile.
 */
import { Effect } from "effect"
import { Poller } from "effect-amy"
import { setImmediate } from "node:timers/promises"
import type { PollerLayer } from "../support/layers.ts"

/** Returns the KiB of memory that the process occupies. */
const resident = () => process.memoryUsage.rss() / 1024

const layers: { readonly [name: string]: PollerLayer } = {
  layerWorker: Poller.layerWorker(),
  layerEventLoop: Poller.layerEventLoop(),
  layerBlocking: Poller.layerBlocking({ allowMainThread: true })
}

const openAndClose = async (layer: PollerLayer, times: number) => {
  for (let round = 0; round < times; round++) {
    await Effect.runPromise(Poller.Poller.use(({ wait }) => wait(0)).pipe(Effect.provide(layer)))
    // The collector frees memory between two turns of the event loop.
    await setImmediate()
  }
}

const measure = async (layer: PollerLayer, times: number) => {
  // The first rounds load and compile code.
  await openAndClose(layer, 20)
  const before = resident()
  await openAndClose(layer, times)
  console.log("ready")
  console.log(resident() - before)
}

const [name, times] = process.argv.slice(2)
if (name === "layerAttach") {
  await Effect.runPromise(
    Poller.Poller.use(({ handle }) => Effect.promise(() => measure(Poller.layerAttach(handle), Number(times)))).pipe(
      Effect.provide(Poller.layerWorker())
    )
  )
} else {
  await measure(layers[name!]!, Number(times))
}
