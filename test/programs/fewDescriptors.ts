/**
 * Builds each layer while no further descriptor can be opened, and while one can. Prints how each
 * attempt failed, and how many descriptors it left open.
 */
import { Effect } from "effect"
import { Poller } from "effect-amy"
import { closeSync, openSync } from "node:fs"
import type { PollerLayer } from "../support/layers.ts"

/** Opens descriptors until the limit is reached. */
const exhaust = (): Array<number> => {
  const all: Array<number> = []
  for (;;) {
    try {
      all.push(openSync("/dev/null", "r"))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EMFILE") return all
      throw error
    }
  }
}

const build = (layer: PollerLayer) => Effect.provide(Effect.succeed("attached"), layer)

const attempt = (name: string, layer: PollerLayer, left: number) =>
  Effect.gen(function* () {
    const all = exhaust()
    for (let i = 0; i < left; i++) closeSync(all.pop()!)
    const { message, reason } = yield* Effect.flip(build(layer))
    const rest = exhaust()
    for (const fd of [...all, ...rest]) closeSync(fd)
    console.log(`${name} with ${left} left: ${reason._tag} ${message}; leaked ${left - rest.length}`)
  })

const layers = {
  worker: Poller.layerWorker(),
  eventLoop: Poller.layerEventLoop(),
  blocking: Poller.layerBlocking({ allowMainThread: true })
}

const attach = Effect.gen(function* () {
  const { handle } = yield* Poller.Poller
  for (const left of [0, 1]) yield* attempt("attach", Poller.layerAttach(handle), left)
  console.log(`afterwards: ${yield* build(Poller.layerAttach(handle))}`)
})

const program = Effect.gen(function* () {
  // Opens what the process opens once.
  yield* build(Poller.layerWorker())
  for (const [name, layer] of Object.entries(layers)) {
    for (const left of [0, 1]) yield* attempt(name, layer, left)
  }
  yield* Effect.provide(attach, Poller.layerWorker())
})

await Effect.runPromise(program)
