/** When a registration is reported, and when it is not: edges, oneshot, and reregister. */
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { Registrar } from "effect-amy"
import * as Kernel from "../support/kernel.ts"
import { idsReadyNow, readyNow } from "../support/layers.ts"
import { describeEveryLayer } from "../support/observe.ts"

const withPair = (make: () => readonly [number, number]) =>
  Effect.acquireRelease(Effect.sync(make), (pair) => Effect.sync(() => pair.forEach(Kernel.close)))

/** Returns each id that is ready now, with its event. */
const eventsReadyNow = Effect.map(readyNow, (all) => all.map(({ event, id }) => [id, event]))

describeEveryLayer("promise 3: edge-triggered by default", (layer) => {
  it.live("data that is not read is reported once, and new data is reported again", () =>
    Effect.gen(function* () {
      const [ours, theirs] = yield* withPair(Kernel.socketPair)
      const id = yield* Registrar.register(ours, "Read")
      expect(yield* eventsReadyNow).toEqual([])
      Kernel.write(theirs, 100)
      expect(yield* eventsReadyNow).toEqual([[id, "Read"]])
      expect(yield* eventsReadyNow).toEqual([])
      // Reading a part of it is not an edge.
      Kernel.read(ours, 10)
      expect(yield* eventsReadyNow).toEqual([])
      Kernel.write(theirs, 1)
      expect(yield* eventsReadyNow).toEqual([[id, "Read"]])
      Kernel.drain(ours)
      expect(yield* eventsReadyNow).toEqual([])
      Kernel.write(theirs, 1)
      expect(yield* eventsReadyNow).toEqual([[id, "Read"]])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("a descriptor that is ready when it is registered is reported once", () =>
    Effect.gen(function* () {
      const [reader, writer] = yield* withPair(Kernel.pipe)
      Kernel.write(writer, 1)
      const id = yield* Registrar.register(reader, "Read")
      expect(yield* eventsReadyNow).toEqual([[id, "Read"]])
      expect(yield* eventsReadyNow).toEqual([])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("room to write is reported at first, and again after there was no room", () =>
    Effect.gen(function* () {
      const [ours, theirs] = yield* withPair(Kernel.socketPair)
      const id = yield* Registrar.register(ours, "Write")
      expect(yield* eventsReadyNow).toEqual([[id, "Write"]])
      expect(Kernel.fill(ours)).toBeGreaterThan(0)
      expect(yield* eventsReadyNow).toEqual([])
      Kernel.drain(theirs)
      expect(yield* eventsReadyNow).toEqual([[id, "Write"]])
      expect(yield* eventsReadyNow).toEqual([])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("a notification of a registration for both has everything that is ready at the time", () =>
    Effect.gen(function* () {
      const [ours, theirs] = yield* withPair(Kernel.socketPair)
      const id = yield* Registrar.register(ours, "Both")
      expect(yield* eventsReadyNow).toEqual([[id, "Write"]])
      Kernel.write(theirs, 1)
      expect(yield* eventsReadyNow).toEqual([[id, "Both"]])
      expect(yield* eventsReadyNow).toEqual([])
      Kernel.fill(ours)
      Kernel.write(theirs, 1)
      expect(yield* eventsReadyNow).toEqual([[id, "Read"]])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("many edges before the next wait are one notification", () =>
    Effect.gen(function* () {
      const [reader, writer] = yield* withPair(Kernel.pipe)
      const id = yield* Registrar.register(reader, "Read")
      for (let i = 0; i < 100; i++) Kernel.write(writer, 1)
      expect(yield* eventsReadyNow).toEqual([[id, "Read"]])
      expect(yield* eventsReadyNow).toEqual([])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live('the mode "edge" is the default', () =>
    Effect.gen(function* () {
      const [reader, writer] = yield* withPair(Kernel.pipe)
      const id = yield* Registrar.register(reader, "Read", { mode: "edge" })
      for (let i = 0; i < 3; i++) {
        Kernel.write(writer, 1)
        expect(yield* eventsReadyNow).toEqual([[id, "Read"]])
        expect(yield* eventsReadyNow).toEqual([])
      }
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )
})

describeEveryLayer("promise 3: reregister reports present readiness again", (layer) => {
  it.live("each reregister of a ready descriptor reports it, with the same id", () =>
    Effect.gen(function* () {
      const [reader, writer] = yield* withPair(Kernel.pipe)
      const id = yield* Registrar.register(reader, "Read")
      Kernel.write(writer, 1)
      expect(yield* idsReadyNow).toEqual([id])
      for (let i = 0; i < 3; i++) {
        yield* Registrar.reregister(reader, id, "Read")
        expect(yield* eventsReadyNow).toEqual([[id, "Read"]])
        expect(yield* eventsReadyNow).toEqual([])
      }
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("reregister reports nothing if the descriptor is not ready", () =>
    Effect.gen(function* () {
      const [reader, writer] = yield* withPair(Kernel.pipe)
      const id = yield* Registrar.register(reader, "Read")
      Kernel.write(writer, 1)
      expect(yield* idsReadyNow).toEqual([id])
      Kernel.drain(reader)
      yield* Registrar.reregister(reader, id, "Read")
      expect(yield* idsReadyNow).toEqual([])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("a registration that was narrowed to Read no longer reports room to write", () =>
    Effect.gen(function* () {
      const [ours, theirs] = yield* withPair(Kernel.socketPair)
      const id = yield* Registrar.register(ours, "Both")
      expect(yield* eventsReadyNow).toEqual([[id, "Write"]])
      yield* Registrar.reregister(ours, id, "Read")
      expect(yield* eventsReadyNow).toEqual([])
      Kernel.fill(ours)
      Kernel.drain(theirs)
      expect(yield* eventsReadyNow).toEqual([])
      Kernel.write(theirs, 1)
      expect(yield* eventsReadyNow).toEqual([[id, "Read"]])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("a registration that was narrowed to Write no longer reports data", () =>
    Effect.gen(function* () {
      const [ours, theirs] = yield* withPair(Kernel.socketPair)
      const id = yield* Registrar.register(ours, "Both")
      Kernel.write(theirs, 1)
      expect(yield* eventsReadyNow).toEqual([[id, "Both"]])
      yield* Registrar.reregister(ours, id, "Write")
      expect(yield* eventsReadyNow).toEqual([[id, "Write"]])
      Kernel.write(theirs, 1)
      expect(yield* eventsReadyNow).toEqual([])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("a registration that was widened reports the added readiness at once", () =>
    Effect.gen(function* () {
      const [ours] = yield* withPair(Kernel.socketPair)
      const id = yield* Registrar.register(ours, "Read")
      expect(yield* eventsReadyNow).toEqual([])
      yield* Registrar.reregister(ours, id, "Both")
      expect(yield* eventsReadyNow).toEqual([[id, "Write"]])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )
})

describeEveryLayer("promise 3: oneshot", (layer) => {
  it.live("a oneshot registration is reported once, whatever happens afterwards", () =>
    Effect.gen(function* () {
      const [reader, writer] = yield* withPair(Kernel.pipe)
      const id = yield* Registrar.register(reader, "Read", { mode: "oneshot" })
      expect(yield* idsReadyNow).toEqual([])
      Kernel.write(writer, 1)
      expect(yield* eventsReadyNow).toEqual([[id, "Read"]])
      Kernel.write(writer, 1)
      expect(yield* eventsReadyNow).toEqual([])
      Kernel.drain(reader)
      Kernel.write(writer, 1)
      expect(yield* eventsReadyNow).toEqual([])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("reregister arms it again, and reports what arrived meanwhile", () =>
    Effect.gen(function* () {
      const [reader, writer] = yield* withPair(Kernel.pipe)
      const id = yield* Registrar.register(reader, "Read", { mode: "oneshot" })
      Kernel.write(writer, 1)
      expect(yield* idsReadyNow).toEqual([id])
      Kernel.drain(reader)
      Kernel.write(writer, 1)
      yield* Registrar.reregister(reader, id, "Read", { mode: "oneshot" })
      expect(yield* idsReadyNow).toEqual([id])
      expect(yield* idsReadyNow).toEqual([])
      Kernel.drain(reader)
      // It is armed for the next edge, because nothing is ready now.
      yield* Registrar.reregister(reader, id, "Read", { mode: "oneshot" })
      expect(yield* idsReadyNow).toEqual([])
      Kernel.write(writer, 1)
      expect(yield* idsReadyNow).toEqual([id])
      Kernel.write(writer, 1)
      expect(yield* idsReadyNow).toEqual([])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("a report of one direction disarms both", () =>
    Effect.gen(function* () {
      const [ours, theirs] = yield* withPair(Kernel.socketPair)
      const id = yield* Registrar.register(ours, "Both", { mode: "oneshot" })
      expect(yield* eventsReadyNow).toEqual([[id, "Write"]])
      Kernel.write(theirs, 1)
      expect(yield* eventsReadyNow).toEqual([])
      yield* Registrar.reregister(ours, id, "Both", { mode: "oneshot" })
      expect(yield* eventsReadyNow).toEqual([[id, "Both"]])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("reregister without the mode makes it edge-triggered, and with the mode oneshot again", () =>
    Effect.gen(function* () {
      const [reader, writer] = yield* withPair(Kernel.pipe)
      const id = yield* Registrar.register(reader, "Read", { mode: "oneshot" })
      Kernel.write(writer, 1)
      expect(yield* idsReadyNow).toEqual([id])
      Kernel.drain(reader)
      yield* Registrar.reregister(reader, id, "Read")
      for (let i = 0; i < 3; i++) {
        Kernel.write(writer, 1)
        expect(yield* idsReadyNow).toEqual([id])
      }
      Kernel.drain(reader)
      yield* Registrar.reregister(reader, id, "Read", { mode: "oneshot" })
      Kernel.write(writer, 1)
      expect(yield* idsReadyNow).toEqual([id])
      Kernel.write(writer, 1)
      expect(yield* idsReadyNow).toEqual([])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("a disarmed registration still exists, and can be deregistered", () =>
    Effect.gen(function* () {
      const [reader, writer] = yield* withPair(Kernel.pipe)
      Kernel.write(writer, 1)
      const id = yield* Registrar.register(reader, "Read", { mode: "oneshot" })
      expect(yield* idsReadyNow).toEqual([id])
      expect((yield* Effect.flip(Registrar.register(reader, "Read"))).reason._tag).toBe("AlreadyRegistered")
      yield* Registrar.deregister(reader)
      const next = yield* Registrar.register(reader, "Read")
      expect(yield* idsReadyNow).toEqual([next])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )
})
