/** The layers that a side can measure. */
import { Effect, Layer } from "effect"
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
    case "blocking":
      return Poller.layerBlocking({ allowMainThread: true })
    case "attached":
      return Layer.unwrap(Effect.map(Poller.Poller, ({ handle }) => Poller.layerAttach(handle))).pipe(
        Layer.provide(Poller.layerWorker())
      )
    default:
      throw new Error(`unknown layer ${String(name)}: expected worker, event-loop, blocking or attached`)
  }
}
