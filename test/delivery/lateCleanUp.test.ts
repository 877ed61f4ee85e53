/** Clean-ups that come after the number of their descriptor was registered by another thread. */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope, Stream } from "effect"
import { AsyncFd, PollChannel, Poller, type PollerError, Registrar } from "effect-amy"
import * as Kernel from "../support/kernel.ts"
import { describeEveryLayer } from "../support/observe.ts"
import { outcome } from "../support/opened.ts"
import { type AttachedThread, startThread } from "../support/threads.ts"
import { notLinux } from "../support/platform.ts"
import { someLayer } from "../support/layers.ts"

const descriptor = Effect.acquireRelease(Effect.sync(Kernel.source), (fd) => Effect.sync(() => Kernel.close(fd)))

/** Closes a descriptor as a C library does, and opens another one under its number. */
const replace = (fd: number): void => {
  const other = Kernel.source()
  Kernel.dup2(other, fd)
  Kernel.close(other)
}

/** Lets the C library replace the descriptor, and the thread register what has its number now. */
const takeOver = (fd: number, thread: AttachedThread) =>
  Effect.suspend(() => {
    replace(fd)
    return thread.call("register", fd, "Read")
  })

const expectReport = Effect.fnUntraced(function* (fd: number, thread: AttachedThread, id: number) {
  const collecting = yield* Effect.forkScoped(thread.call("collect", [id]), { startImmediately: true })
  Kernel.signal(fd)
  // On layerBlocking nothing is reported to any thread unless this one waits.
  const { wait } = yield* Poller.Poller
  const polling = Effect.forever(Effect.andThen(wait("20 millis"), Effect.sleep(0)))
  expect(yield* Effect.raceFirst(Fiber.join(collecting), polling)).toMatchObject([{ id, event: "Read" }])
})

const handle = Effect.map(Poller.Poller, (poller) => poller.handle)
const start = Effect.flatMap(handle, startThread)

/** Everything that registers a descriptor, with the clean-up as what closes the scope. */
const ways: {
  readonly [name: string]: (
    fd: number
  ) => Effect.Effect<unknown, PollerError.PollerError, Registrar.Registrar | Scope.Scope>
} = {
  "an AsyncFd": AsyncFd.make,
  "an AsyncFd of an object": (fd) => AsyncFd.make({ fd }),
  registerScoped: (fd) => Registrar.registerScoped(fd, "Read"),
  "registerScoped, oneshot": (fd) => Registrar.registerScoped(fd, "Both", { mode: "oneshot" }),
  // Only epoll has it.
  ...(!notLinux && {
    "registerScoped, exclusive": (fd: number) => Registrar.registerScoped(fd, "Read", { exclusive: true })
  }),
  "a watch": (fd) => Effect.forkScoped(Stream.runDrain(Registrar.watch(fd, "Read")), { startImmediately: true })
}

describeEveryLayer("a number that another thread has registered by now", (layer) => {
  it.live("is still that thread's after the scope of any registration has ended", () =>
    Effect.gen(function* () {
      const thread = yield* start
      const { stats } = yield* Poller.Poller
      for (const [name, register] of Object.entries(ways)) {
        const fd = yield* descriptor
        const scope = yield* Scope.make()
        yield* register(fd).pipe(Effect.provideService(Scope.Scope, scope))
        const id = yield* takeOver(fd, thread)
        yield* Scope.close(scope, Exit.void)
        expect((yield* stats).registrations, name).toBe(1)
        yield* expectReport(fd, thread, id)
        yield* thread.call("deregister", fd)
      }
    }).pipe(Effect.provide(layer()), Effect.scoped)
  )

  it.live("is neither deregistered nor changed by the thread that had it before", () =>
    Effect.gen(function* () {
      const fd = yield* descriptor
      const thread = yield* start
      const registrar = yield* Registrar.Registrar
      for (const stale of [
        (_id: Registrar.RegistrationId) => registrar.deregister(fd),
        (_id: Registrar.RegistrationId) => registrar.deregister({ fd }),
        (id: Registrar.RegistrationId) => registrar.reregister(fd, id, "Both"),
        (id: Registrar.RegistrationId) => registrar.reregister(fd, id, "Read", { mode: "oneshot" })
      ]) {
        const first = yield* registrar.register(fd, "Read")
        const id = yield* takeOver(fd, thread)
        expect(yield* outcome(stale(first))).toBe("NotRegistered")
        yield* expectReport(fd, thread, id)
        // What is over is forgotten, so the thread may deregister what another has registered.
        const { stats } = yield* Poller.Poller
        expect((yield* stats).registrations).toBe(1)
        yield* registrar.deregister(fd)
        expect(yield* outcome(registrar.deregister(fd))).toBe("NotRegistered")
        replace(fd)
      }
    }).pipe(Effect.provide(layer()), Effect.scoped)
  )

  it.live("is not taken over by a wait that asks for more reports, and the fibers that wait learn it", () =>
    Effect.gen(function* () {
      const fd = yield* descriptor
      const thread = yield* start
      const watched = yield* AsyncFd.make(fd, { event: "Read" })
      const reading = yield* Effect.forkScoped(outcome(watched.readable), { startImmediately: true })
      const id = yield* takeOver(fd, thread)
      expect(yield* outcome(watched.writable)).toBe("NotRegistered")
      expect(yield* Fiber.join(reading)).toBe("NotRegistered")
      yield* expectReport(fd, thread, id)
    }).pipe(Effect.provide(layer()), Effect.scoped)
  )

  it.live("that has become a user event's is still reported after a late clean-up", () =>
    Effect.gen(function* () {
      const fd = Kernel.source()
      const { wait } = yield* Poller.Poller
      const scope = yield* Scope.make()
      yield* Registrar.registerScoped(fd, "Read").pipe(Effect.provideService(Scope.Scope, scope))
      Kernel.close(fd)
      const event = yield* Effect.flatMap(Registrar.Registrar, ({ userEvent }) => userEvent)
      expect(event.handle).toMatchObject({ trigger: fd })
      yield* Scope.close(scope, Exit.void)
      yield* event.trigger
      expect((yield* wait("10 seconds")).map(({ id }) => id)).toEqual([event.id])
    }).pipe(Effect.provide(layer()), Effect.scoped)
  )

  it.live("stays registered with another poller that watches it, too", () =>
    Effect.gen(function* () {
      const fd = yield* descriptor
      const { registrar, wait } = yield* Effect.all({
        registrar: Registrar.Registrar,
        wait: Effect.map(Poller.Poller, (poller) => poller.wait)
      })
      const first = yield* registrar.register(fd, "Read")
      yield* Effect.scoped(Effect.andThen(AsyncFd.make(fd), outcome(registrar.register(fd, "Read")))).pipe(
        Effect.provide(layer())
      )
      Kernel.signal(fd)
      expect((yield* wait("10 seconds")).map(({ id }) => id)).toEqual([first])
    }).pipe(Effect.provide(layer()), Effect.scoped)
  )

  it.live("of the library itself is refused by every entry, and goes on", () =>
    Effect.gen(function* () {
      const registrar = yield* Registrar.Registrar
      const { wait } = yield* Poller.Poller
      const thread = yield* start
      const before = Kernel.openDescriptors()
      const event = yield* registrar.userEvent
      const channel = yield* PollChannel.unbounded<number>()
      yield* registrar.timeout("1 hour")
      const own = [...Kernel.openDescriptors().keys()].filter((fd) => !before.has(fd))
      expect(own).toHaveLength(3)
      for (const fd of own) {
        for (const refused of [
          registrar.deregister(fd),
          registrar.deregister({ fd }),
          registrar.register(fd, "Read"),
          registrar.reregister(fd, event.id, "Read"),
          Effect.scoped(registrar.registerScoped(fd, "Read")),
          Effect.scoped(AsyncFd.make(fd)),
          Stream.runDrain(registrar.watch(fd, "Read"))
        ]) {
          expect(yield* outcome(refused)).toBe("InvalidArgument")
        }
        expect(yield* Effect.flip(thread.call("deregister", fd))).toMatchObject({ failure: "InvalidArgument" })
      }
      yield* event.trigger
      expect((yield* wait("10 seconds")).map(({ id }) => id)).toEqual([event.id])
      yield* channel.sender.send(1)
      expect((yield* wait("10 seconds")).map(({ id }) => id)).toEqual([channel.receiver.id])
      const soon = yield* registrar.timeout(0)
      expect((yield* wait("10 seconds")).map(({ id }) => id)).toEqual([soon])
    }).pipe(Effect.provide(layer()), Effect.scoped)
  )
})

describe("two AsyncFds of one number on one thread", () => {
  it.live("the first ends when its descriptor was closed and the second is made, which then stays", () =>
    Effect.gen(function* () {
      const fd = yield* descriptor
      const scope = yield* Scope.make()
      const first = yield* AsyncFd.make(fd).pipe(Effect.provideService(Scope.Scope, scope))
      const waiting = yield* Effect.forkScoped(outcome(first.readable), { startImmediately: true })
      replace(fd)
      const second = yield* AsyncFd.make(fd)
      expect(yield* Fiber.join(waiting)).toBe("NotRegistered")
      yield* Scope.close(scope, Exit.void)
      Kernel.signal(fd)
      yield* second.readable
    }).pipe(Effect.provide(someLayer()), Effect.scoped)
  )
})
