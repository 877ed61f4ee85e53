/** When a registration reports, and when it is silent: edges, oneshot, and what reregister changes. */
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { Registrar } from "effect-amy"
import * as Kernel from "../support/kernel.ts"
import { idsReadyNow, readyNow } from "../support/layers.ts"
import { describeEveryLayer } from "../support/observe.ts"

const withPair = (make: () => readonly [number, number]) =>
  Effect.acquireRelease(Effect.sync(make), (pair) => Effect.sync(() => pair.forEach(Kernel.close)))

/** Each id that is ready now with its event. */
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
      // To read a part of it is no change for the better.
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

  it.live("what is ready when it is registered is reported once", () =>
    Effect.gen(function* () {
      const [reader, writer] = yield* withPair(Kernel.pipe)
      Kernel.write(writer, 1)
      const id = yield* Registrar.register(reader, "Read")
      expect(yield* eventsReadyNow).toEqual([[id, "Read"]])
      expect(yield* eventsReadyNow).toEqual([])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("room to write is reported at first, and again after it was full", () =>
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

  it.live("of a registration for both, a notification says all that is ready at the time", () =>
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

  it.live("many edges before anyone looks are one notification", () =>
    Effect.gen(function* () {
      const [reader, writer] = yield* withPair(Kernel.pipe)
      const id = yield* Registrar.register(reader, "Read")
      for (let i = 0; i < 100; i++) Kernel.write(writer, 1)
      expect(yield* eventsReadyNow).toEqual([[id, "Read"]])
      expect(yield* eventsReadyNow).toEqual([])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("mode edge, said aloud, is the same", () =>
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
  it.live("as often as it is called, with the same id", () =>
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

  it.live("and nothing, if nothing is ready", () =>
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

  it.live("what is narrowed to Read says nothing of room to write any more", () =>
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

  it.live("what is narrowed to Write says nothing of data any more", () =>
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

  it.live("what is widened says at once what it was not asked for before", () =>
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
  it.live("reports once and is then silent, whatever happens", () =>
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

  it.live("reregister arms it again, and reports what came meanwhile", () =>
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
      // Armed, and for the next one: nothing is ready now.
      yield* Registrar.reregister(reader, id, "Read", { mode: "oneshot" })
      expect(yield* idsReadyNow).toEqual([])
      Kernel.write(writer, 1)
      expect(yield* idsReadyNow).toEqual([id])
      Kernel.write(writer, 1)
      expect(yield* idsReadyNow).toEqual([])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("one side of it disarms both", () =>
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

  it.live("reregister without the mode makes it edge-triggered, and back", () =>
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

  it.live("a disarmed registration is still one: deregister takes it", () =>
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
