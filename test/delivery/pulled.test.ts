/**
 * A stream takes only what its consumer is about to see: what it has not emitted is still there for
 * the next.
 */
import { expect, it } from "@effect/vitest"
import { Effect, Fiber, Latch, Option, Stream } from "effect"
import { Poller, PollChannel, Registrar, Tcp, Udp } from "effect-amy"
import * as Kernel from "../support/kernel.ts"
import { describeEveryLayer } from "../support/observe.ts"
import { reasonOf } from "../support/outcome.ts"

const ready = (count: number) =>
  Effect.gen(function* () {
    const fds = Array.from({ length: count }, Kernel.source)
    yield* Effect.addFinalizer(() => Effect.sync(() => fds.forEach(Kernel.close)))
    const ids = yield* Effect.forEach(fds, (fd) => Registrar.registerScoped(fd, "Read"))
    fds.forEach(Kernel.signal)
    return { fds, ids }
  })

const sorted = (ids: Iterable<number>) => [...ids].toSorted((a, b) => a - b)

describeEveryLayer("promises 4, 5 and 15: a stream takes what it emits, and no more", (layer) => {
  it.live("each of several streams over ready descriptors gets one of them", () =>
    Effect.gen(function* () {
      const { ids } = yield* ready(5)
      const heads = yield* Effect.forEach(ids, () => Stream.runHead(Poller.notifications))
      expect(sorted(heads.map((head) => Option.getOrThrow(head).id))).toEqual(ids)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("a wait finds what a stream has left", () =>
    Effect.gen(function* () {
      const { ids } = yield* ready(5)
      const [first] = yield* Stream.runCollect(Stream.take(Poller.notifications, 1))
      const rest = yield* Poller.wait(0)
      expect(sorted([first!, ...rest].map(({ id }) => id))).toEqual(ids)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("an interruption loses nothing but what its handler had in hand", () =>
    Effect.gen(function* () {
      const { ids } = yield* ready(5)
      const inHand = yield* Latch.make()
      const seen: Array<number> = []
      const fiber = yield* Effect.forkChild(
        Stream.runForEach(Poller.notifications, ({ id }) => {
          seen.push(id)
          return seen.length < 2 ? Effect.void : Effect.andThen(inHand.open, Effect.never)
        })
      )
      yield* inHand.await
      yield* Fiber.interrupt(fiber)
      expect(seen).toHaveLength(2)
      expect(sorted([...seen, ...(yield* Poller.wait(0)).map(({ id }) => id)])).toEqual(ids)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("a handler that deregisters the others is not called for them", () =>
    Effect.gen(function* () {
      const { fds, ids } = yield* ready(20)
      const seen: Array<number> = []
      yield* Poller.notifications.pipe(
        Stream.tap(({ id }) =>
          Effect.gen(function* () {
            seen.push(id)
            for (const [index, fd] of fds.entries())
              if (ids[index] !== id) yield* Effect.ignore(Registrar.deregister(fd))
            yield* Registrar.timeout(0)
          })
        ),
        Stream.takeUntil(({ id }) => !ids.includes(id)),
        Stream.runDrain
      )
      expect(seen.filter((id) => (ids as ReadonlyArray<number>).includes(id))).toHaveLength(1)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("a timer whose notification no handler has seen can be cancelled", () =>
    Effect.gen(function* () {
      const { ids } = yield* ready(1)
      const timer = yield* Registrar.timeout(0)
      // Both are in the queue when the stream takes the first.
      yield* Effect.repeat(
        Effect.map(Poller.queue, (queue) => queue.messages.length),
        { until: (length) => length === 2 }
      ).pipe(Effect.timeout("5 seconds"), Effect.ignore)
      const head = Option.getOrThrow(yield* Stream.runHead(Poller.notifications))
      if (head.id === ids[0]) yield* Registrar.cancelTimer(timer)
      else expect(yield* reasonOf(Registrar.cancelTimer(timer))).toBe("NotRegistered")
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("a channel keeps the messages that its receiver's stream has not emitted", () =>
    Effect.gen(function* () {
      const { receiver, sender } = yield* PollChannel.unbounded<number>()
      for (let value = 0; value < 10; value++) yield* sender.send(value)
      expect(yield* Stream.runCollect(Stream.take(receiver.stream, 1))).toEqual([0])
      expect(yield* receiver.receive).toBe(1)
      expect(yield* receiver.receiveMany).toEqual([2, 3, 4, 5, 6, 7, 8, 9])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("a socket keeps the datagrams that its stream has not emitted", () =>
    Effect.gen(function* () {
      const [server, client] = [yield* Udp.bind("127.0.0.1:0"), yield* Udp.bind("127.0.0.1:0")]
      for (let value = 0; value < 5; value++) yield* client.send(Uint8Array.of(value), yield* server.localAddress)
      const [first] = yield* Stream.runCollect(Stream.take(server.stream, 1))
      const rest = yield* Effect.forEach([1, 2, 3, 4], () => server.receive)
      expect([first!, ...rest].map(({ payload }) => payload[0])).toEqual([0, 1, 2, 3, 4])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("a listener keeps the connections that its stream has not emitted", () =>
    Effect.gen(function* () {
      const listener = yield* Tcp.listen("127.0.0.1:0")
      const clients = yield* Effect.forEach([0, 1, 2, 3, 4], () => Tcp.connect(listener.address))
      yield* Stream.runDrain(Stream.take(listener.incoming, 1))
      // The end of the stream has closed the connection that it emitted, and no other.
      yield* Effect.forEach(clients.slice(1), (client) =>
        Effect.gen(function* () {
          const connection = yield* listener.accept
          yield* client.writeAll(Uint8Array.of(1))
          expect(yield* connection.remoteAddress).toEqual(yield* client.localAddress)
          expect(yield* connection.read(new Uint8Array(1))).toBe(1)
        })
      )
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("batches: everything in the queue is one element, and is taken when it is pulled", () =>
    Effect.gen(function* () {
      const { ids } = yield* ready(5)
      const seen: Array<number> = []
      yield* Poller.batches.pipe(
        Stream.tap((batch) => Effect.sync(() => seen.push(...batch.map(({ id }) => id)))),
        Stream.takeUntil(() => seen.length === ids.length),
        Stream.runDrain
      )
      expect(sorted(seen)).toEqual(ids)
      expect(yield* Poller.wait(0)).toEqual([])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )
})
