/**
 * Timers on the real kernel. The tests check lower bounds only, because a busy machine may be late.
 */
import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Queue, Stream } from "effect"
import { PollChannel, Poller, type PollerError, Registrar, UserEvent } from "effect-amy"
import { type DueTimes, expectDueOrder, noteDue } from "../support/dueOrder.ts"
import * as Kernel from "../support/kernel.ts"
import { describeLayers, idsReadyNow, layerAttached, type PollerLayer, readyNow, someLayer } from "../support/layers.ts"
import { times } from "../support/long.ts"
import { outcomeOf, reasonOf } from "../support/outcome.ts"
import { block, start } from "../support/thread.ts"
import { notLinux, onLinux } from "../support/platform.ts"

/** The milliseconds by which two readings of the clock may differ because of rounding. */
const rounding = 0.001

const wait = (timeout: Duration.Input) => Effect.flatMap(Poller.Poller, (poller) => poller.wait(timeout))

/** Returns the ids of the next notifications. */
const next = Effect.map(wait(Duration.infinity), (all) => all.map(({ id }) => id))

/** Returns once a notification is in the queue, and leaves it there. */
const arrival = Effect.flatMap(Poller.Poller, ({ queue }) => Queue.peek(queue))

const timerDescriptors = Effect.sync(
  () => [...Kernel.openDescriptors().values()].filter((name) => name.includes("timerfd")).length
)

const now = Effect.sync(() => performance.now())

/** Invalid durations, and negative ones. */
const refused = [
  "-1 millis",
  -1,
  -0.001,
  NaN,
  "abc",
  "NaN millis",
  Number.NEGATIVE_INFINITY
] as ReadonlyArray<Duration.Input>

const blocking = (): PollerLayer => Poller.layerBlocking({ allowMainThread: true })

const timerTests = (layer: (options?: Poller.LayerOptions) => PollerLayer): void => {
  it.live("a timeout is never early, not even by a fraction of a millisecond, and zero is due at once", () =>
    Effect.gen(function* () {
      const durations: ReadonlyArray<Duration.Input> = [
        0,
        0.01,
        0.5,
        1,
        1.001,
        1.5,
        2.75,
        10,
        "20 millis",
        Duration.micros(700n),
        Duration.nanos(1_300_001n)
      ]
      for (const duration of durations) {
        const begin = performance.now()
        const id = yield* Registrar.timeout(duration)
        const [notification, ...others] = yield* wait(Duration.infinity)
        const elapsed = performance.now() - begin
        expect(notification).toMatchObject({ id, event: "Read", readClosed: false, writeClosed: false, error: false })
        expect(others).toEqual([])
        expect(elapsed).toBeGreaterThanOrEqual(Duration.toMillis(duration) - rounding)
      }
    }).pipe(Effect.provide(layer()))
  )

  it.live("timeouts are reported once, in the order in which they are due", () =>
    Effect.gen(function* () {
      const begin = performance.now()
      const millis = [30, 10, 20, 0, 10.5]
      const due: DueTimes = new Map()
      const ids: Array<number> = []
      for (const each of millis) ids.push(yield* noteDue(due, each, Registrar.timeout, now))
      const reported: Array<number> = []
      while (reported.length < ids.length) {
        for (const id of yield* next) {
          reported.push(id)
          expect(performance.now() - begin).toBeGreaterThanOrEqual(millis[ids.indexOf(id)]! - rounding)
        }
      }
      expectDueOrder(reported, due)
      // One more timeout, which is due after all others, shows that nothing is reported twice.
      const last = yield* Registrar.timeout(35)
      expect(yield* next).toEqual([last])
    }).pipe(Effect.provide(layer()))
  )

  it.live("an infinite or extremely long timeout is accepted, is never due, and does not delay others", () =>
    Effect.gen(function* () {
      const ids: Array<number> = []
      for (const duration of [Duration.infinity, Number.MAX_VALUE, Number.MAX_SAFE_INTEGER, "10000000 days"] as const) {
        ids.push(yield* Registrar.timeout(duration), yield* Registrar.interval(duration))
      }
      const soon = yield* Registrar.timeout(3)
      expect(yield* next).toEqual([soon])
      for (const id of ids) yield* Registrar.cancelTimer(Registrar.RegistrationId(id))
      expect(yield* idsReadyNow).toEqual([])
    }).pipe(Effect.provide(layer()))
  )

  it.live("an interval's n-th report is never before the start and n periods", () =>
    Effect.gen(function* () {
      const period = 4.5
      const begin = performance.now()
      const id = yield* Registrar.interval(period)
      for (let n = 1; n <= 10; n++) {
        expect(yield* next).toEqual([id])
        expect(performance.now() - begin).toBeGreaterThanOrEqual(n * period - rounding)
      }
      yield* Registrar.cancelTimer(id)
    }).pipe(Effect.provide(layer()))
  )

  it.live("an interval does not drift: after a late consumer the next is due on the old grid", () =>
    Effect.gen(function* () {
      const period = 60
      const id = yield* Registrar.interval(period)
      // If the interval drifted, the next report would always be a whole period away. Without drift
      // it is half a period away, which even on a busy machine is seen in one of many rounds.
      for (;;) {
        yield* next
        block(period * 1.5)
        expect(yield* next).toEqual([id])
        const taken = performance.now()
        yield* next
        if (performance.now() - taken < period - 5) break
      }
      yield* Registrar.cancelTimer(id)
    }).pipe(Effect.provide(layer()))
  )

  it.live("several missed periods are one notification", () =>
    Effect.gen(function* () {
      const begin = performance.now()
      const id = yield* Registrar.interval(50)
      for (let round = 1; round <= 3; round++) {
        block(170)
        expect(yield* idsReadyNow).toEqual([id])
        // At least three periods have passed each time.
        expect(performance.now() - begin).toBeGreaterThanOrEqual(round * 150)
      }
      yield* Registrar.cancelTimer(id)
      expect(yield* idsReadyNow).toEqual([])
    }).pipe(Effect.provide(layer()))
  )

  it.live("a cancelled timer is not reported, even if it was due before in the kernel", () =>
    Effect.gen(function* () {
      const notYet = yield* Registrar.timeout(5)
      yield* Registrar.cancelTimer(notYet)
      const gone = yield* Registrar.timeout(1)
      const interval = yield* Registrar.interval(1)
      // Both are due after that, and this thread has not handled them.
      block(5)
      yield* Registrar.cancelTimer(gone)
      yield* Registrar.cancelTimer(interval)
      expect(yield* idsReadyNow).toEqual([])
      const later = yield* Registrar.timeout(10)
      expect(yield* next).toEqual([later])
    }).pipe(Effect.provide(layer()))
  )

  it.live("cancelTimer fails with NotRegistered if the id is unknown, finished, cancelled or not a timer", () =>
    Effect.gen(function* () {
      const fd = Kernel.source()
      const registration = yield* Registrar.register(fd, "Read")
      const event = yield* UserEvent.make
      const notYetAny = yield* outcomeOf(Registrar.cancelTimer(registration))
      expect(notYetAny).toBe("NotRegistered")
      const timer = yield* Registrar.timeout(1)
      expect(yield* next).toEqual([timer])
      const cancelled = yield* Registrar.interval(1000)
      yield* Registrar.cancelTimer(cancelled)
      for (const id of [timer, cancelled, registration, event.id, 0, -1, 1.5, NaN, Infinity, 12_345]) {
        expect(yield* reasonOf(Registrar.cancelTimer(Registrar.RegistrationId(id)))).toBe("NotRegistered")
      }
      // The registration with that id is unchanged.
      Kernel.signal(fd)
      yield* event.trigger
      expect(yield* idsReadyNow).toEqual([registration, event.id])
      yield* Registrar.deregister(fd)
      Kernel.close(fd)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("an invalid duration is refused, and changes nothing", () =>
    Effect.gen(function* () {
      const first = yield* Registrar.timeout(0)
      expect(yield* next).toEqual([first])
      const before = Kernel.openDescriptors().size
      for (const duration of refused) {
        expect(yield* reasonOf(Registrar.timeout(duration))).toBe("InvalidArgument")
        expect(yield* reasonOf(Registrar.interval(duration))).toBe("InvalidArgument")
      }
      for (const period of [0, "0 millis", Duration.zero] as const) {
        expect(yield* reasonOf(Registrar.interval(period))).toBe("InvalidArgument")
      }
      expect(Kernel.openDescriptors().size).toBeLessThanOrEqual(before)
      const second = yield* Registrar.timeout(0)
      expect(second).toBe(first + 1)
      expect(yield* next).toEqual([second])
    }).pipe(Effect.provide(layer()))
  )

  it.live.skipIf(notLinux)(
    onLinux("timerfd", "thousands of timers need one descriptor, and each is reported once"),
    () =>
      Effect.gen(function* () {
        yield* readyNow
        const before = Kernel.openDescriptors().size
        const timerfds = yield* timerDescriptors
        const begin = performance.now()
        const due = new Map<number, number>()
        for (let i = 0; i < times(2000, 10_000); i++) {
          const millis = (i * 7) % 300
          due.set(yield* Registrar.timeout(millis), millis)
        }
        expect([(yield* timerDescriptors) - timerfds, Kernel.openDescriptors().size - before]).toEqual([1, 1])
        while (due.size > 0) {
          for (const id of yield* next) {
            const millis = due.get(id)
            expect(millis).toBeDefined()
            expect(performance.now() - begin).toBeGreaterThanOrEqual(millis! - rounding)
            due.delete(id)
          }
        }
        expect(yield* idsReadyNow).toEqual([])
        expect(Kernel.openDescriptors().size - before).toBe(1)
      }).pipe(Effect.provide(layer()))
  )

  it.live("closing the layer with running timers leaves no descriptor, and cancelTimer fails with Closed", () =>
    Effect.gen(function* () {
      const use = Effect.gen(function* () {
        const registrar = yield* Registrar.Registrar
        for (let i = 0; i < 100; i++) yield* registrar.timeout(i)
        const interval = yield* registrar.interval(1)
        yield* next
        return { interval, registrar }
      }).pipe(Effect.provide(layer()))
      // The first round opens what the process opens once.
      yield* use
      const before = Kernel.openDescriptors().size
      const { interval, registrar } = yield* use
      expect(Kernel.openDescriptors().size).toBeLessThanOrEqual(before)
      expect(yield* timerDescriptors).toBe(0)
      expect(yield* reasonOf(registrar.timeout(1))).toBe("Closed")
      expect(yield* reasonOf(registrar.interval(1))).toBe("Closed")
      expect(yield* reasonOf(registrar.cancelTimer(interval))).toBe("Closed")
    })
  )

  it.live("timers are reported to the queue and to the stream", () =>
    Effect.gen(function* () {
      const { notifications, queue } = yield* Poller.Poller
      const one = yield* Registrar.timeout(3)
      expect((yield* Queue.take(queue)).id).toBe(one)
      const two = yield* Registrar.interval(2)
      const taken = yield* Stream.runCollect(Stream.take(notifications, 3))
      expect(taken.map(({ id }) => id)).toEqual([two, two, two])
      yield* Registrar.cancelTimer(two)
    }).pipe(Effect.provide(layer()))
  )
}

describeLayers("promise 7: a timer", timerTests)
describe("promise 7: a timer (layerBlocking)", () => {
  timerTests(blocking)
})

describeLayers("promise 12: a cancelled timer's id is never reported afterwards", (layer) => {
  it.live("the notification of a cancelled timeout is removed from the queue", () =>
    Effect.gen(function* () {
      const id = yield* Registrar.timeout(1)
      yield* arrival
      yield* Registrar.cancelTimer(id)
      expect(yield* idsReadyNow).toEqual([])
      expect(yield* reasonOf(Registrar.cancelTimer(id))).toBe("NotRegistered")
    }).pipe(Effect.provide(layer()))
  )

  it.live("the notification of a cancelled interval is removed from the queue", () =>
    Effect.gen(function* () {
      const id = yield* Registrar.interval(1)
      yield* arrival
      yield* Registrar.cancelTimer(id)
      expect(yield* idsReadyNow).toEqual([])
      const later = yield* Registrar.timeout(5)
      expect(yield* next).toEqual([later])
      expect(yield* reasonOf(Registrar.cancelTimer(id))).toBe("NotRegistered")
    }).pipe(Effect.provide(layer()))
  )

  it.live("the notifications of other timers stay in the queue", () =>
    Effect.gen(function* () {
      const ids: Array<number> = []
      for (let i = 0; i < 9; i++) ids.push(yield* Registrar.timeout(i / 10))
      block(5)
      yield* arrival
      const { queue } = yield* Poller.Poller
      // The first is finished. Every second one of the others is cancelled.
      expect((yield* Queue.take(queue)).id).toBe(ids[0])
      for (const index of [1, 3, 5, 7]) yield* Registrar.cancelTimer(Registrar.RegistrationId(ids[index]!))
      expect(yield* reasonOf(Registrar.cancelTimer(Registrar.RegistrationId(ids[0]!)))).toBe("NotRegistered")
      const rest: Array<number> = []
      while (rest.length < 4) rest.push(...(yield* next))
      expect(rest.toSorted((a, b) => a - b)).toEqual([2, 4, 6, 8].map((index) => ids[index]))
      for (const id of ids)
        expect(yield* reasonOf(Registrar.cancelTimer(Registrar.RegistrationId(id)))).toBe("NotRegistered")
    }).pipe(Effect.provide(layer()))
  )

  it.live("an id is either reported or cancelled, and never both, at whatever moment", () =>
    Effect.gen(function* () {
      const reported = new Set<number>()
      const cancelled = new Set<number>()
      const ids: Array<number> = []
      for (let i = 0; i < 600; i++) ids.push(yield* Registrar.timeout((i % 60) / 2))
      const { queue } = yield* Poller.Poller
      const consumer = yield* Effect.forkChild(
        Effect.forever(
          Effect.map(Queue.take(queue), ({ id }) => {
            expect(reported.has(id) || cancelled.has(id)).toBe(false)
            reported.add(id)
          })
        )
      )
      for (let i = 0; i < ids.length; i += 2) {
        const id = ids[i]!
        const outcome = yield* outcomeOf(Registrar.cancelTimer(Registrar.RegistrationId(id)))
        // The consumer has seen an id that cannot be cancelled, at the latest in the turn that just
        // ran.
        expect(outcome).toBe(reported.has(id) ? "NotRegistered" : "ok")
        if (outcome === "ok") cancelled.add(id)
        if (i % 20 === 0) yield* Effect.sleep(0)
      }
      while (reported.size + cancelled.size < ids.length) yield* Effect.sleep(1)
      yield* readyNow
      yield* Fiber.interrupt(consumer)
      expect([...cancelled].filter((id) => reported.has(id))).toEqual([])
    }).pipe(Effect.provide(layer()))
  )
})

describeLayers("promise 2: ids rise", (layer) => {
  it.live("descriptors, timers, user events and channels share the ids", () =>
    Effect.gen(function* () {
      const fd = Kernel.source()
      const ids: Array<number> = []
      ids.push(yield* Registrar.timeout("1 hour"))
      ids.push(yield* Registrar.register(fd, "Read"))
      ids.push(yield* Registrar.interval("1 hour"))
      ids.push((yield* UserEvent.make).id)
      ids.push((yield* PollChannel.unbounded<number>()).receiver.id)
      yield* Registrar.cancelTimer(Registrar.RegistrationId(ids[0]!))
      yield* Registrar.deregister(fd)
      ids.push(yield* Registrar.timeout("1 hour"))
      expect(ids).toEqual([1, 2, 3, 4, 5, 6])
      Kernel.close(fd)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )
})

interface ThreadReport {
  readonly ids: ReadonlyArray<number>
  readonly reported: ReadonlyArray<number>
  readonly early: ReadonlyArray<number>
  readonly afterwards: ReadonlyArray<unknown>
}

const report = (poller: Poller.PollerHandle | undefined) =>
  Effect.gen(function* () {
    const thread = yield* start("timerThread", { poller })
    const message = (yield* thread.message) as ThreadReport
    expect(yield* thread.exited).toBe(0)
    expect(message.reported).toEqual(message.ids)
    expect([message.early, message.afterwards]).toEqual([[], []])
    return message
  })

describeLayers("promise 7: a timer is reported to the thread that sets it", (layer) => {
  it.live("no other thread gets the report", () =>
    Effect.gen(function* () {
      const mine = yield* Registrar.timeout("1 hour")
      const { handle } = yield* Poller.Poller
      const [one, two] = yield* Effect.all([report(handle), report(handle)], { concurrency: 2 })
      expect(new Set([mine, ...one.ids, ...two.ids]).size).toBe(9)
      // This thread gets no timers of the other two, and their ids do not cancel its own.
      expect(yield* readyNow).toEqual([])
      for (const id of one.ids)
        expect(yield* reasonOf(Registrar.cancelTimer(Registrar.RegistrationId(id)))).toBe("NotRegistered")
      const soon = yield* Registrar.timeout(1)
      expect(yield* next).toEqual([soon])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )
})

describe("promise 7: a timer in a thread that only polls", () => {
  it.live("a timer wakes a thread from layerBlocking", () => Effect.scoped(report(undefined)))
})

const message = (effect: Effect.Effect<unknown, PollerError.PollerError, Registrar.Registrar>) =>
  Effect.map(Effect.flip(effect), ({ message }) => message)

describe("promise 12: a timer that cannot be set", () => {
  it.live("a refused timer opens no descriptor", () =>
    Effect.gen(function* () {
      const before = yield* timerDescriptors
      for (const duration of refused) yield* outcomeOf<unknown, Registrar.Registrar>(Registrar.timeout(duration))
      expect(yield* timerDescriptors).toBe(before)
    }).pipe(Effect.provide(layerAttached()))
  )

  it.live("the message says what is wrong", () =>
    Effect.gen(function* () {
      expect(yield* message(Registrar.timeout(NaN))).toContain("NaN")
      expect(yield* message(Registrar.interval(0))).toContain("above zero")
      expect(yield* message(Registrar.cancelTimer(Registrar.RegistrationId(7)))).toContain("7")
    }).pipe(Effect.provide(someLayer()))
  )
})
