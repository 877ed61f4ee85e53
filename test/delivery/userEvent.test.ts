/** User events, triggered from this thread and from others. */
import { describe, expect, it } from "@effect/vitest"
import { Context, Duration, Effect, Exit, Fiber, Layer, Queue, Scope } from "effect"
import { PollChannel, Poller, Registrar, UserEvent } from "effect-amy"
import { TestPoller } from "effect-amy/testing"
import * as Kernel from "../support/kernel.ts"
import { describeLayers, idsReadyNow, readyNow, someLayer } from "../support/layers.ts"
import { notLinux } from "../support/platform.ts"
import { outcomeOf, reasonOf } from "../support/outcome.ts"
import type { EventCommand } from "../support/eventThread.ts"
import { block, start, type Thread } from "../support/thread.ts"

const wait = Effect.flatMap(Poller.Poller, (poller) => poller.wait(Duration.infinity))
const arrival = Effect.flatMap(Poller.Poller, ({ queue }) => Queue.peek(queue))

/** Starts a thread, and returns once it has opened the event. */
const open = (handle: UserEvent.UserEventHandle) =>
  Effect.gen(function* () {
    const thread = yield* start("eventThread", { handle })
    expect(yield* thread.message).toBe("open")
    return thread
  })

const tell = (thread: Thread, command: EventCommand) => Effect.andThen(thread.post(command), thread.message)

const eventDescriptors = () =>
  [...Kernel.openDescriptors().values()].filter((name) => notLinux || name.includes("eventfd")).length

describeLayers("a user event", (layer) => {
  it.live("a trigger is reported, and the next one after the notification was taken, too", () =>
    Effect.gen(function* () {
      const event = yield* UserEvent.make
      expect(yield* readyNow).toEqual([])
      for (let round = 0; round < 20; round++) {
        yield* event.trigger
        const all = yield* wait
        expect(all.length).toBe(1)
        expect(all[0]).toMatchObject({
          id: event.id,
          event: "Read",
          readClosed: false,
          writeClosed: false,
          error: false,
          priority: false
        })
        expect(yield* readyNow).toEqual([])
      }
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("all triggers before the notification is taken are one notification", () =>
    Effect.gen(function* () {
      const event = yield* UserEvent.make
      // First without a turn in between, and then with a notification in the queue.
      for (let i = 0; i < 1000; i++) yield* event.trigger
      yield* arrival
      for (let i = 0; i < 1000; i++) yield* event.trigger
      expect(yield* idsReadyNow).toEqual([event.id])
      expect(yield* readyNow).toEqual([])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("several user events are reported separately", () =>
    Effect.gen(function* () {
      const events = yield* Effect.all(Array.from({ length: 50 }, () => UserEvent.make))
      for (const { trigger } of events.toReversed()) yield* trigger
      expect(yield* idsReadyNow).toEqual(events.map(({ id }) => id))
      yield* events[7]!.trigger
      expect(yield* idsReadyNow).toEqual([events[7]!.id])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("the registrar makes user events, too", () =>
    Effect.gen(function* () {
      const registrar = yield* Registrar.Registrar
      const event = yield* registrar.userEvent
      yield* event.trigger
      expect(yield* idsReadyNow).toEqual([event.id])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("clear takes back a trigger that is in the kernel, on its way or in the queue", () =>
    Effect.gen(function* () {
      const event = yield* UserEvent.make
      const other = yield* UserEvent.make
      yield* event.trigger
      yield* event.clear
      expect(yield* readyNow).toEqual([])

      yield* event.trigger
      // A polling thread has time to put it into the ring, which this thread cannot empty
      // meanwhile.
      block(20)
      yield* event.clear
      expect(yield* readyNow).toEqual([])

      yield* other.trigger
      yield* event.trigger
      yield* arrival
      yield* event.clear
      expect(yield* idsReadyNow).toEqual([other.id])

      // A clear without a trigger does nothing, and the next trigger is reported.
      yield* event.clear
      yield* event.clear
      yield* event.trigger
      expect(yield* idsReadyNow).toEqual([event.id])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("a trigger after a clear is reported once", () =>
    Effect.gen(function* () {
      const event = yield* UserEvent.make
      for (let round = 0; round < 20; round++) {
        yield* event.trigger
        if (round % 2 === 0) block(1)
        yield* event.clear
        yield* event.trigger
        expect(yield* idsReadyNow).toEqual([event.id])
      }
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("operations fail with Closed once the event's scope is closed, and it is not reported", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const before = Kernel.openDescriptors().size
      const event = yield* Scope.provide(UserEvent.make, scope)
      const queued = yield* Scope.provide(UserEvent.make, scope)
      yield* queued.trigger
      yield* arrival
      yield* event.trigger
      yield* Scope.close(scope, Exit.void)
      expect(yield* readyNow).toEqual([])
      expect(yield* reasonOf(event.trigger)).toBe("Closed")
      expect(yield* reasonOf(event.clear)).toBe("Closed")
      expect(yield* reasonOf(Effect.scoped(UserEvent.fromHandle(event.handle)))).toBe("Closed")
      expect(Kernel.openDescriptors().size).toBeLessThanOrEqual(before)
      // The number of its descriptor is reused at once, and must not be touched.
      const next = yield* UserEvent.make
      yield* outcomeOf(event.trigger)
      expect(yield* readyNow).toEqual([])
      yield* next.trigger
      expect(yield* idsReadyNow).toEqual([next.id])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("operations fail with Closed once the poller is closed, even if the event's scope is open", () =>
    Effect.gen(function* () {
      const before = Kernel.openDescriptors().size
      const scope = yield* Scope.make()
      const pollerScope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(layer(), pollerScope)
      const event = yield* Scope.provide(Context.get(context, Registrar.Registrar).userEvent, scope)
      const opened = yield* Scope.provide(UserEvent.fromHandle(event.handle), scope)
      yield* event.trigger
      yield* Scope.close(pollerScope, Exit.void)
      for (const each of [event, opened]) {
        expect(yield* reasonOf(each.trigger)).toBe("Closed")
        expect(yield* reasonOf(each.clear)).toBe("Closed")
      }
      expect(yield* reasonOf(Effect.scoped(UserEvent.fromHandle(event.handle)))).toBe("Closed")
      expect(yield* reasonOf(Effect.scoped(Context.get(context, Registrar.Registrar).userEvent))).toBe("Closed")
      yield* Scope.close(scope, Exit.void)
      expect(Kernel.openDescriptors().size).toBeLessThanOrEqual(before)
    })
  )

  it.live("an event that is opened from a handle on the same thread triggers and clears the same event", () =>
    Effect.gen(function* () {
      const event = yield* UserEvent.make
      const before = Kernel.openDescriptors().size
      yield* Effect.scoped(
        Effect.gen(function* () {
          const opened = yield* UserEvent.fromHandle(structuredClone(event.handle))
          expect(opened.id).toBe(event.id)
          yield* opened.trigger
          expect(yield* idsReadyNow).toEqual([event.id])
          yield* event.trigger
          yield* opened.clear
          expect(yield* readyNow).toEqual([])
        })
      )
      expect(Kernel.openDescriptors().size).toBeLessThanOrEqual(before)
      yield* event.trigger
      expect(yield* idsReadyNow).toEqual([event.id])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("operations of an event from a handle fail with Closed once its scope is closed", () =>
    Effect.gen(function* () {
      const event = yield* UserEvent.make
      const opened = yield* Effect.scoped(UserEvent.fromHandle(event.handle))
      expect(yield* reasonOf(opened.trigger)).toBe("Closed")
      expect(yield* reasonOf(opened.clear)).toBe("Closed")
      expect(yield* readyNow).toEqual([])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("many user events leave no descriptor open", () =>
    Effect.gen(function* () {
      yield* readyNow
      const before = Kernel.openDescriptors().size
      for (let i = 0; i < 200; i++) {
        yield* Effect.scoped(
          Effect.gen(function* () {
            const event = yield* UserEvent.make
            const opened = yield* UserEvent.fromHandle(event.handle)
            yield* opened.trigger
          })
        )
      }
      expect(Kernel.openDescriptors().size).toBeLessThanOrEqual(before)
      expect(yield* readyNow).toEqual([])
    }).pipe(Effect.provide(layer()))
  )
})

describeLayers("a user event wakes a poller from any thread", (layer) => {
  it.live("a thread gets the handle as workerData or by postMessage", () =>
    Effect.gen(function* () {
      const event = yield* UserEvent.make
      const started = yield* open(event.handle)
      const posted = yield* start("eventThread", { handle: undefined })
      yield* posted.post(event.handle)
      expect(yield* posted.message).toBe("open")
      for (const thread of [started, posted]) {
        yield* thread.post({ trigger: 1 } satisfies EventCommand)
        expect((yield* wait).map(({ id }) => id)).toEqual([event.id])
        expect(yield* thread.message).toBe("ok")
        expect(yield* readyNow).toEqual([])
      }
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("triggers of several threads are not lost, and simultaneous ones are one notification", () =>
    Effect.gen(function* () {
      const event = yield* UserEvent.make
      const threads = yield* Effect.all(
        Array.from({ length: 3 }, () => open(event.handle)),
        { concurrency: 3 }
      )
      for (let round = 0; round < 10; round++) {
        yield* Effect.all(
          threads.map((thread) => tell(thread, { trigger: 500 })),
          { concurrency: 3 }
        )
        // All threads have triggered, and no notification was taken in between.
        expect(yield* idsReadyNow).toEqual([event.id])
        expect(yield* readyNow).toEqual([])
      }
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("another thread's clear takes back a trigger that was not reported yet", () =>
    Effect.gen(function* () {
      const event = yield* UserEvent.make
      const thread = yield* open(event.handle)
      yield* event.trigger
      yield* thread.post("clear" satisfies EventCommand)
      // Whenever the clear happens, the next trigger is reported.
      expect(yield* thread.message).toBe("ok")
      yield* readyNow
      expect(yield* tell(thread, { trigger: 1 })).toBe("ok")
      expect(yield* idsReadyNow).toEqual([event.id])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("another thread gets Closed once the event's scope is closed, and its descriptors are closed", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const before = eventDescriptors()
      const event = yield* Scope.provide(UserEvent.make, scope)
      const thread = yield* open(event.handle)
      expect(yield* tell(thread, { trigger: 1 })).toBe("ok")
      yield* Scope.close(scope, Exit.void)
      expect(yield* readyNow).toEqual([])
      expect(yield* tell(thread, { trigger: 1 })).toBe("Closed")
      expect(yield* tell(thread, "clear")).toBe("Closed")
      expect(yield* tell(thread, "open")).toBe("Closed")
      expect(yield* readyNow).toEqual([])
      const late = yield* start("eventThread", { handle: event.handle })
      expect(yield* late.message).toBe("Closed")
      yield* thread.post("end" satisfies EventCommand)
      expect([yield* thread.exited, yield* late.exited]).toEqual([0, 0])
      // Fewer if a thread of the test before closes its own only now.
      expect(eventDescriptors()).toBeLessThanOrEqual(before)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("another thread gets Closed once the poller is closed", () =>
    Effect.gen(function* () {
      const pollerScope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(layer(), pollerScope)
      // The scope of the event outlives the poller.
      const event = yield* Context.get(context, Registrar.Registrar).userEvent
      const thread = yield* open(event.handle)
      yield* Scope.close(pollerScope, Exit.void)
      expect(yield* tell(thread, { trigger: 1 })).toBe("Closed")
      expect(yield* tell(thread, "open")).toBe("Closed")
    }).pipe(Effect.scoped)
  )

  it.live("a terminated thread that held a handle does not disturb the others", () =>
    Effect.gen(function* () {
      const event = yield* UserEvent.make
      const [one, two] = yield* Effect.all([open(event.handle), open(event.handle)], { concurrency: 2 })
      expect(yield* tell(one, { trigger: 1 })).toBe("ok")
      // The thread is terminated in the middle of its triggers.
      yield* one.post({ trigger: 1_000_000_000 } satisfies EventCommand)
      yield* wait
      yield* one.terminate
      // This takes its last trigger.
      yield* readyNow
      expect(yield* readyNow).toEqual([])
      expect(yield* tell(two, { trigger: 1 })).toBe("ok")
      expect(yield* idsReadyNow).toEqual([event.id])
      yield* event.trigger
      expect(yield* idsReadyNow).toEqual([event.id])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )
})

describe("a user event's handle", () => {
  it.live("anything else is refused", () =>
    Effect.gen(function* () {
      const event = yield* UserEvent.make
      const { handle } = event
      const wrong: ReadonlyArray<unknown> = [
        undefined,
        null,
        1,
        "handle",
        {},
        (yield* Poller.Poller).handle,
        { ...handle, "~effect-amy/UserEventHandle": "~effect-amy/PollerHandle" },
        { ...handle, id: "1" },
        { ...handle, trigger: 0.5 },
        { ...handle, shared: new ArrayBuffer(4) },
        { ...handle, trigger: -1 }
      ]
      for (const each of wrong) {
        expect(yield* reasonOf(Effect.scoped(UserEvent.fromHandle(each as UserEvent.UserEventHandle)))).toBe(
          "InvalidArgument"
        )
      }
      expect(yield* readyNow).toEqual([])
    }).pipe(Effect.scoped, Effect.provide(someLayer()))
  )
})

describe("a user event of layerBlocking", () => {
  it.live("a trigger ends the wait of a thread that is blocked in the kernel", () =>
    Effect.gen(function* () {
      const event = yield* UserEvent.make
      const thread = yield* start("eventThread", { handle: event.handle })
      yield* thread.post({ trigger: 1 } satisfies EventCommand)
      expect((yield* wait).map(({ id }) => id)).toEqual([event.id])
      yield* event.trigger
      yield* event.trigger
      expect(yield* idsReadyNow).toEqual([event.id])
      yield* event.trigger
      yield* event.clear
      expect(yield* readyNow).toEqual([])
    }).pipe(Effect.scoped, Effect.provide(Poller.layerBlocking({ allowMainThread: true })))
  )
})

describe("promise 8: consumers never hang, even if the last notification is taken back after the end", () => {
  it.live("the notification of a user event whose scope closes after the poller has died", () =>
    Effect.gen(function* () {
      const kernel = yield* TestPoller.TestPoller
      const poller = yield* Poller.Poller
      const scope = yield* Scope.make()
      const event = yield* Scope.provide(UserEvent.make, scope)
      yield* event.trigger
      yield* kernel.kill
      yield* Scope.close(scope, Exit.void)
      expect(yield* reasonOf(poller.wait(Duration.infinity))).toBe("WorkerFailed")
      expect(yield* Effect.flip(Queue.take(poller.queue))).toMatchObject({ reason: { _tag: "WorkerFailed" } })
    }).pipe(Effect.provide(TestPoller.layer))
  )
})

describe("promise 8: what the library opens is closed", () => {
  it.live("an event that is opened in a closed scope leaves no descriptor", () =>
    Effect.gen(function* () {
      const event = yield* UserEvent.make
      const scope = yield* Scope.make()
      yield* Scope.close(scope, Exit.void)
      const before = Kernel.openDescriptors()
      const opened = yield* Scope.provide(UserEvent.fromHandle(event.handle), scope)
      expect(Kernel.openDescriptors()).toEqual(before)
      expect(yield* reasonOf(opened.trigger)).toBe("Closed")
    }).pipe(Effect.scoped, Effect.provide(someLayer()))
  )

  it.live("opening an event while an attached layer closes is refused", () =>
    Effect.gen(function* () {
      const poller = yield* Poller.Poller
      const before = Kernel.openDescriptors()
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(Poller.layerAttach(poller.handle), scope)
      const channelScope = yield* Scope.make()
      const { receiver } = yield* PollChannel.unbounded<number>().pipe(
        Effect.provide(context),
        Scope.provide(channelScope)
      )
      const consumer = yield* Effect.forkChild(
        Effect.flatMap(reasonOf(receiver.receive), (reason) =>
          Effect.map(reasonOf(Context.get(context, Registrar.Registrar).timeout("1 hour")), (then) => [reason, then])
        ),
        { startImmediately: true }
      )
      yield* Scope.close(scope, Exit.void)
      expect(yield* Fiber.join(consumer)).toEqual(["Closed", "Closed"])
      yield* Scope.close(channelScope, Exit.void)
      expect(Kernel.openDescriptors()).toEqual(before)
    }).pipe(Effect.provide(Poller.layerWorker()))
  )
})
