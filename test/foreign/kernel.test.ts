/** Waits for descriptors that a library reads, with what only a real kernel has. */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Option, Scope } from "effect"
import { ForeignFd, Poller, Registrar } from "effect-amy"
import koffi from "koffi"
import { once } from "node:events"
import { createServer } from "node:net"
import { cFunction } from "../support/cLibrary.ts"
import * as Kernel from "../support/kernel.ts"
import { describeLayers, someLayer } from "../support/layers.ts"
import { describeEveryLayer } from "../support/observe.ts"
import { open, outcome } from "../support/opened.ts"
import { atOnce, begin, scopedFds } from "../support/watched.ts"

/** Calls back as a library does: qsort(3) compares by a function of the test's. */
koffi.proto("int Comparator(const void *a, const void *b)")
const qsort = cFunction("void qsort(void *base, size_t count, size_t size, Comparator *compare)") as (
  base: Uint8Array,
  count: number,
  size: number,
  compare: () => number
) => void
const callBack = (callback: () => void): void =>
  qsort(new Uint8Array(2), 2, 1, () => {
    callback()
    return 0
  })

describeEveryLayer("ForeignFd", (layer) => {
  it.live("a part that is left is ready again, and a blocking descriptor never blocks a reader", () =>
    Effect.gen(function* () {
      const [reader, writer] = yield* scopedFds(Kernel.blockingPipe)
      const foreign = yield* ForeignFd.make(reader)
      // Each reads a part, as libraries do. A read without anything there would block the thread.
      const read = Effect.map(foreign.wait("Read"), () => Kernel.read(reader, 3))
      const fibers = yield* Effect.forEach([1, 2, 3], () => begin(read))
      yield* Effect.yieldNow
      Kernel.write(writer, 8)
      expect((yield* Fiber.joinAll(fibers)).toSorted((a, b) => a - b)).toEqual([2, 3, 3])
      expect(Kernel.isNonblocking(reader)).toBe(false)
      expect(yield* foreign.wait("Read", { timeout: 0 })).toEqual(Option.none())
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("a timeout is kept while nothing else happens", () =>
    Effect.gen(function* () {
      const [reader] = yield* scopedFds(Kernel.pipe)
      const foreign = yield* ForeignFd.make(reader)
      const set = yield* ForeignFd.makeSet
      set.update(reader, "Read")
      const from = performance.now()
      for (let i = 0; i < 5; i++) {
        expect(yield* foreign.wait("Read", { timeout: 2 })).toEqual(Option.none())
        set.updateTimeout(2)
        expect(yield* set.wait()).toEqual([])
        expect(yield* ForeignFd.drive((_ready) => Effect.succeed(ForeignFd.done(1)))).toBe(1)
      }
      expect(performance.now() - from).toBeGreaterThanOrEqual(20)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("update and updateTimeout in a library's callback resume a fiber after the call", () =>
    Effect.gen(function* () {
      const [, writer] = yield* scopedFds(Kernel.pipe)
      const set = yield* ForeignFd.makeSet
      const log: Array<string> = []
      const wait = Effect.tap(Effect.exit(set.wait()), () => Effect.sync(() => log.push("resumed")))
      for (const change of [
        () => set.update(writer, "Write"),
        () => set.updateTimeout(0),
        () => set.update(Number.NaN, "Read")
      ]) {
        const waiting = yield* begin(wait)
        log.push("calls")
        callBack(() => {
          log.push("called")
          change()
        })
        log.push("has called")
        yield* Fiber.join(waiting)
        expect(log.splice(0)).toEqual(["calls", "called", "has called", "resumed"])
        set.update(writer, "None")
      }
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("a wake in a library's callback makes the driver's next step run after the call", () =>
    Effect.gen(function* () {
      const [reader] = yield* scopedFds(Kernel.pipe)
      const log: Array<string> = []
      const driver = yield* ForeignFd.makeDriver(() =>
        Effect.sync(() => {
          log.push("step")
          return log.length > 4 ? ForeignFd.done(log) : ForeignFd.waitFor(reader, "Read")
        })
      )
      const driving = yield* begin(driver.run)
      log.push("calls")
      callBack(() => {
        log.push("called")
        driver.wake()
      })
      log.push("has called")
      expect(yield* Fiber.join(driving)).toEqual(["step", "calls", "called", "has called", "step"])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("a socket that is closed and opened under its number between the waits, over and over", () =>
    Effect.gen(function* () {
      const fd = Kernel.pipe()[0]
      Kernel.close(fd)
      const foreign = yield* ForeignFd.make(fd)
      for (let i = 0; i < 20; i++) {
        const [near, far] = yield* scopedFds(Kernel.socketPair)
        if (near !== fd) Kernel.dup2(near, fd)
        if (far !== fd) {
          const waiting = yield* begin(foreign.wait("Read"))
          Kernel.write(far)
          expect(yield* Fiber.join(waiting)).toBe("Read")
        }
        for (const open of new Set([near, far, fd])) Kernel.close(open)
      }
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )
})

describeLayers("ForeignFd", (layer) => {
  it.live("a connection that is refused, and a socket that was never connected", () =>
    Effect.gen(function* () {
      const [refused, unused] = yield* scopedFds(() => [Kernel.connectInVain(), Kernel.unconnected(2)] as const)
      const foreign = yield* ForeignFd.make(refused)
      expect(yield* foreign.wait("Write")).toBe("Write")
      expect(yield* foreign.wait("Both")).toBe("Both")
      // Linux says that such a socket has hung up.
      const other = yield* ForeignFd.make(unused)
      expect(yield* atOnce(other.wait("Read"))).toBe("Read")
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("nothing is left open, and the layer's close ends everything", () =>
    Effect.gen(function* () {
      const [reader, writer] = yield* scopedFds(Kernel.pipe)
      const before = Array.from(Kernel.openDescriptors().keys())
      yield* Effect.gen(function* () {
        const foreign = yield* ForeignFd.make(reader)
        const sets = yield* Effect.forEach([1, 2, 3], () => ForeignFd.makeSet)
        for (const set of sets) set.update(reader, "Read")
        const fibers = yield* Effect.forEach(sets, (set) => begin(set.wait({ timeout: "1 hour" })))
        const waiting = yield* begin(foreign.wait("Read", { timeout: "1 hour" }))
        Kernel.write(writer)
        yield* Fiber.joinAll(fibers)
        yield* Fiber.join(waiting)
        sets[0]!.updateTimeout("1 hour")
        yield* begin(foreign.wait("Write"))
      }).pipe(Effect.scoped, Effect.provide(layer()))
      expect(Array.from(Kernel.openDescriptors().keys())).toEqual(before)
      expect([Kernel.isOpen(reader), Kernel.isOpen(writer)]).toEqual([true, true])
    }).pipe(Effect.scoped)
  )

  it.live("an idle wait wakes nothing", () =>
    Effect.gen(function* () {
      const [reader] = yield* scopedFds(Kernel.pipe)
      const foreign = yield* ForeignFd.make(reader)
      const set = yield* ForeignFd.makeSet
      set.update(reader, "Read")
      const fibers = yield* Effect.all([begin(foreign.wait("Read")), begin(set.wait())])
      const { stats, wait } = yield* Poller.Poller
      yield* wait(0)
      const from = yield* stats
      yield* wait(30)
      const to = yield* stats
      expect(to.notifications - from.notifications).toBe(0)
      expect(to.waits - from.waits).toBeLessThan(10)
      yield* Fiber.interruptAll(fibers)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("a set of a thousand descriptors", () =>
    Effect.gen(function* () {
      const pairs = yield* Effect.forEach(Array.from({ length: 500 }), () => scopedFds(Kernel.socketPair))
      const set = yield* ForeignFd.makeSet
      for (const fd of pairs.flat()) set.update(fd, "Read")
      expect(set.size).toBe(1000)
      const waiting = yield* begin(set.wait())
      for (const fd of pairs.flat()) Kernel.write(fd)
      const seen = new Set<number>()
      for (let ready = yield* Fiber.join(waiting); ready.length > 0; ready = yield* set.wait({ timeout: 0 })) {
        for (const { event, fd } of ready) {
          expect(event).toBe("Read")
          expect(seen.has(fd)).toBe(false)
          seen.add(fd)
          Kernel.drain(fd)
        }
      }
      expect(seen.size).toBe(1000)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("a descriptor that was closed while a duplicate is open does not keep a set ready", () =>
    Effect.gen(function* () {
      const set = yield* ForeignFd.makeSet
      const [near, far] = yield* scopedFds(Kernel.socketPair)
      const [other, peer] = yield* scopedFds(Kernel.socketPair)
      set.update(near, "Read")
      set.update(other, "Read")
      const waiting = yield* begin(set.wait())
      yield* scopedFds(() => [Kernel.dup(near)])
      Kernel.close(near)
      set.update(near, "None")
      const { stats, wait } = yield* Poller.Poller
      Kernel.write(far)
      yield* wait(0)
      const from = yield* stats
      yield* wait(10)
      expect((yield* stats).notifications - from.notifications).toBe(0)
      expect(waiting.pollUnsafe()).toBeUndefined()
      Kernel.write(peer)
      expect(yield* Fiber.join(waiting)).toEqual([{ fd: other, event: "Read" }])
      // The number is reused: what the duplicate has to read is not taken for what the new one has.
      const [next, end] = yield* scopedFds(Kernel.socketPair)
      expect(next).toBe(near)
      set.update(next, "Read")
      Kernel.drain(other)
      expect(yield* set.wait({ timeout: 0 })).toEqual([])
      Kernel.write(end)
      expect(yield* set.wait()).toEqual([{ fd: next, event: "Read" }])
      expect(set.size).toBe(2)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("the number of a descriptor that is gone is left alone if an alarm has it by then", () =>
    Effect.gen(function* () {
      const [reader, writer] = yield* scopedFds(Kernel.pipe)
      const scope = yield* Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
      const foreign = yield* Scope.provide(ForeignFd.make(reader), scope)
      yield* Fiber.interrupt(yield* begin(foreign.wait("Read")))
      Kernel.close(reader)
      // The first timer opens this thread's alarm, under the lowest free number.
      const id = yield* Registrar.timeout(1)
      expect(Kernel.isOpen(reader)).toBe(true)
      yield* Scope.close(scope, Exit.void)
      const { wait } = yield* Poller.Poller
      expect((yield* wait("1 minute")).map((notification) => notification.id)).toEqual([id])
      Kernel.close(writer)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("a descriptor of Node's own: a listening server is watched by its library as before", () =>
    Effect.gen(function* () {
      const server = createServer()
      yield* Effect.promise(async () => {
        server.listen(0, "127.0.0.1")
        await once(server, "listening")
      })
      const { fd } = (server as unknown as { readonly _handle: { readonly fd: number } })._handle
      const foreign = yield* ForeignFd.make(fd)
      expect(yield* foreign.wait("Read", { timeout: 1 })).toEqual(Option.none())
      yield* Effect.promise(async () => {
        server.close()
        await once(server, "close")
      })
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )
})

/** CLOCK_MONOTONIC, in microseconds. */
const micros = () => process.hrtime.bigint() / 1000n

describe("ForeignFd.timeUntil", () => {
  it.live("gives the time that is left until a point of CLOCK_MONOTONIC, which a wait then takes", () =>
    Effect.gen(function* () {
      expect(ForeignFd.timeUntil(0)).toBe(0)
      expect(ForeignFd.timeUntil(micros())).toBe(0)
      for (const never of [2n ** 64n - 1n, 2 ** 64, 2n ** 63n - 1n]) expect(ForeignFd.timeUntil(never)).toBe(undefined)
      const left = ForeignFd.timeUntil(micros() + 3_600_000_000n)!
      expect(left).toBeGreaterThan(3_000_000)
      expect(left).toBeLessThanOrEqual(3_600_000)
      expect(ForeignFd.timeUntil(Number(micros()) + 3_600_000_000)!).toBeGreaterThan(3_000_000)
      const [reader] = yield* scopedFds(Kernel.pipe)
      const foreign = yield* ForeignFd.make(reader)
      const deadline = micros() + 3000n
      expect(yield* foreign.wait("Read", { timeout: ForeignFd.timeUntil(deadline) })).toEqual(Option.none())
      expect(micros()).toBeGreaterThanOrEqual(deadline)
      for (const invalid of [Number.NaN, Symbol("soon"), undefined, "1"] as Array<number>) {
        const timeout = ForeignFd.timeUntil(invalid)
        expect(yield* outcome(foreign.wait("Read", { timeout }))).toBe("InvalidArgument")
      }
    }).pipe(Effect.scoped, Effect.provide(someLayer()))
  )
})

describe("ForeignFd with a Registrar that effect-amy did not create", () => {
  it.live("is refused", () =>
    Effect.gen(function* () {
      const fake = Registrar.Registrar.of({} as Registrar.Registrar["Service"])
      for (const effect of [
        Effect.asVoid(ForeignFd.make(0)),
        Effect.asVoid(ForeignFd.makeSet),
        Effect.asVoid(ForeignFd.makeKeyedSet<string>()),
        Effect.flatMap(
          ForeignFd.makeDriver(() => Effect.succeed(ForeignFd.done(undefined))),
          ({ run }) => run
        ),
        ForeignFd.drive(() => Effect.succeed(ForeignFd.done(undefined)))
      ]) {
        expect(yield* outcome(Effect.provideService(Effect.scoped(effect), Registrar.Registrar, fake))).toBe(
          "InvalidArgument"
        )
      }
    })
  )
})

describe("a descriptor that is registered by another attachment of the poller", () => {
  it.live("cannot be waited for until it is deregistered, and stays registered there", () =>
    Effect.gen(function* () {
      const owner = yield* open(Poller.layerWorker())
      const attached = yield* open(Poller.layerAttach(owner.poller.handle))
      const [near, far] = yield* scopedFds(Kernel.socketPair)
      const id = yield* owner.registrar.register(near, "Read")
      const foreign = yield* Effect.provideService(ForeignFd.make(near), Registrar.Registrar, attached.registrar)
      expect(yield* outcome(foreign.wait("Read"))).toBe("AlreadyRegistered")
      Kernel.write(far)
      expect((yield* owner.poller.wait("1 minute")).map((notification) => notification.id)).toEqual([id])
      expect(yield* foreign.wait("Read")).toBe("Read")
      yield* owner.registrar.deregister(near)
      Kernel.drain(near)
      const waiting = yield* begin(foreign.wait("Read"))
      Kernel.write(far)
      expect(yield* Fiber.join(waiting)).toBe("Read")
    }).pipe(Effect.scoped)
  )
})
