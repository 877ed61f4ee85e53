/**
 * Fake timers, as tests install them: what the program's clock says and when its timers run is
 * then up to the test. Descriptors go on as ever.
 */
import { describe, expect, it, vi } from "@effect/vitest"
import { Effect, Fiber, Scheduler } from "effect"
import { Poller, Registrar, Tcp, Udp } from "effect-amy"
import { layers, type PollerLayer, rowsHere } from "../support/layers.ts"

const realImmediate = setImmediate
const realClear = clearImmediate

/** Effect itself schedules fibers by the global `setImmediate`, so it is given the real one. */
const scheduler = new Scheduler.MixedScheduler("async", (run) => {
  const immediate = realImmediate(run)
  return () => realClear(immediate)
})

/** Everything that can be replaced in a process. In a thread, `nextTick` can be as well. */
const everything = [
  "setTimeout",
  "clearTimeout",
  "setInterval",
  "clearInterval",
  "setImmediate",
  "clearImmediate",
  "queueMicrotask",
  "hrtime",
  "performance",
  "Date"
] as const

/** Runs a program from its first layer to its last finalizer while all timers are fake. */
const runWithFakes = async <A, E>(program: Effect.Effect<A, E>): Promise<A> => {
  vi.useFakeTimers({ toFake: [...everything] })
  try {
    return await Effect.runPromise(Effect.provideService(program, Scheduler.Scheduler, scheduler))
  } finally {
    vi.useRealTimers()
  }
}

const cases: ReadonlyArray<readonly [string, PollerLayer]> = [
  ...Object.entries(rowsHere(layers)).map(([name, layer]) => [name, layer()] as const),
  ["layerBlocking", Poller.layerBlocking({ allowMainThread: true })]
]

it("fake timers that were installed before the library are seen through", async () => {
  vi.useFakeTimers({ toFake: [...everything] })
  vi.resetModules()
  const real = await import("../../src/internal/libc/realTime.ts")
  const before = real.now()
  const ran = await new Promise((resolve) => real.setImmediate(resolve, "at once")).finally(() => vi.useRealTimers())
  expect(ran).toBe("at once")
  expect(real.now()).toBeGreaterThan(before)
})

const echo = (connection: Tcp.TcpStream) =>
  Effect.forever(Effect.andThen(connection.read(new Uint8Array(8)), connection.writeAll(new Uint8Array(1))), {
    disableYield: true
  })

describe.each(cases)("while timers are fake (%s)", (_, layer) => {
  it("connections are served", () =>
    runWithFakes(
      Effect.gen(function* () {
        const listener = yield* Tcp.listen("127.0.0.1:0")
        yield* Effect.forkScoped(listener.run(echo))
        const client = yield* Tcp.connect(listener.address)
        for (let round = 0; round < 100; round++) {
          yield* client.writeAll(new Uint8Array(1))
          expect(yield* client.read(new Uint8Array(8))).toBe(1)
        }
      }).pipe(Effect.scoped, Effect.provide(layer))
    ))

  it("a long line of fibers that wait for one descriptor is served to its end", () =>
    runWithFakes(
      Effect.gen(function* () {
        const socket = yield* Udp.bind("127.0.0.1:0")
        const receivers = yield* Effect.forEach(Array.from({ length: 100 }), () => Effect.forkChild(socket.receive))
        yield* Effect.yieldNow
        const address = yield* socket.localAddress
        yield* Effect.forEach(receivers, () => socket.send(new Uint8Array(1), address))
        expect((yield* Effect.forEach(receivers, Fiber.join)).length).toBe(100)
      }).pipe(Effect.scoped, Effect.provide(layer))
    ))

  it("timers of the Registrar are due when the kernel says so", () =>
    runWithFakes(
      Effect.gen(function* () {
        const once = yield* Registrar.timeout(1)
        const [first] = yield* Poller.wait(Infinity)
        expect(first?.id).toBe(once)
        const ticks = yield* Registrar.interval(1)
        for (let tick = 0; tick < 3; tick++) {
          const [notification] = yield* Poller.wait(Infinity)
          expect(notification?.id).toBe(ticks)
        }
      }).pipe(Effect.provide(layer))
    ))
})
