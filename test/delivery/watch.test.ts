/**
 * `Registrar.watch`: the notifications of one descriptor, for one stream and for no other consumer.
 */
import { expect, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Scope, Stream } from "effect"
import { type Notification, Poller, Registrar } from "effect-amy"
import * as Kernel from "../support/kernel.ts"
import { reasonOf } from "../support/outcome.ts"
import { idsReadyNow } from "../support/layers.ts"
import { describeEveryLayer } from "../support/observe.ts"

const source = Effect.acquireRelease(Effect.sync(Kernel.source), (fd) => Effect.sync(() => Kernel.close(fd)))
const pair = Effect.acquireRelease(Effect.sync(Kernel.socketPair), (ends) =>
  Effect.sync(() => ends.filter(Kernel.isOpen).forEach(Kernel.close))
)

const registrations = Effect.map(Poller.stats, (stats) => stats.registrations)

/** Runs a stream in the background, and calls `take` with each notification. */
const consume = <E>(
  stream: Stream.Stream<Notification.Notification, E>,
  take: (n: Notification.Notification) => void
) =>
  Effect.forkChild(
    Stream.runForEach(stream, (notification) => Effect.sync(() => take(notification))),
    { startImmediately: true }
  )

describeEveryLayer("watch: the notifications of one descriptor as a stream", (layer) => {
  it.live("the stream reports readiness at its start, and each change after that", () =>
    Effect.gen(function* () {
      const registrar = yield* Registrar.Registrar
      const fd = yield* source
      Kernel.signal(fd)
      const events = yield* registrar.watch(fd, "Read").pipe(
        // The next change happens once the last one was taken.
        Stream.tap(() => Effect.sync(() => Kernel.signal(fd))),
        Stream.take(3),
        Stream.map(({ event }) => event),
        Stream.runCollect
      )
      expect(events).toEqual(["Read", "Read", "Read"])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("the descriptor is registered only while the stream runs", () =>
    Effect.gen(function* () {
      const fd = yield* source
      Kernel.signal(fd)
      expect(yield* registrations).toBe(0)
      const during = yield* Registrar.watch(fd, "Read").pipe(
        Stream.mapEffect(() => registrations),
        Stream.runHead
      )
      expect(during).toMatchObject({ value: 1 })
      expect(yield* registrations).toBe(0)
      // It can be registered again at once, even after an interruption.
      const fiber = yield* Effect.forkChild(Stream.runDrain(Registrar.watch(fd, "Write")), { startImmediately: true })
      expect(yield* reasonOf(Registrar.register(fd, "Read"))).toBe("AlreadyRegistered")
      yield* Fiber.interrupt(fiber)
      yield* Registrar.registerScoped(fd, "Read")
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("the stream takes nothing from other consumers, and they take nothing from it", () =>
    Effect.gen(function* () {
      const registrar = yield* Registrar.Registrar
      const [watched, other] = [yield* source, yield* source]
      const id = yield* Registrar.registerScoped(other, "Read")
      const seen: Array<number> = []
      const fiber = yield* consume(registrar.watch(watched, "Read"), (notification) => seen.push(notification.id))
      Kernel.signal(watched)
      Kernel.signal(other)
      expect(yield* idsReadyNow).toEqual([id])
      while (seen.length === 0) yield* Effect.yieldNow
      expect(seen).not.toContain(id)
      yield* Fiber.interrupt(fiber)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("reports merge while the stream's consumer is busy", () =>
    Effect.gen(function* () {
      const [ours, theirs] = yield* pair
      const notifications = yield* Registrar.watch(ours, "Both").pipe(
        Stream.tap(({ readClosed }) =>
          Effect.gen(function* () {
            if (readClosed) return
            Kernel.write(theirs, 1)
            Kernel.close(theirs)
            // Both are reported once everything that is ready was looked at.
            yield* idsReadyNow
          })
        ),
        Stream.takeUntil(({ readClosed }) => readClosed),
        Stream.runCollect
      )
      expect(notifications.map(({ event, readClosed }) => [event, readClosed])).toEqual([
        ["Write", false],
        ["Both", true]
      ])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("a oneshot stream is silent until a reregister under the id of its notification", () =>
    Effect.gen(function* () {
      const fd = yield* source
      Kernel.signal(fd)
      const ids = yield* Registrar.watch(fd, "Read", { mode: "oneshot" }).pipe(
        Stream.tap(({ id }) => Registrar.reregister(fd, id, "Read", { mode: "oneshot" })),
        Stream.take(3),
        Stream.map(({ id }) => id),
        Stream.runCollect
      )
      expect(new Set(ids).size).toBe(1)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("the stream fails as register does, when it runs and not when it is made", () =>
    Effect.gen(function* () {
      const registrar = yield* Registrar.Registrar
      const fd = yield* source
      const stream = registrar.watch(fd, "Read")
      yield* Registrar.registerScoped(fd, "Read")
      expect(yield* reasonOf(Stream.runHead(stream))).toBe("AlreadyRegistered")
      expect(yield* reasonOf(Stream.runHead(registrar.watch(-1, "Read")))).toBe("BadDescriptor")
      expect(yield* reasonOf(Stream.runHead(registrar.watch(NaN, "Read")))).toBe("InvalidArgument")
      expect(yield* reasonOf(Stream.runHead(registrar.watch(fd, "read" as "Read")))).toBe("InvalidArgument")
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("the stream fails with NotRegistered if its descriptor is deregistered", () =>
    Effect.gen(function* () {
      const fd = yield* source
      Kernel.signal(fd)
      const stream = Registrar.watch(fd, "Read").pipe(Stream.tap(() => Registrar.deregister(fd)))
      expect(yield* reasonOf(Stream.runDrain(stream))).toBe("NotRegistered")
      expect(yield* registrations).toBe(0)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("promise 8: the stream ends when the poller closes, after earlier notifications", () =>
    Effect.gen(function* () {
      const fd = yield* source
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(layer(), scope)
      const seen: Array<string> = []
      const stream = Registrar.watch(fd, "Read").pipe(Stream.provideContext(context))
      const fiber = yield* consume(stream, ({ event }) => seen.push(event))
      Kernel.signal(fd)
      while (seen.length === 0) yield* Effect.yieldNow
      yield* Scope.close(scope, Exit.void)
      expect(yield* Fiber.join(fiber)).toBeUndefined()
      expect(yield* reasonOf(Stream.runDrain(stream))).toBe("Closed")
    }).pipe(Effect.scoped)
  )
})
