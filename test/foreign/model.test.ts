/** Random operations on a library's socket, against poll(2), on the layers. */
import { it } from "@effect/vitest"
import { Effect } from "effect"
import { foreignAgainstPoll } from "../support/foreignModel.ts"
import { describeLayers } from "../support/layers.ts"
import { times } from "../support/long.ts"

describeLayers("ForeignFd against poll(2)", (layer, layerName) => {
  for (let seed = 1; seed <= times(3, 20); seed++) {
    it.live(`a fiber waits for just what is not ready (seed ${seed})`, () =>
      Effect.provide(foreignAgainstPoll(seed + layerName.length, true), layer())
    )
  }
})
