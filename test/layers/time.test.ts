/** The duration of waits. The tests check lower bounds. A wait without end would hang its test. */
import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect, Fiber } from "effect"
import { Poller, Registrar } from "effect-amy"
import * as Kernel from "../support/kernel.ts"
import { layers, type PollerLayer, readyNow } from "../support/layers.ts"
import { outcome } from "../support/opened.ts"
import { notLinux, onLinux } from "../support/platform.ts"
import { listenForSignals, signalAllThreads, signals, startThread, type WaitMeasured } from "../support/programs.ts"

const all: { readonly [name: string]: (options?: Poller.LayerOptions) => PollerLayer } = {
  ...layers,
  "layerBlocking on the main thread": (options) => Poller.layerBlocking({ ...options, allowMainThread: true })
}

/** Waits with nothing ready. Returns the elapsed milliseconds. */
const measured = (timeout: Duration.Input) =>
  Effect.gen(function* () {
    const poller = yield* Poller.Poller
    const start = performance.now()
    expect(yield* poller.wait(timeout)).toEqual([])
    return performance.now() - start
  })

const scopedEventfd = Effect.acquireRelease(Effect.sync(Kernel.source), (fd) => Effect.sync(() => Kernel.close(fd)))

/** Registers a source, and signals it after some milliseconds. */
const readyAfter = (millis: number) =>
  Effect.gen(function* () {
    const fd = yield* scopedEventfd
    const id = yield* Registrar.register(fd, "Read")
    yield* Effect.acquireRelease(
      Effect.sync(() => setTimeout(() => Kernel.signal(fd), millis)),
      (timer) => Effect.sync(() => clearTimeout(timer))
    )
    return id
  })

/** Makes a thread that runs test/programs/blockingTime.ts wait. */
const waitThere = (thread: Effect.Success<ReturnType<typeof startThread<WaitMeasured>>>, millis: number) => {
  thread.worker.postMessage(millis)
  return thread.next
}

for (const [name, layer] of Object.entries(all)) {
  describe(`promise 7: a wait is never early (${name})`, () => {
    it.live("a wait takes at least its timeout", () =>
      Effect.gen(function* () {
        for (const millis of [1, 1.5, 2, 7.3, 20, 50.9]) {
          expect(yield* measured(Duration.millis(millis))).toBeGreaterThanOrEqual(millis)
        }
      }).pipe(Effect.provide(layer()))
    )

    it.live("sub-millisecond waits are rounded up, not to zero", () =>
      Effect.gen(function* () {
        for (let i = 0; i < 100; i++) {
          expect(yield* measured("200 micros")).toBeGreaterThanOrEqual(0.2)
          expect(yield* measured("1 nanos")).toBeGreaterThanOrEqual(0.000_001)
        }
      }).pipe(Effect.provide(layer()))
    )

    it.live("an infinite timeout waits for ever, and so does one longer than a timer of Node can be", () =>
      Effect.gen(function* () {
        const poller = yield* Poller.Poller
        for (const timeout of [Duration.infinity, "1000 days"] as const) {
          const id = yield* readyAfter(30)
          expect((yield* poller.wait(timeout)).map((one) => one.id)).toEqual([id])
        }
      }).pipe(Effect.scoped, Effect.provide(layer()))
    )

    it.live("a timeout of zero polls", () =>
      Effect.gen(function* () {
        expect(yield* readyNow).toEqual([])
        const fd = yield* scopedEventfd
        const id = yield* Registrar.register(fd, "Read")
        expect(yield* readyNow).toEqual([])
        Kernel.signal(fd)
        expect((yield* readyNow).map((one) => one.id)).toEqual([id])
        expect(yield* readyNow).toEqual([])
      }).pipe(Effect.scoped, Effect.provide(layer()))
    )

    it.live("a negative or invalid timeout is refused", () =>
      Effect.gen(function* () {
        const poller = yield* Poller.Poller
        for (const timeout of [-1, Number.NaN, -Infinity, "soon" as "1 second"]) {
          expect(yield* outcome(poller.wait(timeout))).toBe("InvalidArgument")
        }
      }).pipe(Effect.provide(layer()))
    )
  })

  describe(`promise 7: EINTR is invisible and does not restart the clock (${name})`, () => {
    // The signals last as long as the wait. If each restarted its clock, the wait would never end.
    it.live.skipIf(notLinux)(onLinux("tgkill", "in a finite wait"), () =>
      Effect.gen(function* () {
        yield* signalAllThreads(10)
        expect(yield* measured(400)).toBeGreaterThanOrEqual(400)
      }).pipe(Effect.scoped, Effect.provide(layer()))
    )

    it.live.skipIf(notLinux)(onLinux("tgkill", "in an infinite wait"), () =>
      Effect.gen(function* () {
        const poller = yield* Poller.Poller
        yield* signalAllThreads(10)
        const id = yield* readyAfter(200)
        expect((yield* poller.wait(Duration.infinity)).map((one) => one.id)).toEqual([id])
      }).pipe(Effect.scoped, Effect.provide(layer()))
    )

    it.live.skipIf(notLinux)(onLinux("tgkill", "in a wait of zero"), () =>
      Effect.gen(function* () {
        yield* signalAllThreads(1)
        const fd = yield* scopedEventfd
        const id = yield* Registrar.register(fd, "Read")
        for (let i = 0; i < 200; i++) {
          Kernel.signal(fd)
          expect((yield* readyNow).map((one) => one.id)).toEqual([id])
        }
      }).pipe(Effect.scoped, Effect.provide(layer()))
    )

    it.live("in a wait during signals to the process", () =>
      Effect.gen(function* () {
        listenForSignals()
        const before = signals.heard
        const timer = setInterval(() => process.kill(process.pid, "SIGUSR2"), 10)
        // A wait that blocks the main thread lets the timer run once a second.
        const millis = name.startsWith("layerBlocking") ? 2500 : 300
        expect(yield* measured(millis)).toBeGreaterThanOrEqual(millis)
        clearInterval(timer)
        // The listener is called in a turn of the event loop, which may be yet to come.
        while (signals.heard === before) yield* Effect.sleep(1)
      }).pipe(Effect.scoped, Effect.provide(layer()))
    )
  })
}

describe("promise 7: the polling thread is interrupted by signals and goes on (layerWorker)", () => {
  it.live.skipIf(notLinux)(onLinux("tgkill", "signals end its waits early, and no consumer notices"), () =>
    Effect.gen(function* () {
      const poller = yield* Poller.Poller
      const before = (yield* poller.stats).waits
      const waiter = yield* Effect.forkScoped(poller.wait(Duration.infinity), { startImmediately: true })
      yield* signalAllThreads(5)
      // Nothing but the signals makes it wait so often.
      while ((yield* poller.stats).waits < before + 20) yield* Effect.sleep(5)
      const id = yield* readyAfter(0)
      expect((yield* Fiber.join(waiter)).map((one) => one.id)).toEqual([id])
    }).pipe(Effect.scoped, Effect.provide(Poller.layerWorker()))
  )
})

describe("promise 7: time in a worker thread that blocks (layerBlocking)", () => {
  it.live("a wait is never early, and sub-millisecond waits are rounded up, not to zero", () =>
    Effect.gen(function* () {
      const thread = yield* startThread<WaitMeasured>("blockingTime", undefined)
      for (const millis of [0.05, 0.5, 1, 1.5, 20.3, 60]) {
        const { elapsed, taken, waits } = yield* waitThere(thread, millis)
        expect(elapsed).toBeGreaterThanOrEqual(millis)
        expect(taken).toBe(0)
        // A timeout that was rounded to zero would go into the kernel over and over.
        expect(waits).toBe(1)
      }
    })
  )

  it.live("a long wait goes into the kernel once a second, and no more often", () =>
    Effect.gen(function* () {
      const thread = yield* startThread<WaitMeasured>("blockingTime", undefined)
      const { elapsed, waits } = yield* waitThere(thread, 2100)
      expect(elapsed).toBeGreaterThanOrEqual(2100)
      expect(waits).toBeLessThanOrEqual(3)
    })
  )

  it.live.skipIf(notLinux)(onLinux("tgkill", "EINTR is invisible and does not restart the clock"), () =>
    Effect.gen(function* () {
      const thread = yield* startThread<WaitMeasured>("blockingTime", undefined)
      yield* signalAllThreads(10)
      const { elapsed, taken, waits } = yield* waitThere(thread, 400)
      expect(elapsed).toBeGreaterThanOrEqual(400)
      expect(taken).toBe(0)
      // The signals did interrupt the wait.
      expect(waits).toBeGreaterThan(1)
    })
  )
})
