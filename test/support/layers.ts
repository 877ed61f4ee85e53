/** The ways of polling that a behaviour must hold for, and helpers that read like sentences. */
import { describe } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { Poller, type PollerError, Registrar } from "effect-amy"
import { attachmentOf } from "../../src/internal/delivery/registrar.ts"
import { Interest } from "../../src/internal/kernel/selector.ts"
import * as Kernel from "./kernel.ts"
import { isWindows } from "./platform.ts"

export type PollerLayer = Layer.Layer<Poller.Poller | Registrar.Registrar, PollerError.PollerError>

/**
 * On Windows, makes the calls of `kernel.ts` on this thread do what those of `AsyncFd` do: one that
 * would block has the kernel report what comes next. A program that makes its own calls has
 * `reregister` for that.
 */
const observed = (layer: PollerLayer): PollerLayer =>
  isWindows
    ? Layer.tap(layer, (services) =>
        Effect.gen(function* () {
          const { selector } = yield* attachmentOf(Context.get(services, Registrar.Registrar))
          const observer = (fd: number, event: "Read" | "Write") => void selector.rearm!(fd, Interest[event])
          yield* Effect.acquireRelease(
            Effect.sync(() => Kernel.observers.add(observer)),
            () => Effect.sync(() => Kernel.observers.delete(observer))
          )
        })
      )
    : layer

/** A poller on another thread, and this thread attached to it. */
export const layerAttached = (options?: Poller.LayerOptions): PollerLayer =>
  Layer.unwrap(Effect.map(Poller.Poller, (poller) => Poller.layerAttach(poller.handle))).pipe(
    Layer.provide(Poller.layerWorker(options)),
    observed
  )

export const layerBlocking = (options?: Poller.LayerOptions): PollerLayer =>
  observed(Poller.layerBlocking({ ...options, allowMainThread: true }))

/** What delivers without the calling thread blocking. */
export const layers = {
  layerWorker: (options?: Poller.LayerOptions) => observed(Poller.layerWorker(options)),
  layerEventLoop: Poller.layerEventLoop,
  "layerAttach to a layerWorker": layerAttached
} as const satisfies { readonly [name: string]: (options?: Poller.LayerOptions) => PollerLayer }

export type LayerName = keyof typeof layers

/** The names of the layers that this system has: Windows has no `layerEventLoop`. */
const namesHere = (Object.keys(layers) as Array<LayerName>).filter((name) => !isWindows || name !== "layerEventLoop")

type Row = PollerLayer | ((options?: Poller.LayerOptions) => PollerLayer)

/** Of a table of layers, the rows that this system has. */
export const rowsHere = <A extends Row>(table: { readonly [name: string]: A }): { readonly [name: string]: A } =>
  isWindows
    ? Object.fromEntries(
        Object.entries<Row>(table)
          .filter(([name]) => !name.startsWith("layerEventLoop"))
          .map(([name, row]) => [
            name,
            (Layer.isLayer(row)
              ? observed(row as PollerLayer)
              : (options?: Poller.LayerOptions) => observed((row as typeof layerBlocking)(options))) as A
          ])
      )
    : table

/** A layer for tests in which its kind makes no difference. */
export const someLayer: (options?: Poller.LayerOptions) => PollerLayer = isWindows
  ? layers.layerWorker
  : layers.layerEventLoop

/**
 * The layers of the behaviours that are tested on each. On Windows `layerBlocking` takes the place
 * of `layerEventLoop`.
 */
export const everyLayer: { readonly [name: string]: () => PollerLayer } = isWindows
  ? { ...rowsHere(layers), layerBlocking }
  : layers

/** The layers for long tests, and for those in which the kind of thread makes no difference. */
export const twoLayers: ReadonlyArray<LayerName> = namesHere.slice(0, namesHere.length - 1)

let tables = 0

/** `1` is the long form of the tests, and `rest` what the short one has left out. */
const { LONG } = process.env

/**
 * Returns the layers for the next table of tests. In the long form these are all of them. In the
 * short one they are `layerEventLoop` and one with a polling thread: `layerWorker` for the first
 * table of a file, `layerAttach` for the second, and so on. The promises themselves are tested on
 * every layer in both forms, by `behaviours.test.ts`.
 */
export const nextLayers = (): ReadonlyArray<LayerName> => {
  if (LONG === "1") return namesHere
  const left = tables++ % 2 === 0 ? "layerAttach to a layerWorker" : "layerWorker"
  return namesHere.filter((name) => (name === left) === (LONG === "rest"))
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
