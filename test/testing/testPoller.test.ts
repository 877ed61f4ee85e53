/**
 * What `TestPoller` itself promises. That its poller behaves as the others do is tested in
 * behaviours.test.ts.
 */
import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer } from "effect"
import { PollChannel, Poller, PollerError, Registrar, UserEvent } from "effect-amy"
import { TestPoller } from "effect-amy/testing"
import { TestClock } from "effect/testing"
import { execFileSync } from "node:child_process"
import { inspect } from "node:util"
import { idsReadyNow, readyNow, rowsHere } from "../support/layers.ts"
import { outcome } from "../support/opened.ts"
import { play, randomSteps } from "../support/randomSteps.ts"
import { said } from "../support/said.ts"
import { onKernel, onTestPoller } from "../support/worlds.ts"

const limit = new PollerError.LimitReached({ description: "no more" })

describe("TestPoller: failNextRegistration", () => {
  it.effect("makes one registration fail with its reason, and changes nothing", () =>
    Effect.gen(function* () {
      const kernel = yield* TestPoller.TestPoller
      const descriptor = yield* kernel.open
      yield* descriptor.readable
      yield* kernel.failNextRegistration(limit)
      const refused = yield* Effect.flip(Registrar.register(descriptor, "Read"))
      expect(refused.reason).toBe(limit)
      expect(yield* kernel.registered).toEqual([])
      expect(yield* Registrar.register(descriptor, "Read")).toBe(1)
      expect(yield* idsReadyNow).toEqual([1])
    }).pipe(Effect.provide(TestPoller.layer))
  )

  it.effect("applies to registerScoped, and not to reregister", () =>
    Effect.gen(function* () {
      const kernel = yield* TestPoller.TestPoller
      const descriptor = yield* kernel.open
      const id = yield* Registrar.register(descriptor, "Read")
      yield* kernel.failNextRegistration(limit)
      yield* Registrar.reregister(descriptor, id, "Write")
      yield* Registrar.deregister(descriptor)
      expect(yield* outcome(Effect.scoped(Registrar.registerScoped(descriptor, "Read")))).toBe("LimitReached")
      expect(yield* outcome(Effect.scoped(Registrar.registerScoped(descriptor, "Read")))).toBe("success")
    }).pipe(Effect.provide(TestPoller.layer))
  )

  it.effect("applies when the registration runs, not when it is built", () =>
    Effect.gen(function* () {
      const kernel = yield* TestPoller.TestPoller
      const descriptor = yield* kernel.open
      const register = Registrar.register(descriptor, "Read")
      yield* kernel.failNextRegistration(limit)
      expect(yield* outcome(register)).toBe("LimitReached")
      expect(yield* outcome(register)).toBe("success")
    }).pipe(Effect.provide(TestPoller.layer))
  )
})

describe("TestPoller: registered", () => {
  it.effect("returns each registration with its options", () =>
    Effect.gen(function* () {
      const kernel = yield* TestPoller.TestPoller
      const first = yield* kernel.open
      const second = yield* kernel.open
      const third = yield* kernel.open
      expect([first.fd, second.fd, third.fd]).toEqual([3, 4, 5])
      const plain = { mode: "edge", priority: false, exclusive: false }
      const id = yield* Registrar.register(first, "Read")
      yield* Registrar.register(second, "Write", { mode: "oneshot", priority: true })
      yield* Registrar.register({ fd: third.fd }, "Both", { exclusive: true })
      expect(yield* kernel.registered).toEqual([
        { id, fd: 3, event: "Read", ...plain },
        { id: id + 1, fd: 4, event: "Write", mode: "oneshot", priority: true, exclusive: false },
        { id: id + 2, fd: 5, event: "Both", mode: "edge", priority: false, exclusive: true }
      ])
      yield* Registrar.reregister(first, id, "Both")
      yield* Registrar.deregister(second)
      yield* third.close
      expect(yield* kernel.registered).toEqual([{ id, fd: 3, event: "Both", ...plain }])
    }).pipe(Effect.provide(TestPoller.layer))
  )

  it.effect("promise 13: an interrupted wait and a closed scope leave no registration behind", () =>
    Effect.gen(function* () {
      const kernel = yield* TestPoller.TestPoller
      const poller = yield* Poller.Poller
      const descriptor = yield* kernel.open
      const waiting = yield* Effect.forkChild(
        Effect.scoped(Effect.andThen(Registrar.registerScoped(descriptor, "Read"), poller.wait(Duration.infinity))),
        { startImmediately: true }
      )
      expect(yield* kernel.registered).toHaveLength(1)
      yield* Fiber.interrupt(waiting)
      expect(yield* kernel.registered).toEqual([])
    }).pipe(Effect.provide(TestPoller.layer))
  )
})

describe("TestPoller: FakeDescriptor", () => {
  it.effect("fails with BadDescriptor once it is closed, and its number is used again", () =>
    Effect.gen(function* () {
      const kernel = yield* TestPoller.TestPoller
      const descriptor = yield* kernel.open
      const other = yield* kernel.open
      yield* descriptor.close
      const { close, drained, failed, full, hungUp, priority, readable, readClosed, writable } = descriptor
      for (const each of [close, drained, failed, full, hungUp, priority, readable, readClosed, writable]) {
        const error = yield* Effect.flip(each)
        expect(error.reason).toMatchObject({ _tag: "BadDescriptor", fd: descriptor.fd, code: "EBADF" })
      }
      const next = yield* kernel.open
      expect(next.fd).toBe(descriptor.fd)
      expect((yield* kernel.open).fd).toBe(other.fd + 1)
      // The closed descriptor does not affect the new one with its number.
      const id = yield* Registrar.register(next, "Read")
      expect(yield* outcome(readable)).toBe("BadDescriptor")
      expect(yield* readyNow).toEqual([])
      yield* next.readable
      expect(yield* idsReadyNow).toEqual([id])
    }).pipe(Effect.provide(TestPoller.layer))
  )

  it.effect("prints as what it is, and shows nothing internal", () =>
    Effect.gen(function* () {
      const kernel = yield* TestPoller.TestPoller
      const descriptor = yield* kernel.open
      expect([String(descriptor), inspect({ descriptor })]).toEqual([
        "FakeDescriptor(3)",
        "{ descriptor: FakeDescriptor(3) }"
      ])
      expect(JSON.parse(JSON.stringify(descriptor))).toEqual({ _id: "effect-amy/FakeDescriptor", fd: 3 })
      expect(Object.keys(descriptor)).toEqual([])
      yield* descriptor.close
      expect([String(descriptor), descriptor.fd]).toEqual(["FakeDescriptor(closed)", 3])
    }).pipe(Effect.provide(TestPoller.layer))
  )

  it.effect("opened by openUnpollable cannot be registered", () =>
    Effect.gen(function* () {
      const kernel = yield* TestPoller.TestPoller
      const descriptor = yield* kernel.openUnpollable
      const error = yield* Effect.flip(Registrar.register(descriptor, "Read"))
      expect(error.message).toBe(
        `epoll_ctl(ADD) on fd ${descriptor.fd}: EPERM, this descriptor cannot be polled (regular files, directories and some devices never can)`
      )
      yield* descriptor.readable
      expect(yield* readyNow).toEqual([])
      yield* descriptor.close
      expect(yield* outcome(Registrar.register(descriptor, "Read"))).toBe("BadDescriptor")
    }).pipe(Effect.provide(TestPoller.layer))
  )

  it.effect("stays readable after the end of its input, even when drained", () =>
    Effect.gen(function* () {
      const kernel = yield* TestPoller.TestPoller
      const descriptor = yield* kernel.open
      yield* descriptor.readClosed
      yield* descriptor.drained
      const id = yield* Registrar.register(descriptor, "Read")
      expect((yield* readyNow).map(said)).toEqual([{ id, event: "Read", flags: ["readClosed"] }])
    }).pipe(Effect.provide(TestPoller.layer))
  )
})

describe("TestPoller: kill", () => {
  it.effect("makes every consumer fail with WorkerFailed, once and for all", () =>
    Effect.gen(function* () {
      const kernel = yield* TestPoller.TestPoller
      const poller = yield* Poller.Poller
      const waiting = yield* Effect.forkChild(Effect.flip(poller.wait(Duration.infinity)), { startImmediately: true })
      const descriptor = yield* kernel.open
      yield* Registrar.register(descriptor, "Read")
      yield* kernel.kill
      yield* kernel.kill
      expect((yield* Fiber.join(waiting)).reason._tag).toBe("WorkerFailed")
      // What the kernel reports from now on reaches no consumer.
      yield* descriptor.readable
      expect(yield* outcome(poller.wait(0))).toBe("WorkerFailed")
    }).pipe(Effect.provide(TestPoller.layer))
  )
})

describe("promise 7: time is the TestClock's", () => {
  it.effect("a wait lasts until the clock passes its timeout", () =>
    Effect.gen(function* () {
      const poller = yield* Poller.Poller
      const waiting = yield* Effect.forkChild(poller.wait("1 hour"), { startImmediately: true })
      yield* TestClock.adjust("59 minutes")
      expect(waiting.pollUnsafe()).toBeUndefined()
      yield* TestClock.adjust("1 minute")
      expect(yield* Fiber.join(waiting)).toEqual([])
    }).pipe(Effect.provide(TestPoller.layer))
  )

  it.effect("a timer is reported at its time and not before", () =>
    Effect.gen(function* () {
      const id = yield* Registrar.timeout(10)
      const interval = yield* Registrar.interval(4)
      yield* TestClock.adjust(3)
      expect(yield* idsReadyNow).toEqual([])
      yield* TestClock.adjust(1)
      expect(yield* idsReadyNow).toEqual([interval])
      yield* TestClock.adjust(5)
      expect(yield* idsReadyNow).toEqual([interval])
      yield* TestClock.adjust(1)
      expect(yield* idsReadyNow).toEqual([id])
      yield* TestClock.adjust(100)
      expect(yield* idsReadyNow).toEqual([interval])
      yield* Registrar.cancelTimer(interval)
      yield* TestClock.adjust("1 day")
      expect(yield* idsReadyNow).toEqual([])
    }).pipe(Effect.provide(TestPoller.layer))
  )

  it.effect("timers are reported when they are due, in whatever order they were set", () =>
    Effect.gen(function* () {
      const late = yield* Registrar.timeout("2 hours")
      const early = yield* Registrar.timeout("1 hour")
      yield* TestClock.adjust("1 hour")
      expect(yield* idsReadyNow).toEqual([early])
      yield* TestClock.adjust("1 hour")
      expect(yield* idsReadyNow).toEqual([late])
    }).pipe(Effect.provide(TestPoller.layer))
  )
})

describe("TestPoller: handles", () => {
  it.effect("are refused, because no other thread can attach to it", () =>
    Effect.gen(function* () {
      const poller = yield* Poller.Poller
      const event = yield* UserEvent.make
      const { sender } = yield* PollChannel.unbounded<string>()
      const senderHandle = yield* sender.handle
      expect(yield* outcome(Layer.build(Poller.layerAttach(poller.handle)))).toBe("InvalidArgument")
      expect(yield* outcome(UserEvent.fromHandle(event.handle))).toBe("InvalidArgument")
      expect(yield* outcome(PollChannel.fromHandle(senderHandle))).toBe("InvalidArgument")
      senderHandle.port.close()
    }).pipe(Effect.scoped, Effect.provide(TestPoller.layer))
  )
})

/**
 * Runs a program on a layer in its own process. Returns what it was notified of, and whether koffi
 * was loaded.
 */
const loadsKoffi = (layer: string) => {
  const program = `
    import { Effect } from "effect"
    import { Poller, Registrar } from "effect-amy"
    import { TestPoller } from "effect-amy/testing"
    const program = Effect.gen(function* () {
      const poller = yield* Poller.Poller
      yield* Registrar.timeout("1 milli")
      return (yield* poller.wait("10 seconds")).length
    })
    const taken = await Effect.runPromise(Effect.provide(program, ${layer}))
    const objects = process.report.getReport().sharedObjects
    console.log(taken, objects.some((object) => object.includes("koffi")))`
  const args = ["--conditions=effect-amy-source", "--input-type=module", "--eval", program]
  return execFileSync(process.execPath, args, { encoding: "utf8", timeout: 100_000 }).trimEnd()
}

describe("TestPoller: no native library", () => {
  it("is loaded", () => {
    expect(loadsKoffi("TestPoller.layer")).toBe("1 false")
  })

  it("while a real layer loads it", () => {
    expect(loadsKoffi("Poller.layerEventLoop()")).toBe("1 true")
  })
})

describe("TestPoller: the same random operations give the same notifications as a real kernel", () => {
  const layers = rowsHere({ layerEventLoop: Poller.layerEventLoop, layerWorker: Poller.layerWorker })
  for (const [name, layer] of Object.entries(layers)) {
    for (let seed = 1; seed <= 20; seed++) {
      it.live(`${name}, seed ${seed}`, () =>
        Effect.gen(function* () {
          const steps = randomSteps(seed, 120)
          const declared = yield* onTestPoller(play(steps))
          expect(declared.flat().length).toBeGreaterThan(100)
          expect(declared).toEqual(yield* onKernel(layer(), play(steps)))
        })
      )
    }
  }
})
