/** The layer that a side is told to measure. */
import type { Layer } from "effect"
import { Poller, type PollerError, type Registrar } from "effect-amy"

export const layerOf = (
  name: string | undefined
): Layer.Layer<Poller.Poller | Registrar.Registrar, PollerError.PollerError> => {
  switch (name) {
    case "worker":
      return Poller.layerWorker()
    case "event-loop":
      return Poller.layerEventLoop()
    default:
      throw new Error(`${String(name)} is no layer: give worker or event-loop`)
  }
}
