/** The layers that a side can measure. */
import type { Layer } from "effect"
import { Poller, type PollerError, type Registrar } from "effect-amy"

/** Returns the layer that an argument names. */
export const layerOf = (
  name: string | undefined
): Layer.Layer<Poller.Poller | Registrar.Registrar, PollerError.PollerError> => {
  switch (name) {
    case "worker":
      return Poller.layerWorker()
    case "event-loop":
      return Poller.layerEventLoop()
    default:
      throw new Error(`unknown layer ${String(name)}: expected worker or event-loop`)
  }
}
