import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { Registrar } from "effect-amy"
import * as Kernel from "./support/kernel.ts"
import { describeLayers, idsReadyNow } from "./support/layers.ts"

describeLayers("a first look", (layer) => {
  it.live("an eventfd is reported once", () =>
    Effect.gen(function* () {
      const fd = Kernel.eventfd()
      const id = yield* Registrar.register(fd, "Read")
      expect(yield* idsReadyNow).toEqual([])
      Kernel.signal(fd)
      expect(yield* idsReadyNow).toEqual([id])
      expect(yield* idsReadyNow).toEqual([])
      yield* Registrar.deregister(fd)
      Kernel.close(fd)
    }).pipe(Effect.provide(layer()))
  )
})
