/** Idle registrations cost nothing: no processor time, and no wait except the safety net's. */
import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { Poller } from "effect-amy"
import { collectGarbage } from "../support/garbage.ts"
import { layerAttached, rowsHere } from "../support/layers.ts"
import { times } from "../support/long.ts"
import { manySources, registerAll } from "../support/many.ts"
import { open, type Opened } from "../support/opened.ts"
import { startConsumer } from "../support/programs.ts"

const registrations = 10_000
const window = Duration.seconds(times(2, 5))

/** Measures what the process and the poller do during a wait in which nothing happens. */
const observe = ({ poller }: Opened) =>
  Effect.gen(function* () {
    yield* Effect.forkScoped(poller.wait(Duration.infinity), { startImmediately: true })
    // Collects the garbage of the preparations, so that this does not happen during the
    // measurement.
    collectGarbage()
    const before = yield* poller.stats
    const start = performance.now()
    const used = process.cpuUsage()
    // This sleep is the measured time.
    yield* Effect.sleep(window)
    const { system, user } = process.cpuUsage(used)
    const seconds = (performance.now() - start) / 1000
    const after = yield* poller.stats
    return {
      cpuShare: (system + user) / 1e6 / seconds,
      waits: after.waits - before.waits,
      wakeups: after.wakeups - before.wakeups,
      notifications: after.notifications - before.notifications,
      seconds
    }
  })

const isFree = (seen: Effect.Success<ReturnType<typeof observe>>) => {
  expect(seen.cpuShare).toBeLessThan(0.02)
  // One wait that began before, and one wait a second.
  expect(seen.waits).toBeLessThanOrEqual(Math.ceil(seen.seconds) + 1)
  expect(seen.wakeups).toBe(0)
  expect(seen.notifications).toBe(0)
}

const layers = rowsHere({
  layerWorker: Poller.layerWorker(),
  layerEventLoop: Poller.layerEventLoop(),
  "layerAttach to a layerWorker": layerAttached()
})

describe("promise 10: idle is free, with 10,000 idle registrations", () => {
  for (const [name, layer] of Object.entries(layers)) {
    it.live(name, (test) =>
      Effect.gen(function* () {
        const opened = yield* open(layer)
        yield* registerAll(opened.registrar, yield* manySources(registrations))
        expect((yield* opened.poller.stats).registrations).toBe(registrations)
        const seen = yield* observe(opened)
        yield* Effect.promise(() => test.annotate(`${(seen.cpuShare * 100).toFixed(2)} % CPU, ${seen.waits} waits`))
        isFree(seen)
        if (name === "layerEventLoop") expect(seen.waits).toBe(0)
      }).pipe(Effect.scoped)
    )
  }

  it.live("layerBlocking in a worker thread, and this thread attached to it", (test) =>
    Effect.gen(function* () {
      const owner = yield* startConsumer({ layer: "blocking" })
      const opened = yield* open(Poller.layerAttach(owner.handle))
      yield* registerAll(opened.registrar, yield* manySources(registrations))
      const seen = yield* observe(opened)
      yield* Effect.promise(() => test.annotate(`${(seen.cpuShare * 100).toFixed(2)} % CPU, ${seen.waits} waits`))
      isFree(seen)
      yield* owner.close
      yield* owner.exited
    }).pipe(Effect.scoped)
  )
})
