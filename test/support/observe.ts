/** Observes a poller from outside. */
import { describe } from "@effect/vitest"
import { Effect } from "effect"
import type { Poller } from "effect-amy"
import { readFileSync } from "node:fs"
import { layerBlocking, nextLayerEntries, type PollerLayer } from "./layers.ts"
import { notLinux } from "./platform.ts"
import { contentsOf } from "../../src/internal/layers/pollerHandle.ts"

/**
 * Returns how often the waiting thread was woken: the count of the poller's eventfd, which nothing
 * resets. Returns 0 on systems other than Linux.
 */
export const wakesOf = (handle: Poller.PollerHandle): number => {
  if (notLinux) return 0
  const info = readFileSync(`/proc/self/fdinfo/${contentsOf(handle).selector.wake}`, "utf8")
  const count = /eventfd-count:\s*([0-9a-f]+)/.exec(info)?.[1]
  if (count === undefined) throw new Error(`the poller's wake-up descriptor is not an eventfd:\n${info}`)
  return Number.parseInt(count, 16)
}

/** Checks a condition in every turn of the event loop, until it holds. */
export const until = (condition: () => boolean): Effect.Effect<void> =>
  Effect.promise(async () => {
    while (!condition()) await new Promise(setImmediate)
  })

/** As `describeLayers`, with `layerBlocking` too: for tests that receive by `wait` alone. */
export const describeEveryLayer = (
  name: string,
  body: (layer: (options?: Poller.LayerOptions) => PollerLayer) => void
): void => {
  const every = [...nextLayerEntries(), ["layerBlocking", layerBlocking] as const]
  for (const [layerName, layer] of every) {
    describe(`${name} (${layerName})`, () => {
      body(layer)
    })
  }
}
