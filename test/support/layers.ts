/** The ways of polling that a behaviour must hold for, and helpers that read like sentences. */
import { describe } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Poller, type PollerError, type Registrar } from "effect-amy"
import { isLong } from "./long.ts"

export type PollerLayer = Layer.Layer<Poller.Poller | Registrar.Registrar, PollerError.PollerError>

/** A poller on another thread, and this thread attached to it. */
export const layerAttached = (options?: Poller.LayerOptions): PollerLayer =>
  Layer.unwrap(Effect.map(Poller.Poller, (poller) => Poller.layerAttach(poller.handle))).pipe(
    Layer.provide(Poller.layerWorker(options))
  )

/** What delivers without the calling thread blocking. */
export const layers = {
  layerWorker: Poller.layerWorker,
  layerEventLoop: Poller.layerEventLoop,
  "layerAttach to a layerWorker": layerAttached
} as const satisfies { readonly [name: string]: (options?: Poller.LayerOptions) => PollerLayer }

export type LayerName = keyof typeof layers

let tables = 0

/**
 * Returns the layers for the next table of tests. In the long run these are all of them. In the
 * short run they are `layerEventLoop` and one with a polling thread: `layerWorker` for the first
 * table of a file, `layerAttach` for the second, and so on. The promises themselves are tested on
 * every layer in both runs, by `behaviours.test.ts`.
 */
export const nextLayers = (): ReadonlyArray<LayerName> => {
  if (isLong) return Object.keys(layers) as Array<LayerName>
  return ["layerEventLoop", tables++ % 2 === 0 ? "layerWorker" : "layerAttach to a layerWorker"]
}

/** Returns what `nextLayers` returns, each name with its layer. */
export const nextLayerEntries = () => nextLayers().map((name) => [name, layers[name]] as const)

/** Describes the same tests for several layers: those of `nextLayers`. */
export const describeLayers = (
  name: string,
  body: (layer: (options?: Poller.LayerOptions) => PollerLayer, layerName: LayerName) => void
): void => {
  for (const layerName of nextLayers()) {
    describe(`${name} (${layerName})`, () => {
      body(layers[layerName], layerName)
    })
  }
}

/**
 * Everything that is ready now: the poller is asked until it has looked at all of it, so what is
 * not in here is not ready.
 */
export const readyNow = Effect.flatMap(Poller.Poller, (poller) => poller.wait(0))

/** The ids of what is ready now, in rising order. */
export const idsReadyNow = Effect.map(readyNow, (all) => all.map(({ id }) => id).toSorted((a, b) => a - b))
