/**
 * Writes to TCP connections while a batch of reports is delivered, which are made by one system
 * call afterwards: in one piece, in turn, and before the thread does anything that takes long.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Latch, Scheduler } from "effect"
import { Poller, PollerSocketServer, Tcp } from "effect-amy"
import { once } from "node:events"
import * as net from "node:net"
import type { StreamSocket } from "../../src/internal/net/streamSocket.ts"
import {
  describeBatched,
  bytesOf,
  changeFunctions,
  type Connected,
  echo,
  expectEcho,
  joinAll,
  manyConnected,
  message,
  readOnce,
  run,
  startAll,
  steppedClock,
  timeless,
  withoutBatches,
  withoutSpare
} from "../support/batch.ts"
import { echo as echoSocket } from "../support/effectSockets.ts"
import * as Kernel from "../support/kernel.ts"
import { nextLayerEntries, readyNow } from "../support/layers.ts"
import { until } from "../support/observe.ts"
import { YieldAt } from "../support/scheduler.ts"
import { block } from "../support/thread.ts"
import { begin, isEmpty, scopedFds } from "../support/watched.ts"
import { describeTcp, randomNumbers, turn, twoLayers, waiters } from "../net/tcp/support.ts"

const everyLayer = nextLayerEntries()

/** Fills the socket, after the peer has written: what the peer sends makes room. */
const fillNow = ({ connection }: Connected): number => {
  let total = 0
  for (let taken = 1; taken > 0; total += taken) taken = Kernel.fill(connection.fd)
  return total
}

/** A connection that had to wait for room, and that is known to have room now. */
const knownToHaveRoom = Effect.gen(function* () {
  for (;;) {
    const [one] = yield* manyConnected(1)
    const filled = fillNow(one!)
    const waiting = yield* begin(one!.connection.writeAll(bytesOf("room.")))
    yield* readyNow
    // Now and then the kernel makes a little room by itself: then another connection is tried.
    if (waiting.pollUnsafe() !== undefined) continue
    expect(yield* textAfter(one!, filled, 5)).toBe("room.")
    yield* Fiber.join(waiting)
    return one!
  }
})

/** Returns what the peer gets until that is enough, or what it got in a minute. */
const soon = ({ peer }: Connected, isEnough: (text: Buffer) => boolean) =>
  Effect.gen(function* () {
    let all = peer.read()
    // The kernel holds small segments back until earlier ones are acknowledged, which takes 40 ms.
    for (const end = Date.now() + 60_000; Date.now() < end && !isEnough(all); all = Buffer.concat([all, peer.read()])) {
      yield* turn
    }
    return all
  })

/** Returns `count` bytes that the peer gets after those that have filled the socket. */
const textAfter = ({ peer }: Connected, filled: number, count: number) =>
  Effect.map(peer.receive(filled + count), (all) => all.subarray(filled).toString())

/**
 * Runs one handler for each connection, all in one batch and in this order. Nothing is sent before
 * its end.
 */
const inOneBatch = <A, E>(
  all: ReadonlyArray<Connected>,
  handlers: ReadonlyArray<
    (one: Connected, fibers: ReadonlyArray<Fiber.Fiber<A, E>>) => Effect.Effect<A, E, Poller.Poller>
  >
) =>
  Effect.gen(function* () {
    const fibers: Array<Fiber.Fiber<A, E>> = []
    fibers.push(
      ...((yield* startAll(all, (one, index) =>
        Effect.andThen(
          Effect.orDie(readOnce(one.connection)),
          Effect.suspend(() => handlers[index]!(one, fibers))
        )
      )) as ReadonlyArray<Fiber.Fiber<A, E>>)
    )
    for (const { peer } of all) peer.write("go")
    return fibers
  })

const three = Effect.map(manyConnected(3), (all) => all as [Connected, Connected, Connected])

/**
 * Makes every step of a fiber be followed by a turn of the event loop, in which reports arrive and
 * other fibers run.
 */
const yielding = Effect.provideService(Scheduler.MaxOpsBeforeYield, 3)

describeBatched("promise 13: a fiber whose write is in a batch is interrupted by another fiber of the batch", () => {
  it.live("it goes on waiting for what its interruption waits for, and the batch does not resume it", () =>
    run(
      Effect.fnUntraced(function* () {
        const all = yield* three
        const cleanedUp = Latch.makeUnsafe(false)
        const fibers = yield* timeless(
          Effect.tap(
            inOneBatch<unknown, unknown>(all, [
              // The write of the second is made by then, and its fiber is resumed after this one.
              ({ connection }, fibers) =>
                Effect.andThen(
                  connection.writeAll(bytesOf("first.")),
                  Effect.sync(() => fibers[1]!.interruptUnsafe())
                ),
              ({ connection }) => Effect.ensuring(connection.writeAll(bytesOf("second.")), cleanedUp.await),
              ({ connection }) => connection.writeAll(bytesOf("other."))
            ]),
            ([first, , third]) => Fiber.awaitAll([first!, third!])
          )
        )
        yield* readyNow
        expect(fibers[1]!.pollUnsafe()).toBeUndefined()
        yield* cleanedUp.open
        expect(Exit.isFailure(yield* Fiber.await(fibers[1]!))).toBe(true)
        expect(yield* waiters).toBe(0)
      })
    )
  )

  for (const [why, fail, next] of [
    ["its connection was shut down", (one: Tcp.TcpStream) => one.shutdown("write"), "BrokenPipe"],
    [
      "its buffer was transferred",
      (_: Tcp.TcpStream, { buffer }: Uint8Array<ArrayBuffer>) =>
        Effect.sync(() => void structuredClone(buffer, { transfer: [buffer] })),
      "success"
    ]
  ] as ReadonlyArray<
    readonly [string, (one: Tcp.TcpStream, bytes: Uint8Array<ArrayBuffer>) => Effect.Effect<void, unknown>, string]
  >) {
    it.live(`if it fails because ${why}, the next write does not wait for room that is there`, () =>
      Effect.gen(function* () {
        const [first, second] = yield* Effect.all([knownToHaveRoom, Effect.map(manyConnected(1), ([one]) => one!)])
        const bytes = new Uint8Array(10)
        if (why === "its connection was shut down") yield* fail(first.connection, bytes)
        const writing = yield* begin(
          Effect.andThen(first.connection.read(new Uint8Array(10)), first.connection.writeAll(bytes))
        )
        const interrupting = yield* begin(
          Effect.gen(function* () {
            yield* second.connection.read(new Uint8Array(10))
            const isInTime = writing.pollUnsafe() === undefined
            if (why === "its buffer was transferred") yield* fail(first.connection, bytes)
            yield* Fiber.interrupt(writing)
            return isInTime
          })
        )
        for (const one of [first, second]) one.peer.write("hello")
        const isInTime = yield* Fiber.join(interrupting)
        const result = yield* Effect.result(first.connection.writeAll(bytesOf("next")))
        expect(result._tag === "Failure" ? result.failure.reason._tag : "success").toBe(next)
        return isInTime
      }).pipe(
        Effect.scoped,
        // On a busy machine the write may have been made before: its batch was too old, or not shared.
        Effect.repeat({ until: (isInTime) => isInTime }),
        Effect.provide(Poller.layerEventLoop())
      )
    )
  }

  it.live("all of the write is made or nothing, and the next write follows it", () =>
    run(
      Effect.fnUntraced(function* () {
        const all = yield* three
        const first = all[0]
        const fibers = yield* timeless(
          Effect.tap(
            inOneBatch<unknown, unknown>(all, [
              ({ connection }) => connection.writeAll(bytesOf("first.")),
              (_, [writer]) => Effect.andThen(Fiber.interrupt(writer!), first.connection.writeAll(bytesOf("second."))),
              ({ connection }) => connection.writeAll(bytesOf("other."))
            ]),
            (fibers) => Fiber.awaitAll(fibers)
          )
        )
        expect(Exit.isFailure(yield* Fiber.await(fibers[0]!))).toBe(true)
        yield* first.connection.writeAll(bytesOf("third."))
        expect(["first.second.third.", "second.third."]).toContain(
          (yield* soon(first, (text) => text.length >= 19)).toString()
        )
        expect(all[2].peer.read().toString()).toBe("other.")
        expect(yield* waiters).toBe(0)
      })
    )
  )

  it.live("its buffer may be overwritten from then on", () =>
    run(
      Effect.fnUntraced(function* () {
        const all = yield* three
        const target = yield* knownToHaveRoom
        const buffer = bytesOf("first.")
        yield* timeless(
          Effect.flatMap(
            inOneBatch<unknown, unknown>(all, [
              () => target.connection.writeAll(buffer),
              (_, [writer]) =>
                Effect.gen(function* () {
                  yield* Fiber.interrupt(writer!)
                  buffer.fill(0x78)
                  yield* target.connection.writeAll(bytesOf("second."))
                }),
              () => Effect.void
            ]),
            Fiber.awaitAll
          )
        )
        const text = yield* soon(target, (text) => text.toString().endsWith("second."))
        expect(["first.second.", "second."]).toContain(text.toString())
      })
    )
  )
})

describeBatched("no room, or not enough, during a batch", () => {
  for (const [name, layer] of everyLayer) {
    it.live(`writeAll waits for room, and is in one piece although another fiber writes as well (${name})`, () =>
      run(
        Effect.fnUntraced(function* () {
          const all = yield* manyConnected(12)
          const fibers = yield* startAll(all, ({ connection }, index) =>
            Effect.gen(function* () {
              yield* readOnce(connection)
              const first = yield* Effect.forkChild(connection.writeAll(message(index, 4000)), {
                startImmediately: true
              })
              yield* connection.writeAll(message(index, 3000))
              yield* Fiber.join(first)
            })
          )
          for (const { peer } of all) peer.write("go")
          const filled = all.map((one, index) => (index % 2 === 0 ? fillNow(one) : 0))
          for (const [index, one] of all.entries()) {
            const received = yield* one.peer.receive(filled[index]! + 7000)
            const expected = Buffer.concat([message(index, 4000), message(index, 3000)])
            expect(received.subarray(filled[index]).equals(expected), `what came to ${index}`).toBe(true)
          }
          yield* joinAll(fibers)
          expect(yield* waiters).toBe(0)
        }),
        layer
      )
    )

    it.live(`an interrupted write leaves no waiter, and the next one is made (${name})`, () =>
      run(
        () =>
          Effect.gen(function* () {
            const all = yield* manyConnected(6)
            const fibers = yield* startAll(all, ({ connection }) =>
              Effect.andThen(readOnce(connection), connection.writeAll(bytesOf("never")))
            )
            for (const { peer } of all) peer.write("go")
            const filled = all.map(fillNow)
            yield* until(() => all.every(({ connection }) => isEmpty(connection.fd)))
            for (let i = 0; i < 5; i++) yield* turn
            // Now and then the kernel makes a little room by itself, and the bytes were written.
            const wait = fibers.map((fiber) => fiber.pollUnsafe() === undefined)
            expect(yield* waiters).toBe(wait.filter((waits) => waits).length)
            for (const fiber of fibers) yield* Fiber.interrupt(fiber)
            expect(yield* waiters).toBe(0)
            for (const [index, one] of all.entries()) {
              const expected = wait[index]! ? "next" : "nevernext"
              const writing = yield* begin(one.connection.writeAll(bytesOf("next")))
              expect(yield* textAfter(one, filled[index]!, expected.length)).toBe(expected)
              yield* Fiber.join(writing)
            }
            return wait.includes(true)
          }).pipe(Effect.scoped, Effect.repeat({ until: (hasWaited) => hasWaited })),
        layer
      )
    )
  }

  it.live("the part that fits is written once, and the rest when there is more room", () =>
    run(
      Effect.fnUntraced(function* (calls) {
        const all = yield* three
        calls.mostSent = 1000
        const fibers = yield* inOneBatch(
          all,
          all.map(
            (_, index) =>
              ({ connection }) =>
                Effect.orDie(connection.writeAll(message(index, 4000)))
          )
        )
        for (const [index, { peer }] of all.entries()) {
          expect((yield* peer.receive(4000)).equals(message(index, 4000))).toBe(true)
        }
        yield* joinAll(fibers)
        expect(yield* waiters).toBe(0)
      })
    )
  )

  it.live("a write that goes on after its fiber was interrupted writes the bytes of that moment", () =>
    run(
      Effect.fnUntraced(function* (calls) {
        const all = yield* three
        calls.mostSent = 1000
        const mine = Buffer.from(message(0, 4000))
        const fibers = yield* timeless(
          Effect.tap(
            inOneBatch<unknown, unknown>(all, [
              // This is how PollerSocket writes.
              ({ connection }) =>
                (connection as unknown as StreamSocket<unknown>).channel.writeAllNow(mine, 4000, true, Effect.fail),
              (_, [writer]) =>
                Effect.andThen(
                  Fiber.interrupt(writer!),
                  Effect.sync(() => void mine.fill(0x78))
                ),
              () => Effect.void
            ]),
            Fiber.awaitAll
          )
        )
        expect(fibers).toHaveLength(3)
        expect((yield* all[0].peer.receive(4000)).equals(message(0, 4000))).toBe(true)
        expect(yield* waiters).toBe(0)
      })
    )
  )

  it.live("the same holds at whatever step the fiber yields", () =>
    run(
      Effect.fnUntraced(function* (calls) {
        calls.mostSent = 1000
        for (let step = 1; step <= 20; step++) {
          yield* Effect.gen(function* () {
            const all = yield* three
            const scheduler = new YieldAt()
            const fibers = yield* startAll(all, ({ connection }, index) =>
              Effect.gen(function* () {
                yield* readOnce(connection)
                if (index === 0) scheduler.left = step
                yield* connection.writeAll(message(index, 4000))
              }).pipe((handler) =>
                index === 0 ? Effect.provideService(handler, Scheduler.Scheduler, scheduler) : handler
              )
            )
            for (const { peer } of all) peer.write("go")
            yield* joinAll(fibers)
            const received = yield* Effect.forEach(all, (one) => soon(one, (text) => text.length >= 4000), {
              concurrency: 3
            })
            expect([step, received.map(({ length }) => length)]).toEqual([step, [4000, 4000, 4000]])
            for (const [index, each] of received.entries()) expect(each.equals(message(index, 4000))).toBe(true)
            expect(yield* waiters).toBe(0)
          }).pipe(Effect.scoped)
        }
      })
    )
  )

  it.live("an interrupted write leaves no waiter, at whatever step its fiber yielded before", () =>
    run(
      Effect.fnUntraced(function* () {
        for (let step = 1; step <= 20;) {
          const hasWaited = yield* Effect.gen(function* () {
            const all = yield* three
            const [first] = all
            const scheduler = new YieldAt()
            const fibers = yield* startAll(all, ({ connection }, index) =>
              Effect.gen(function* () {
                yield* readOnce(connection)
                if (index === 0) scheduler.left = step
                yield* connection.writeAll(bytesOf("never"))
              }).pipe((handler) =>
                index === 0 ? Effect.provideService(handler, Scheduler.Scheduler, scheduler) : handler
              )
            )
            for (const { peer } of all) peer.write("go")
            const filled = fillNow(first)
            yield* joinAll(fibers.slice(1))
            for (let i = 0; i < 5; i++) yield* turn
            // Now and then the kernel makes a little room by itself, and the bytes were written:
            // try again.
            if (fibers[0]!.pollUnsafe() !== undefined) return false
            yield* Fiber.interrupt(fibers[0]!)
            expect([step, yield* waiters]).toEqual([step, 0])
            const next = yield* begin(first.connection.writeAll(bytesOf("next")))
            expect(yield* textAfter(first, filled, 4)).toBe("next")
            yield* Fiber.join(next)
            return true
          }).pipe(Effect.scoped)
          if (hasWaited) step++
        }
      })
    )
  )

  it.live("a part that is written before the end of the batch is not written again at its end", () =>
    Effect.gen(function* () {
      const [empty] = yield* scopedFds(Kernel.socketPair)
      let isFull = false
      let most = Infinity
      yield* changeFunctions(({ recv, send }) => ({
        send: (fd, buffer, count, flags) => {
          // As if there were room for only so many bytes.
          if (isFull) return recv(empty, new Uint8Array(1), 1, 0x40)
          isFull = most !== Infinity
          return send(fd, buffer, Math.min(count, most), flags)
        }
      }))
      yield* run(
        Effect.fnUntraced(function* () {
          const all = yield* three
          const target = yield* knownToHaveRoom
          const fibers = yield* timeless(
            Effect.tap(
              inOneBatch<void, unknown>(all, [
                () => target.connection.writeAll(bytesOf("one two three. ")),
                () =>
                  Effect.gen(function* () {
                    most = 4
                    const second = yield* begin(target.connection.writeAll(bytesOf("second.")))
                    most = Infinity
                    isFull = false
                    yield* Fiber.join(second)
                  }),
                () => Effect.void
              ]),
              (fibers) => Fiber.await(fibers[2]!)
            )
          )
          // The rest is written when room is reported.
          expect((yield* soon(target, (text) => text.length >= 4)).toString()).toBe("one ")
          target.peer.write("x")
          const [filled, reader] = [fillNow(target), yield* begin(target.connection.read(new Uint8Array(8)))]
          const rest = yield* soon(target, (text) => text.toString().includes("second."))
          expect(rest.toString().replaceAll("\0", "")).toBe("two three. second.")
          expect(rest.length).toBe(filled + "two three. second.".length)
          yield* Fiber.join(reader)
          yield* joinAll(fibers)
        })
      )
    }).pipe(Effect.scoped)
  )
})

describeBatched("a batched write comes before what is done afterwards", () => {
  const afterwards: {
    readonly [name: string]: (connection: Tcp.TcpStream) => Effect.Effect<unknown, unknown>
  } = {
    "shutting it down": (connection) => connection.shutdown("write"),
    "closing it": (connection) => connection.close,
    "giving it away": (connection) => Effect.map(connection.take, Kernel.close)
  }
  for (const [name, act] of Object.entries(afterwards)) {
    it.live(name, () =>
      run(
        Effect.fnUntraced(function* () {
          const all = yield* three
          const fibers = yield* inOneBatch<unknown, unknown>(
            all,
            all.map(
              () =>
                ({ connection }) =>
                  Effect.gen(function* () {
                    const writing = yield* begin(connection.writeAll(bytesOf("reply")))
                    yield* act(connection)
                    yield* Fiber.join(writing)
                  })
            )
          )
          yield* joinAll(fibers)
          for (const { peer } of all) {
            expect((yield* peer.receive(5)).toString()).toBe("reply")
            // An end, and no error.
            expect(Kernel.read(peer.fd)).toBe(0)
          }
          expect(yield* waiters).toBe(0)
        })
      )
    )
  }

  it.live("a second write follows it: a large one, an empty one, a part of a buffer", () =>
    run(
      Effect.fnUntraced(function* () {
        const all = yield* three
        const fibers = yield* inOneBatch<unknown, unknown>(
          all,
          all.map(
            () =>
              ({ connection }) =>
                Effect.gen(function* () {
                  const large = new Uint8Array(9000).fill(0x2e)
                  const writes = [
                    connection.writeAll(bytesOf("not this: one"), 10),
                    connection.writeAll(large),
                    connection.write(bytesOf("two")),
                    connection.writeAll(new Uint8Array(0)),
                    connection.writeAll(bytesOf("not this: three, nor this"), 10, 5)
                  ]
                  const writing = yield* Effect.forEach(writes, (each) =>
                    begin(each as Effect.Effect<unknown, unknown>)
                  )
                  yield* joinAll(writing)
                })
          )
        )
        const expected = `one${".".repeat(9000)}twothree`
        for (const { peer } of all) expect((yield* peer.receive(expected.length)).toString()).toBe(expected)
        yield* joinAll(fibers)
        expect(yield* waiters).toBe(0)
      })
    )
  )
})

describeBatched("a batched write does not wait for a handler that takes long", () => {
  it.live("after a handler that blocks the thread, the replies before it have been sent", () =>
    run(
      Effect.fnUntraced(function* (calls) {
        const all = yield* three
        const [first] = all
        const fibers = yield* inOneBatch<boolean, unknown>(all, [
          ({ connection }) => Effect.as(connection.writeAll(bytesOf("reply")), true),
          () => Effect.sync(() => (block(50), true)),
          () => Effect.sync(() => !isEmpty(first.peer.fd))
        ])
        expect(yield* joinAll(fibers)).toEqual([true, true, true])
        expect(calls.count).toBe(2)
      })
    )
  )

  it.live("on layerBlocking, it is sent before the thread blocks within the same batch", () =>
    Effect.gen(function* () {
      let peer = -1
      const wereSent: Array<boolean> = []
      yield* changeFunctions(({ epoll_wait }) => ({
        epoll_wait: (epfd, events, most, timeout) => {
          if (peer !== -1 && timeout !== 0) wereSent.push(!isEmpty(peer))
          return epoll_wait(epfd, events, most, timeout)
        }
      }))
      yield* run(
        Effect.fnUntraced(function* (calls) {
          const all = yield* three
          const poller = yield* Poller.Poller
          const fibers = yield* timeless(
            Effect.tap(
              inOneBatch<unknown, unknown>(all, [
                ({ connection, peer: { fd } }) =>
                  Effect.andThen(
                    Effect.sync(() => void (peer = fd)),
                    connection.writeAll(bytesOf("reply"))
                  ),
                () => Effect.asVoid(poller.wait("10 seconds")).pipe(Effect.timeoutOption("50 millis")),
                () => Effect.void
              ]),
              (fibers) => Fiber.await(fibers[1]!)
            )
          )
          yield* Fiber.join(fibers[0]!)
          expect(wereSent.length).toBeGreaterThan(0)
          expect(new Set(wereSent)).toEqual(new Set([true]))
          expect(calls.count).toBeGreaterThan(0)
          peer = -1
          yield* Fiber.interruptAll(fibers)
        }),
        () => Poller.layerBlocking({ allowMainThread: true })
      )
    }).pipe(Effect.scoped)
  )

  it.live("on layerBlocking, many connections are echoed", () =>
    run(
      Effect.fnUntraced(function* () {
        const all = yield* manyConnected(200)
        const fibers = yield* startAll(all, ({ connection }) => echo(connection))
        for (let round = 0; round < 3; round++) yield* expectEcho(all, (index) => 1 + index * 30, round)
        for (const { peer } of all) peer.end()
        yield* joinAll(fibers)
        expect(yield* waiters).toBe(0)
      }),
      () => Poller.layerBlocking({ allowMainThread: true })
    )
  )

  it.live("a fiber that writes without end, to a peer that always reads, leaves the others their turns", () =>
    run(
      Effect.fnUntraced(function* () {
        const all = yield* three
        const others = { hadTurn: false }
        let count = 0
        const fibers = yield* inOneBatch<void, unknown>(all, [
          ({ connection, peer }) =>
            Effect.gen(function* () {
              while (!others.hadTurn) {
                yield* connection.writeAll(bytesOf("again and again"))
                peer.read()
                // So that the test ends even if no other fiber ever has a turn.
                if (++count === 500_000) return yield* Effect.fail("no other fiber had a turn")
              }
            }),
          () => Effect.void,
          () => Effect.void
        ])
        yield* turn
        yield* turn
        others.hadTurn = true
        expect(yield* Effect.exit(Fiber.join(fibers[0]!))).toEqual(Exit.void)
      })
    )
  )
})

describeBatched("a barrier during a batch delivers the rest of the batch, and what has come since", () => {
  const withBarrier = [...everyLayer, ["layerBlocking", () => Poller.layerBlocking({ allowMainThread: true })] as const]
  for (const [name, layer] of withBarrier) {
    it.live(`every connection is served (${name})`, () =>
      run(
        Effect.fnUntraced(function* () {
          const late = yield* manyConnected(5)
          const lateFibers = yield* startAll(late, ({ connection }) => echo(connection))
          const all = yield* manyConnected(40)
          const poller = yield* Poller.Poller
          const fibers = yield* startAll(all, ({ connection }, index) =>
            Effect.gen(function* () {
              const buffer = new Uint8Array(100)
              for (;;) {
                const count = yield* connection.read(buffer)
                if (count === 0) return
                yield* connection.writeAll(buffer, 0, count)
                if (index % 8 !== 3) continue
                late[index >> 3]!.peer.write("late")
                yield* poller.wait(0)
              }
            })
          )
          for (let round = 1; round <= 3; round++) {
            yield* expectEcho(all, (index) => 1 + index, round)
            for (const { peer } of late) expect((yield* peer.receive(4)).toString()).toBe("late")
          }
          for (const { peer } of [...all, ...late]) peer.end()
          yield* joinAll([...fibers, ...lateFibers])
          expect(yield* waiters).toBe(0)
        }),
        layer
      )
    )
  }
})

describe("without io_uring and Linux AIO", () => {
  it.live("every peer of an echo gets its own bytes", () =>
    Effect.gen(function* () {
      yield* withoutBatches
      yield* run(
        Effect.fnUntraced(function* (calls) {
          const all = yield* manyConnected(300)
          yield* startAll(all, ({ connection }) => echo(connection))
          for (let round = 0; round < 3; round++) yield* expectEcho(all, (index) => 1 + index * 30, round)
          expect(calls.count).toBe(0)
        })
      )
    }).pipe(Effect.scoped)
  )
})

describeBatched("when the kernel refuses a batch", () => {
  for (const breaksAt of [1, 2, 3, 4]) {
    it.live(`every peer of an echo gets its own bytes, if the first is call ${breaksAt}`, () =>
      run(
        Effect.fnUntraced(function* (calls) {
          calls.breaksAt = breaksAt
          const all = yield* manyConnected(300)
          const fibers = yield* startAll(all, ({ connection }) => echo(connection))
          for (let round = 0; round < 3; round++) yield* expectEcho(all, (index) => 1 + index * 30, round)
          expect(calls.count).toBe(breaksAt)
          for (const { peer } of all) peer.end()
          yield* joinAll(fibers)
        })
      ).pipe(timeless)
    )
  }

  it.live("a connection that waited for room before sends all the same", () =>
    run(
      Effect.fnUntraced(function* (calls) {
        const all = yield* three
        const target = yield* knownToHaveRoom
        calls.breaksAt = 2
        const fibers = yield* inOneBatch(all, [
          () => target.connection.writeAll(bytesOf("reply")),
          () => Effect.void,
          () => Effect.void
        ])
        expect((yield* soon(target, (text) => text.length >= 5)).toString()).toBe("reply")
        yield* joinAll(fibers)
        expect(calls.count).toBe(2)
        expect(yield* waiters).toBe(0)
      })
    ).pipe(timeless)
  )

  it.live(
    "batches begin again after a second, the next time after two, and after some time without a failure at once",
    () =>
      Effect.gen(function* () {
        const clock = yield* steppedClock
        yield* run(
          Effect.fnUntraced(function* (calls) {
            const all = yield* manyConnected(300)
            yield* startAll(all, ({ connection }) => echo(connection))
            /** Sends something to each, and returns how many calls were made for batches. */
            const callsOf = Effect.suspend(() => {
              const before = calls.count
              return Effect.map(
                expectEcho(all, (index) => 1 + index, before),
                () => calls.count - before
              )
            })
            expect(yield* callsOf).toBeGreaterThan(1)
            for (const pause of [1000, 2000]) {
              calls.breaksAt = calls.count + 1
              expect(yield* callsOf).toBe(1)
              calls.breaksAt = Infinity
              clock.time += pause - 1
              expect(yield* callsOf).toBe(0)
              clock.time += 1
              expect(yield* callsOf).toBeGreaterThan(1)
            }
            // It worked for long enough: the next batch opens it at once, and only then is there a pause.
            clock.time += 12_000
            calls.breaksAt = calls.count + 1
            expect(yield* callsOf).toBe(2)
            calls.breaksAt = Infinity
            clock.time += 999
            expect(yield* callsOf).toBe(0)
            clock.time += 1
            expect(yield* callsOf).toBeGreaterThan(1)
          })
        )
      }).pipe(Effect.scoped)
  )
})

describeBatched("when there is no descriptor, context or memory left for a moment", () => {
  it.live("batches begin after a second, or twice as long after each time that there is still none", () =>
    Effect.gen(function* () {
      const clock = yield* steppedClock
      let isLacking = true
      let attempts = 0
      yield* changeFunctions(({ io_setup, io_uring_setup }) => ({
        io_setup: (...all) => {
          attempts++
          return isLacking ? -1 : io_setup(...all)
        },
        io_uring_setup: (...all) => (isLacking ? -1 : io_uring_setup(...all))
      }))
      yield* withoutSpare
      attempts = 0
      yield* run(
        Effect.fnUntraced(function* (calls) {
          const all = yield* manyConnected(300)
          yield* startAll(all, ({ connection }) => echo(connection))
          for (const [passed, expected] of [
            [0, 1],
            [999, 1],
            [1, 2],
            [1999, 2],
            [1, 3],
            [3999, 3]
          ] as const) {
            clock.time += passed
            yield* expectEcho(all, (index) => 1 + index, clock.time)
            expect(attempts).toBe(expected)
          }
          expect(calls.count).toBe(0)
          isLacking = false
          clock.time += 1
          yield* expectEcho(all, (index) => 1 + index, 7)
          expect(calls.count).toBeGreaterThan(1)
        })
      )
    }).pipe(Effect.scoped)
  )
})

describeBatched("fibers that yield between their steps", () => {
  for (const [name, layer] of everyLayer) {
    it.live(`an echo writes back exactly what came (${name})`, () =>
      run(
        Effect.fnUntraced(function* () {
          const all = yield* manyConnected(150)
          const fibers = yield* startAll(all, ({ connection }) => yielding(echo(connection)))
          for (let round = 0; round < 3; round++) yield* expectEcho(all, (index) => 1 + index * 40, round)
          for (const { peer } of all) peer.end()
          yield* joinAll(fibers)
          expect(yield* waiters).toBe(0)
        }),
        layer
      )
    )

    it.live(`writes of two fibers to one connection are each in one piece (${name})`, () =>
      run(
        Effect.fnUntraced(function* (calls) {
          const all = yield* manyConnected(10)
          const size = 4000
          for (let round = 0; round < 10; round++) {
            // Now and then a write takes several calls.
            calls.mostSent = round % 2 === 0 ? 1500 : Infinity
            const fibers = yield* startAll(all, ({ connection }) =>
              Effect.gen(function* () {
                yield* readOnce(connection)
                const writes = [1, 2, 3].map((value) => connection.writeAll(new Uint8Array(size).fill(value)))
                yield* Effect.all([yielding(writes[0]!), writes[1]!, yielding(writes[2]!)], { concurrency: 3 })
              })
            )
            for (const { peer } of all) peer.write("go")
            for (const [index, { peer }] of all.entries()) {
              const received = yield* peer.receive(3 * size)
              const values = [0, 1, 2].map((part) => new Set(received.subarray(part * size, (part + 1) * size)))
              expect(
                values.map(({ size }) => size),
                `torn at ${index} in round ${round}`
              ).toEqual([1, 1, 1])
              expect(values.flatMap((each) => Array.from(each)).toSorted()).toEqual([1, 2, 3])
            }
            yield* joinAll(fibers)
          }
          expect(yield* waiters).toBe(0)
        }),
        layer
      )
    )
  }
})

/** Runs a hundred clients of node:net, which each send messages and get them back. */
const nodeClients = (port: number, count = 100) =>
  Effect.promise(async () => {
    const below = randomNumbers(port)
    const sizes = () => Array.from({ length: 6 }, () => 1 + Math.floor(below() ** 3 * 30_000))
    await Promise.all(
      Array.from({ length: count }, async (_, index) => {
        const socket = net.connect({ port, host: "127.0.0.1" })
        try {
          await once(socket, "connect")
          for (const [round, size] of sizes().entries()) {
            const sent = message(index * 10 + round, size)
            socket.write(sent)
            const chunks: Array<Buffer> = []
            for (let left = size; left > 0;) {
              const chunk = socket.read() as Buffer | null
              if (chunk === null) {
                await once(socket, "readable")
                continue
              }
              chunks.push(chunk)
              left -= chunk.length
            }
            expect(Buffer.concat(chunks).equals(sent), `client ${index}, message ${round} of ${size}`).toBe(true)
          }
        } finally {
          socket.destroy()
        }
      })
    )
  })

describeTcp(
  "servers under a hundred clients of node:net",
  (live) => {
    live("TcpListener.run", () =>
      Effect.gen(function* () {
        const listener = yield* Tcp.listen("127.0.0.1:0")
        yield* Effect.forkScoped(listener.run((connection) => echo(connection)))
        yield* nodeClients(listener.address.port)
      })
    )

    live("PollerSocketServer", () =>
      Effect.gen(function* () {
        const server = yield* PollerSocketServer.make({ host: "127.0.0.1", port: 0 })
        yield* Effect.forkScoped(server.run(echoSocket))
        yield* nodeClients("port" in server.address ? server.address.port : 0)
      })
    )
  },
  twoLayers
)
