/** Arguments whose reading throws: getters, revoked Proxies, and values without a text. */
import { assert, expect, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { AsyncFd, Fd, ForeignFd, PollChannel, Poller, PollerError, Registrar, Tcp, UserEvent } from "effect-amy"
import * as Kernel from "../support/kernel.ts"
import { describeEveryLayer } from "../support/observe.ts"

const thrown = new Error("thrown by a getter")

/** Returns an object whose property throws when it is read. */
const throwing = (name: string): never =>
  Object.defineProperty({}, name, {
    enumerable: true,
    get: () => {
      throw thrown
    }
  }) as never

const revoked = (): never => {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy as never
}

/** It has no text: converting it throws. */
const textless = Object.create(null) as never

const throwingText = {
  [Symbol.toPrimitive]: () => {
    throw thrown
  }
} as never

/** Expects `InvalidArgument`, with the exception as the cause where it is known. */
const isRefused = Effect.fnUntraced(function* <A, R>(effect: Effect.Effect<A, PollerError.PollerError, R>) {
  const descriptors = Kernel.openDescriptors()
  const { stats } = yield* Poller.Poller
  const { registrations } = yield* stats
  const error = yield* Effect.flip(effect)
  assert(PollerError.isPollerError(error))
  assert(error.reason._tag === "InvalidArgument")
  expect(Kernel.openDescriptors()).toEqual(descriptors)
  expect((yield* stats).registrations).toBe(registrations)
  return error.reason
})

describeEveryLayer("arguments whose reading throws", (layer) => {
  it.live("a descriptor is refused with the cause, by every function", () =>
    Effect.gen(function* () {
      const registrar = yield* Registrar.Registrar
      const fd = Kernel.source()
      const id = yield* registrar.register(fd, "Read")
      for (const operation of [
        (fd: never) => registrar.register(fd, "Read"),
        (fd: never) => Effect.scoped(registrar.registerScoped(fd, "Read")),
        (fd: never) => registrar.reregister(fd, id, "Read"),
        (fd: never) => registrar.deregister(fd),
        (fd: never) => Stream.runDrain(registrar.watch(fd, "Read")),
        (fd: never) => Effect.scoped(AsyncFd.make(fd))
      ]) {
        expect((yield* isRefused(operation(throwing("fd")))).cause).toBe(thrown)
        expect((yield* isRefused(operation(revoked()))).cause).toBeInstanceOf(TypeError)
        yield* isRefused(operation({ fd: textless } as never))
        yield* isRefused(operation({ fd: throwingText } as never))
      }
      yield* registrar.deregister(fd)
      Kernel.close(fd)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("an event, an option, a duration and an id are refused", () =>
    Effect.gen(function* () {
      const registrar = yield* Registrar.Registrar
      const { wait } = yield* Poller.Poller
      const fd = Kernel.source()
      for (const value of [textless, throwingText, revoked()]) {
        yield* isRefused(registrar.register(fd, value))
        yield* isRefused(registrar.register(fd, "Read", { mode: value }))
        yield* isRefused(Effect.scoped(AsyncFd.make(fd, { event: value })))
        expect(yield* Effect.flip(registrar.cancelTimer(value))).toMatchObject({ reason: { _tag: "NotRegistered" } })
        expect(yield* Effect.flip(registrar.reregister(fd, value, "Read"))).toMatchObject({
          reason: { _tag: "NotRegistered" }
        })
      }
      for (const name of ["mode", "priority", "exclusive"]) {
        expect((yield* isRefused(registrar.register(fd, "Read", throwing(name)))).cause).toBe(thrown)
      }
      expect((yield* isRefused(Effect.scoped(AsyncFd.make(fd, throwing("event"))))).cause).toBe(thrown)
      for (const value of [revoked(), throwing("seconds")]) {
        yield* isRefused(registrar.timeout(value))
        yield* isRefused(registrar.interval(value))
        yield* isRefused(wait(value))
      }
      yield* isRefused(Effect.scoped(PollChannel.bounded(throwingText)))
      for (const value of [revoked(), throwing("~effect-amy/UserEventHandle")]) {
        yield* isRefused(Effect.scoped(UserEvent.fromHandle(value)))
      }
      yield* isRefused(Effect.scoped(PollChannel.fromHandle(revoked())))
      Kernel.close(fd)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("a value that is sent is refused, and takes no place of its channel", () =>
    Effect.gen(function* () {
      const { receiver, sender } = yield* PollChannel.bounded<unknown>(1)
      for (const value of [throwing("value"), revoked(), () => {}, [throwing("value")]]) {
        yield* isRefused(sender.send(value))
        yield* isRefused(sender.trySend(value))
      }
      yield* sender.send("whole")
      const { wait } = yield* Poller.Poller
      yield* wait("10 seconds")
      expect(yield* receiver.tryReceive).toMatchObject({ value: "whole" })
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("a poller is not opened with an option that throws", () =>
    Effect.gen(function* () {
      for (const name of ["mailboxSize", "maxThreads", "batchSize"]) {
        for (const opening of [Poller.layerWorker, Poller.layerEventLoop, Poller.layerBlocking]) {
          const options = Object.defineProperty(throwing(name) as object, "allowMainThread", { value: true })
          yield* isRefused(Effect.scoped(Effect.provide(Effect.void, opening(options))))
        }
      }
      yield* isRefused(Effect.scoped(Effect.provide(Effect.void, Poller.layerAttach(revoked()))))
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("an offset, a length, a way to shut down and a path are refused", () =>
    Effect.gen(function* () {
      const listener = yield* Tcp.listen("127.0.0.1:0")
      const connection = yield* Tcp.connect(listener.address)
      const { reader, writer } = yield* Fd.pipe
      const async = yield* AsyncFd.make(reader)
      const buffer = new Uint8Array(4)
      for (const value of [textless, throwingText, revoked(), Symbol("offset") as never, 1n as never]) {
        for (const { tryRead } of [reader, async, connection]) {
          yield* isRefused(tryRead(buffer, value))
          yield* isRefused(tryRead(buffer, 0, value))
        }
        for (const { writeAll } of [async, connection]) yield* isRefused(writeAll(buffer, value))
        yield* isRefused(writer.tryWrite(buffer, value))
        yield* isRefused(connection.read(buffer, value))
        yield* isRefused(connection.shutdown(value))
        yield* isRefused(Effect.scoped(Fd.open(value, "read")))
        yield* isRefused(Effect.scoped(Fd.open("/dev/null", value)))
      }
      yield* isRefused(connection.shutdown("toString" as never))
      yield* isRefused(Effect.scoped(Fd.open("/dev/null", "toString" as never)))
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("a wait for the descriptor of a C library is refused", () =>
    Effect.gen(function* () {
      const { reader } = yield* Fd.pipe
      const foreign = yield* ForeignFd.make(reader.fd)
      const set = yield* ForeignFd.makeSet
      for (const value of [revoked(), throwing("timeout")]) {
        yield* isRefused(foreign.wait("Read", value))
        yield* isRefused(set.wait(value))
      }
      for (const value of [revoked(), throwing("seconds")]) {
        yield* isRefused(foreign.wait("Read", { timeout: value }))
        yield* isRefused(foreign.wait(value))
        yield* isRefused(
          ForeignFd.drive(() => Effect.succeed(ForeignFd.waitFor(reader.fd, "Read", { timeout: value })))
        )
        yield* isRefused(ForeignFd.drive(() => Effect.succeed(ForeignFd.waitForAny(value))))
        set.updateTimeout(value)
        yield* isRefused(set.wait())
        set.update(value, "Read")
        yield* isRefused(set.wait())
        const throwingFd = yield* ForeignFd.make(() => {
          throw value
        })
        yield* isRefused(throwingFd.wait("Read"))
        expect(throwingFd.fd).toBe(-1)
        yield* isRefused(
          Effect.flatMap(
            ForeignFd.make(() => value),
            (other) => other.wait("Read")
          )
        )
      }
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )
})
