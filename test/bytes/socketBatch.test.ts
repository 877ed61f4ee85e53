/**
 * TCP connections that become ready together are read and written by few system calls. All promises
 * about a single connection still hold, whatever the fibers that run first do to the others.
 */
import { expect, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Option, Stream } from "effect"
import { Poller, Registrar, Tcp } from "effect-amy"
import {
  describeBatched,
  bytesOf,
  type Connected,
  echo,
  expectEcho,
  joinAll,
  manyConnected,
  message,
  observeCalls,
  readBytes,
  readOnce,
  run,
  startAll,
  timeless
} from "../support/batch.ts"
import { open } from "../support/opened.ts"
import * as Kernel from "../support/kernel.ts"
import { nextLayerEntries } from "../support/layers.ts"
import { outcomeOf, reasonOf } from "../support/outcome.ts"
import { atOnce, isEmpty, scopedFds } from "../support/watched.ts"
import { leavesNothing, readText, startProcess, startWaiting, turn, waiters } from "../net/tcp/support.ts"

const everyLayer = nextLayerEntries()

describeBatched("an echo on more connections than one batch holds", () => {
  for (const [name, layer] of everyLayer) {
    it.live(`every peer gets its own bytes, in every round (${name})`, () =>
      run(
        Effect.fnUntraced(function* () {
          const all = yield* manyConnected(300)
          const fibers = yield* startAll(all, ({ connection }) => echo(connection))
          for (let round = 0; round < 5; round++) yield* expectEcho(all, (index) => 1 + ((index * 7) % 300), round)
          for (const { peer } of all) peer.end()
          yield* joinAll(fibers)
          expect(yield* waiters).toBe(0)
        }),
        layer
      )
    )
  }

  it.live("as many connections as a batch holds take two calls", () =>
    run(
      Effect.fnUntraced(function* (calls) {
        const all = yield* manyConnected(300)
        yield* startAll(all, ({ connection }) => echo(connection))
        for (let round = 0; round < 3; round++) {
          const before = calls.count
          yield* timeless(expectEcho(all, () => 100, round))
          expect(calls.count - before).toBe(2 * Math.ceil(300 / 128))
        }
      })
    )
  )

  it.live("a single connection takes none", () =>
    run(
      Effect.fnUntraced(function* (calls) {
        const all = yield* manyConnected(1)
        yield* startAll(all, ({ connection }) => echo(connection))
        for (let round = 0; round < 10; round++) yield* expectEcho(all, () => 100, round)
        expect(calls.count).toBe(0)
      })
    )
  )

  it.live("streams and sinks echo as well", () =>
    run(
      Effect.fnUntraced(function* (calls) {
        const all = yield* manyConnected(200)
        const fibers = yield* startAll(all, ({ connection }) => Stream.run(connection.stream, connection.sink))
        for (let round = 0; round < 3; round++) yield* expectEcho(all, (index) => 1 + index * 20, round)
        expect(calls.count).toBeGreaterThan(0)
        for (const { peer } of all) peer.end()
        yield* joinAll(fibers)
      })
    )
  )
})

describeBatched("messages of any size in one batch", () => {
  const sizes = [1, 63, 4095, 4096, 4097, 10_000, 16_383, 16_384, 16_385, 100_000]
  for (const [name, layer] of everyLayer) {
    it.live(`each comes back whole (${name})`, () =>
      run(
        Effect.fnUntraced(function* () {
          const all = yield* manyConnected(sizes.length * 4)
          yield* startAll(all, ({ connection }) => echo(connection, 1 << 16))
          // Each connection gets each size once: its earlier reads decide how it is read.
          for (let round = 0; round < sizes.length; round++) {
            yield* expectEcho(all, (index) => sizes[(index + round) % sizes.length]!, round)
          }
        }),
        layer
      )
    )

    it.live(`bytes that exceed the caller's buffer are there for later reads (${name})`, () =>
      run(
        Effect.fnUntraced(function* () {
          const all = yield* manyConnected(sizes.length * 4)
          const messages = all.map((_, index) => message(index, sizes[index % sizes.length]!))
          const firsts = yield* startAll(all, ({ connection }, index) => readBytes(connection, 1 + (index % 5)))
          const written = all.map(({ peer }, index) => peer.write(messages[index]!))
          const first = yield* joinAll(firsts)
          // The batch is over, and others use its memory.
          const others = yield* manyConnected(20)
          yield* startAll(others, ({ connection }) => echo(connection))
          yield* expectEcho(others, () => 4096, 1000)
          for (const [index, { connection, peer }] of all.entries()) {
            const whole = messages[index]!
            const writing = yield* Effect.forkChild(peer.writeAll(whole.subarray(written[index])))
            const chunks = [first[index]!]
            for (let length = chunks[0]!.length, size = 7; length < whole.length; size = (size * 5) % 9973) {
              const chunk = yield* readBytes(connection, size)
              chunks.push(chunk)
              length += chunk.length
            }
            expect(Buffer.concat(chunks).equals(whole)).toBe(true)
            yield* Fiber.join(writing)
            yield* Fiber.interrupt(yield* startWaiting(readBytes(connection, 1)))
          }
          expect(yield* waiters).toBe(20)
        }),
        layer
      )
    )
  }
})

/** Reads until the end, and returns the bytes and how they ended. */
const readAll = (connection: Tcp.TcpStream) =>
  Effect.gen(function* () {
    let text = ""
    for (;;) {
      const read = yield* Effect.match(readOnce(connection, 2), {
        onFailure: ({ reason }) => reason,
        onSuccess: (read) => read
      })
      if (typeof read !== "string") return `${text}|${read._tag}`
      if (read === "") return `${text}|end`
      text += read
    }
  })

describeBatched("ends and errors among healthy connections", () => {
  for (const [name, layer] of everyLayer) {
    it.live(`each connection sees its own (${name})`, () =>
      run(
        Effect.fnUntraced(function* () {
          const all = yield* manyConnected(40)
          const fibers = yield* startAll(all, ({ connection }) => readAll(connection))
          for (const [index, { peer }] of all.entries()) {
            if (index % 4 === 0) peer.write("hello")
            if (index % 4 === 1) {
              peer.write("hello")
              peer.end()
            }
            if (index % 4 === 2) peer.end()
            if (index % 4 === 3) peer.reset()
          }
          for (const [index, fiber] of fibers.entries()) {
            if (index % 4 === 0) all[index]!.peer.end()
            expect(yield* Fiber.join(fiber)).toBe(["hello|end", "hello|end", "|end", "|ConnectionReset"][index % 4])
          }
          expect(yield* waiters).toBe(0)
        }),
        layer
      )
    )
  }

  it.live("they are seen if they come after the report and before the read", () =>
    run(
      Effect.fnUntraced(function* (calls) {
        const all = yield* manyConnected(8)
        const fibers = yield* startAll(all, ({ connection }) => readAll(connection))
        calls.before = () => {
          calls.before = () => {}
          for (const [index, { peer }] of all.entries()) {
            if (index % 4 === 1) peer.write(", world")
            if (index % 4 === 2) peer.end()
            if (index % 4 === 3) peer.reset()
          }
        }
        for (const { peer } of all) peer.write("hello")
        for (const [index, fiber] of fibers.entries()) {
          if (index % 4 < 2) all[index]!.peer.end()
          const expected = ["hello|end", "hello, world|end", "hello|end", "hello|ConnectionReset"][index % 4]
          expect([index, yield* Fiber.join(fiber)]).toEqual([index, expected])
        }
        expect(calls.count).toBe(1)
      })
    )
  )

  it.live("an end is seen if another process has read the bytes before it", () =>
    run(
      Effect.fnUntraced(function* (calls) {
        const all = yield* manyConnected(4)
        const fibers = yield* startAll(all, ({ connection }) => readAll(connection))
        calls.before = () => {
          calls.before = () => {}
          for (const { connection } of all) Kernel.drain(connection.fd)
          all[2]!.peer.end()
          all[3]!.peer.reset()
        }
        for (const { peer } of all) peer.write("hello")
        expect(yield* Fiber.join(fibers[2]!)).toBe("|end")
        expect(yield* Fiber.join(fibers[3]!)).toBe("|ConnectionReset")
        for (const index of [0, 1]) {
          expect(fibers[index]!.pollUnsafe()).toBeUndefined()
          all[index]!.peer.write("again")
          all[index]!.peer.end()
          expect(yield* Fiber.join(fibers[index]!)).toBe("again|end")
        }
      })
    )
  )

  it.live("an end or an error that was read for a fiber that is gone is there for the next one", () =>
    run(
      Effect.fnUntraced(function* (calls) {
        const all = yield* manyConnected(3)
        const [first, ended, reset] = all as [Connected, Connected, Connected]
        calls.before = () => {
          calls.before = () => {}
          for (const { connection } of [ended, reset]) Kernel.drain(connection.fd)
          ended.peer.end()
          reset.peer.reset()
        }
        const fibers = yield* startAll(all, ({ connection }) => readOnce(connection))
        const interrupting = yield* Effect.forkChild(
          Effect.andThen(Fiber.join(fibers[0]!), Fiber.interruptAll(fibers.slice(1))),
          { startImmediately: true }
        )
        for (const { peer } of all) peer.write("hello")
        yield* Fiber.join(interrupting)
        expect(calls.count).toBe(1)
        yield* turn
        expect(yield* readOnce(ended.connection)).toBe("")
        expect(yield* readOnce(ended.connection)).toBe("")
        expect(yield* reasonOf(readOnce(reset.connection))).toBe("ConnectionReset")
        expect(yield* readOnce(reset.connection)).toBe("")
        expect(first.connection.fd).toBeGreaterThan(0)
      })
    )
  )

  it.live("urgent data that comes after the report and before the read hides nothing behind it", () =>
    run(
      Effect.fnUntraced(function* (calls) {
        const all = yield* manyConnected(4)
        const fibers = yield* startAll(all, ({ connection }) => readAll(connection))
        calls.before = () => {
          calls.before = () => {}
          for (const { peer } of all) {
            Kernel.sendOutOfBand(peer.fd)
            peer.write("cd")
          }
        }
        for (const { peer } of all) peer.write("ab")
        yield* turn
        for (const { peer } of all) peer.end()
        for (const fiber of fibers) expect(yield* Fiber.join(fiber)).toBe("abcd|end")
      })
    )
  )

  it.live("several fibers that read one connection are served in turn, each with what is left", () =>
    run(
      Effect.fnUntraced(function* () {
        const all = yield* manyConnected(3)
        const turns = yield* Effect.forEach([1, 2, 3, 4], () =>
          startAll(all, ({ connection }) => readOnce(connection, 3))
        )
        for (const { peer } of all) peer.write("abcdefgh")
        for (const [turn, fibers] of turns.slice(0, 3).entries()) {
          for (const fiber of fibers) expect(yield* Fiber.join(fiber)).toBe(["abc", "def", "gh"][turn])
        }
        expect(yield* waiters).toBe(3)
        for (const { peer } of all) peer.write("ij")
        for (const fiber of turns[3]!) expect(yield* Fiber.join(fiber)).toBe("ij")
        expect(yield* waiters).toBe(0)
      })
    )
  )

  it.live("a write to a broken connection fails, and those to the others do not", () =>
    run(
      Effect.fnUntraced(function* (calls) {
        const all = yield* manyConnected(9)
        const fibers = yield* startAll(all, ({ connection }, index) =>
          Effect.gen(function* () {
            const text = yield* readOnce(connection)
            if (index % 3 === 1) yield* connection.shutdown("write")
            if (index % 3 === 2) all[index]!.peer.reset()
            return yield* outcomeOf(connection.writeAll(bytesOf(text)))
          })
        )
        for (const { peer } of all) peer.write("hello")
        for (const [index, fiber] of fibers.entries()) {
          expect([index, yield* Fiber.join(fiber)]).toEqual([index, ["ok", "BrokenPipe", "ConnectionReset"][index % 3]])
        }
        for (const index of [0, 3, 6]) expect(all[index]!.peer.read().toString()).toBe("hello")
        expect(calls.count).toBeGreaterThan(1)
        expect(yield* waiters).toBe(0)
      })
    )
  )
})

/** Reads what is there without waiting, as text. */
const tryReadOnce = (connection: Tcp.TcpStream) =>
  Effect.suspend(() => {
    const buffer = Buffer.alloc(64)
    return Effect.map(
      connection.tryRead(buffer),
      Option.map((count) => buffer.toString("utf8", 0, count))
    )
  })

/** Makes connections ready in one batch, and runs something when the first fiber is resumed. */
const withFirst = <A>(
  count: number,
  act: (
    all: ReadonlyArray<Connected>,
    others: ReadonlyArray<Fiber.Fiber<string, unknown>>
  ) => Effect.Effect<A, unknown, never>
) =>
  Effect.gen(function* () {
    const all = yield* manyConnected(count)
    const fibers: Array<Fiber.Fiber<string, unknown>> = []
    const acting = yield* startAll(all.slice(0, 1), ({ connection }) =>
      Effect.flatMap(readOnce(connection), () => act(all, fibers))
    )
    fibers.push(...(yield* startAll(all.slice(1), ({ connection }) => readOnce(connection))))
    for (const [index, { peer }] of all.entries()) peer.write(`message ${index}`)
    return { all, fibers, result: yield* Fiber.join(acting[0]!) }
  })

describeBatched("what the first fiber of a batch does to the others", () => {
  it.live("promise 13: if it interrupts them, what was read for them is there for the next fiber", () =>
    run(
      Effect.fnUntraced(function* (calls) {
        const { all, fibers } = yield* withFirst(20, (_, others) => Fiber.interruptAll(others))
        expect(calls.count).toBe(1)
        expect(yield* waiters).toBe(0)
        for (const fiber of fibers) expect(Exit.isFailure(yield* Fiber.await(fiber))).toBe(true)
        for (const [index, { connection, peer }] of all.entries()) {
          if (index === 0) continue
          peer.write("!")
          expect(yield* readText(connection, `message ${index}!`.length)).toBe(`message ${index}!`)
        }
      })
    )
  )

  it.live("if it interrupts them, their connections cannot be given away until that is read", () =>
    run(
      Effect.fnUntraced(function* () {
        const { all } = yield* withFirst(5, (_, others) => Fiber.interruptAll(others))
        for (const [index, { connection, peer }] of all.entries()) {
          if (index === 0) continue
          expect(yield* reasonOf(connection.take)).toBe("InvalidArgument")
          expect(yield* readOnce(connection, 3)).toBe("mes")
          expect(yield* reasonOf(connection.take)).toBe("InvalidArgument")
          expect(yield* readText(connection, `sage ${index}`.length)).toBe(`sage ${index}`)
          const fd = yield* connection.take
          expect(yield* reasonOf(readOnce(connection))).toBe("Closed")
          peer.write("more")
          expect(yield* readOnce(yield* Tcp.fromFd(fd))).toBe("more")
        }
      })
    )
  )

  it.live("bytes beyond the caller's buffer stay in the kernel, and go with a connection that is given away", () =>
    run((calls) =>
      Effect.gen(function* () {
        const all = yield* manyConnected(5)
        const fibers = yield* startAll(all, ({ connection }) => readOnce(connection, 3))
        for (const { peer } of all) peer.write("message")
        expect(yield* joinAll(fibers)).toEqual(Array(5).fill("mes"))
        expect(calls.count).toBe(1)
        for (const { connection } of all) {
          expect(yield* readText(yield* Tcp.fromFd(yield* connection.take), 4)).toBe("sage")
        }
      })
    )
  )

  it.live("if it interrupts them, what was read for them is still there after another batch", () =>
    run(
      Effect.fnUntraced(function* () {
        const { all } = yield* withFirst(5, (_, others) => Fiber.interruptAll(others))
        const later = yield* manyConnected(5)
        const fibers = yield* startAll(later, ({ connection }) => readOnce(connection))
        for (const { peer } of later) peer.write("of another batch")
        expect(yield* joinAll(fibers)).toEqual(Array(5).fill("of another batch"))
        for (const [index, { connection }] of all.entries()) {
          if (index > 0) expect(yield* readOnce(connection)).toBe(`message ${index}`)
        }
      })
    )
  )

  it.live("if it interrupts them, what was read for them is there even if its readiness is cleared", () =>
    run(
      Effect.fnUntraced(function* () {
        const { all } = yield* withFirst(5, (_, others) => Fiber.interruptAll(others))
        yield* turn
        for (const [index, { connection }] of all.entries()) {
          if (index === 0) continue
          yield* (yield* connection.readable).clear
          expect(yield* atOnce(readOnce(connection))).toBe(`message ${index}`)
        }
      })
    )
  )

  it.live("it may interrupt them, and read itself what was read for them", () =>
    run(
      Effect.fnUntraced(function* () {
        const { result } = yield* withFirst(20, (all, others) =>
          Effect.andThen(
            Fiber.interruptAll(others),
            Effect.forEach(all.slice(1), ({ connection }) => readOnce(connection))
          )
        )
        expect(result).toEqual(Array.from({ length: 19 }, (_, i) => `message ${i + 1}`))
        expect(yield* waiters).toBe(0)
      })
    )
  )

  it.live("it may interrupt them, and take without waiting what was read for them", () =>
    run(
      Effect.fnUntraced(function* () {
        const { result } = yield* withFirst(20, (all, others) =>
          Effect.andThen(
            Fiber.interruptAll(others),
            Effect.forEach(all.slice(1), ({ connection }) => tryReadOnce(connection))
          )
        )
        expect(result).toEqual(Array.from({ length: 19 }, (_, i) => Option.some(`message ${i + 1}`)))
        expect(yield* waiters).toBe(0)
      })
    )
  )

  it.live("it takes nothing that was read for a fiber that still waits", () =>
    run(
      Effect.fnUntraced(function* () {
        const { fibers, result } = yield* withFirst(5, (all) =>
          Effect.forEach(all.slice(1), ({ connection }) => tryReadOnce(connection))
        )
        expect(result).toEqual(Array(4).fill(Option.none()))
        expect(yield* joinAll(fibers)).toEqual(Array.from({ length: 4 }, (_, i) => `message ${i + 1}`))
        expect(yield* waiters).toBe(0)
      })
    )
  )

  it.live("if it interrupts one of two that read the same connection, the other gets the bytes", () =>
    run(
      Effect.fnUntraced(function* () {
        const [first, second] = (yield* manyConnected(2)) as [Connected, Connected]
        const reader = yield* startAll([second], ({ connection }) => readOnce(connection))
        const other = yield* startAll([second], ({ connection }) => readOnce(connection))
        const acting = yield* startAll([first], ({ connection }) =>
          Effect.andThen(readOnce(connection), Fiber.interrupt(reader[0]!))
        )
        first.peer.write("go")
        second.peer.write("for the other")
        yield* joinAll(acting)
        expect(yield* Fiber.join(other[0]!)).toBe("for the other")
        expect(yield* waiters).toBe(0)
      })
    )
  )

  it.live("promise 8: if it closes their connections, they fail with Closed", () =>
    run(
      Effect.fnUntraced(function* (calls) {
        const outcomes: Array<string> = []
        const all = yield* manyConnected(20)
        const acting = yield* startAll(all.slice(0, 1), ({ connection }) =>
          Effect.andThen(
            readOnce(connection),
            Effect.forEach(all.slice(1), ({ connection }) => connection.close)
          )
        )
        const fibers = yield* startAll(all.slice(1), ({ connection }) => outcomeOf(readOnce(connection)))
        for (const { peer } of all) peer.write("hello")
        yield* joinAll(acting)
        for (const fiber of fibers) outcomes.push(yield* Fiber.join(fiber))
        expect(new Set(outcomes)).toEqual(new Set(["Closed"]))
        expect(calls.count).toBe(1)
        for (const { connection } of all.slice(1)) {
          expect(yield* reasonOf(readOnce(connection))).toBe("Closed")
          expect(yield* reasonOf(connection.take)).toBe("Closed")
        }
        expect(yield* waiters).toBe(0)
      })
    )
  )

  it.live("if it closes their connections, and the numbers are reused at once, nothing is mixed up", () =>
    run(
      Effect.fnUntraced(function* () {
        const all = yield* manyConnected(20)
        const numbers = new Set(all.map(({ connection }) => connection.fd))
        const fresh: Array<Connected> = []
        const acting = yield* startAll(all.slice(0, 1), ({ connection }) =>
          Effect.gen(function* () {
            yield* readOnce(connection)
            for (const { connection } of all.slice(1)) yield* connection.close
            for (const one of yield* manyConnected(19)) {
              fresh.push(one)
              one.peer.write(`fresh ${fresh.length}`)
            }
            // Nothing may be read or written under a number for its previous owner.
            return yield* Effect.forEach(fresh, ({ connection }) => readOnce(connection))
          })
        )
        const fibers = yield* startAll(all.slice(1), ({ connection }) => outcomeOf(readOnce(connection)))
        for (const { peer } of all) peer.write("stale")
        const [read] = yield* joinAll(acting)
        expect(read).toEqual(fresh.map((_, index) => `fresh ${index + 1}`))
        expect(fresh.some(({ connection }) => numbers.has(connection.fd))).toBe(true)
        for (const fiber of fibers) expect(yield* Fiber.join(fiber)).toBe("Closed")
        for (const { connection, peer } of fresh) {
          peer.write("next")
          expect(yield* readOnce(connection)).toBe("next")
          expect(isEmpty(peer.fd)).toBe(true)
        }
      })
    )
  )

  it.live("it closes a connection with a batched write: nothing of it goes to a reused number", () =>
    run(
      Effect.fnUntraced(function* (calls) {
        const all = (yield* manyConnected(3)) as [Connected, Connected, Connected]
        const [writer, closer] = all
        const writing = yield* startAll([writer], ({ connection }) =>
          Effect.andThen(readOnce(connection), outcomeOf(connection.writeAll(bytesOf("reply"))))
        )
        const number = writer.connection.fd
        let fresh: readonly [number, number] | undefined
        const closing = yield* startAll([closer], ({ connection }) =>
          Effect.gen(function* () {
            yield* readOnce(connection)
            yield* writer.connection.close
            fresh = yield* scopedFds(Kernel.socketPair)
          })
        )
        for (const { peer } of all) peer.write("go")
        yield* timeless(joinAll(closing))
        expect(yield* Fiber.join(writing[0]!)).toBe("ok")
        expect(fresh).toContain(number)
        for (const fd of fresh!) expect(isEmpty(fd)).toBe(true)
        expect(writer.peer.read().toString()).toBe("reply")
        expect(calls.count).toBe(1)
        expect(yield* waiters).toBe(0)
      })
    )
  )

  it.live("it may give connections away: the fiber that bytes were read for gets them first, and the next none", () =>
    run(
      Effect.fnUntraced(function* () {
        let later: ReadonlyArray<Fiber.Fiber<string>> = []
        const { all, fibers, result } = yield* withFirst(5, (all) =>
          Effect.gen(function* () {
            later = yield* Effect.forEach(all.slice(1), ({ connection }) =>
              Effect.forkDetach(outcomeOf(readOnce(connection)), { startImmediately: true })
            )
            return yield* Effect.forEach(all.slice(1), ({ connection }) => connection.take)
          })
        )
        expect(yield* joinAll(fibers)).toEqual(Array.from({ length: 4 }, (_, i) => `message ${i + 1}`))
        expect(yield* joinAll(later)).toEqual(Array(4).fill("Closed"))
        for (const [index, fd] of result.entries()) {
          all[index + 1]!.peer.write("more")
          expect(yield* readOnce(yield* Tcp.fromFd(fd))).toBe("more")
        }
        expect(yield* waiters).toBe(0)
      })
    )
  )

  it.live(
    "it finds a connection closed if the fiber that bytes were read for closes it before it can be given away",
    () =>
      run(
        Effect.fnUntraced(function* () {
          const [first, second] = (yield* manyConnected(2)) as [Connected, Connected]
          const closing = yield* startAll([second], ({ connection }) =>
            Effect.tap(readOnce(connection), () => connection.close)
          )
          const taking = yield* startAll([first], ({ connection }) =>
            Effect.andThen(readOnce(connection), outcomeOf(second.connection.take))
          )
          first.peer.write("first")
          second.peer.write("second")
          expect(yield* joinAll(taking)).toEqual(["Closed"])
          expect(yield* joinAll(closing)).toEqual(["second"])
        })
      )
  )

  it.live("an end or an error that was read for no fiber survives giving the connection away", () =>
    run(
      Effect.fnUntraced(function* (calls) {
        const all = (yield* manyConnected(3)) as [Connected, Connected, Connected]
        const [first, ended, reset] = all
        calls.before = () => {
          calls.before = () => {}
          for (const { connection } of [ended, reset]) Kernel.drain(connection.fd)
          ended.peer.end()
          reset.peer.reset()
        }
        const fibers = yield* startAll([ended, reset], ({ connection }) => readOnce(connection))
        const acting = yield* startAll([first], ({ connection }) =>
          Effect.andThen(readOnce(connection), Fiber.interruptAll(fibers))
        )
        for (const { peer } of all) peer.write("hello")
        yield* joinAll(acting)
        expect(yield* readOnce(yield* Tcp.fromFd(yield* ended.connection.take))).toBe("")
        const outcome = yield* Effect.match(reset.connection.take, {
          onFailure: ({ reason }) => Effect.succeed(reason._tag),
          onSuccess: (fd) => Effect.flatMap(Tcp.fromFd(fd), (connection) => outcomeOf(readOnce(connection)))
        }).pipe(Effect.flatten)
        // It is refused, or its new owner gets the error: not "ok", which would be an orderly end.
        expect(["InvalidArgument", "ConnectionReset"]).toContain(outcome)
      })
    )
  )

  it.live("promise 8: it closes the poller: reports are read, and unmade writes fail with Closed", () =>
    leavesNothing(
      Effect.gen(function* () {
        yield* observeCalls
        const opened = yield* open(Poller.layerEventLoop())
        const outcomes = yield* Effect.gen(function* () {
          const all = yield* manyConnected(20)
          const writing = yield* startAll(all.slice(0, 5), ({ connection }) =>
            outcomeOf(Effect.andThen(readOnce(connection), connection.writeAll(bytesOf("reply"))))
          )
          const closing = yield* startAll(all.slice(5, 6), ({ connection }) =>
            Effect.andThen(readOnce(connection), opened.close)
          )
          const reading = yield* startAll(all.slice(6), ({ connection }) => outcomeOf(readOnce(connection)))
          for (const { peer } of all) peer.write("hello")
          yield* timeless(joinAll(closing))
          const written = yield* joinAll(writing)
          for (const [index, outcome] of written.entries()) {
            expect(all[index]!.peer.read().toString()).toBe(outcome === "ok" ? "reply" : "")
          }
          return { written, read: yield* joinAll(reading) }
        }).pipe(
          Effect.scoped,
          Effect.provideService(Poller.Poller, opened.poller),
          Effect.provideService(Registrar.Registrar, opened.registrar)
        )
        expect(new Set(outcomes.written)).toEqual(new Set(["Closed"]))
        expect(new Set(outcomes.read)).toEqual(new Set(["ok"]))
      }).pipe(Effect.scoped)
    )
  )

  it.live("the process survives closing the poller after a batched write was made, with another one in it", () =>
    Effect.gen(function* () {
      const program = yield* startProcess("batchClosing")
      expect(yield* program.ended).toEqual({ code: 0, signal: null })
      expect(program.output()).toBe("")
    }).pipe(Effect.scoped)
  )
})
