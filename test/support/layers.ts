/** The ways of polling that a behaviour must hold for, and helpers that read like sentences. */
import { describe } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Poller, type PollerError, type Registrar } from "effect-amy"

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

/** Runs the same tests on each layer. */
export const describeLayers = (
  name: string,
  body: (layer: (options?: Poller.LayerOptions) => PollerLayer, layerName: keyof typeof layers) => void
): void => {
  for (const layerName of Object.keys(layers) as Array<keyof typeof layers>) {
    describe(`${name} (${layerName})`, () => {
      body(layers[layerName], layerName)
    })
  }
}

/** Everything that is ready now: the poller is asked until it has looked at all of it, so what is not in here is not ready. */
export const readyNow = Effect.flatMap(Poller.Poller, (poller) => poller.wait(0))

/** The ids of what is ready now, in rising order. */
export const idsReadyNow = Effect.map(readyNow, (all) => all.map(({ id }) => id).toSorted((a, b) => a - b))
