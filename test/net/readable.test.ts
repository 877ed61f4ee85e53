/** `readable` and `writable` of connections, for a C library that reads and writes by itself. */
import { expect, it } from "@effect/vitest"
import { Effect, Fiber, Option, type Scope } from "effect"
import { type Poller, type PollerError, type Registrar, Tcp, Unix } from "effect-amy"
import * as Kernel from "../support/kernel.ts"
import { readyNow } from "../support/layers.ts"
import { describeEveryLayer } from "../support/observe.ts"
import { outcome } from "../support/opened.ts"
import { begin, expectWaiting, waiters } from "../support/waiting.ts"

type Connection = Tcp.TcpStream | Unix.UnixStream
type Needs = Poller.Poller | Registrar.Registrar | Scope.Scope
type Pair = Effect.Effect<readonly [Connection, Connection], PollerError.PollerError, Needs>

const pairs: { readonly [name: string]: Pair } = {
  TcpStream: Effect.gen(function* () {
    const listener = yield* Tcp.listen("127.0.0.1:0")
    const client = yield* Tcp.connect(listener.address)
    return [client, yield* listener.accept] as const
  }),
  UnixStream: Unix.socketPair
}

const bytes = (text: string) => new TextEncoder().encode(text)

for (const [name, pair] of Object.entries(pairs)) {
  describeEveryLayer(`${name}, read by a C library`, (layer) => {
    const live = (what: string, body: () => Effect.Effect<void, unknown, Needs>) =>
      it.live(what, () => body().pipe(Effect.scoped, Effect.provide(layer())))

    live("readable returns when there is something to read, and again until that is cleared", () =>
      Effect.gen(function* () {
        const [near, far] = yield* pair
        for (const text of ["one", "two"]) {
          const fibers = yield* Effect.all([begin(near.readable), begin(near.readable)])
          yield* expectWaiting(...fibers)
          yield* far.writeAll(bytes(text))
          const [ready] = yield* Fiber.joinAll(fibers)
          expect([ready!.readClosed, ready!.error]).toEqual([false, false])
          yield* near.readable
          Kernel.drain(near.fd)
          // The call of the library says that it would block.
          yield* (yield* near.readable).clear
        }
        const waiting = yield* begin(near.readable)
        yield* expectWaiting(waiting)
        yield* far.shutdown("write")
        expect((yield* Fiber.join(waiting)).readClosed).toBe(true)
        expect(yield* waiters).toBe(0)
      })
    )

    live("writable returns when there is room", () =>
      Effect.gen(function* () {
        const [near, far] = yield* pair
        yield* near.writable
        expect(Kernel.fill(near.fd)).toBeGreaterThan(0)
        yield* readyNow
        // It is remembered that there was room, until the library's call says that it would block.
        yield* (yield* near.writable).clear
        const waiting = yield* begin(near.writable)
        yield* expectWaiting(waiting)
        while (waiting.pollUnsafe() === undefined) {
          Kernel.drain(far.fd)
          yield* readyNow
        }
        expect((yield* Fiber.join(waiting)).writeClosed).toBe(false)
      })
    )

    live("reading by the library and by the program go together, in turn", () =>
      Effect.gen(function* () {
        const [near, far] = yield* pair
        const buffer = new Uint8Array(8)
        yield* far.writeAll(bytes("hello"))
        yield* near.readable
        expect(yield* near.read(buffer)).toBe(5)
        expect(yield* near.tryRead(buffer)).toEqual(Option.none())
        const waiting = yield* begin(near.readable)
        yield* expectWaiting(waiting)
        yield* far.writeAll(bytes("you"))
        yield* Fiber.join(waiting)
        expect(yield* near.read(buffer)).toBe(3)
      })
    )

    live("an interruption leaves nothing behind, and the end of the connection fails the wait with Closed", () =>
      Effect.gen(function* () {
        const [near, far] = yield* pair
        const interrupted = yield* begin(near.readable)
        yield* expectWaiting(interrupted)
        yield* Fiber.interrupt(interrupted)
        expect(yield* waiters).toBe(0)
        const waiting = yield* begin(outcome(near.readable))
        yield* expectWaiting(waiting)
        yield* near.close
        expect(yield* Fiber.join(waiting)).toBe("Closed")
        expect([yield* outcome(near.readable), yield* outcome(near.writable)]).toEqual(["Closed", "Closed"])
        yield* far.close
      })
    )
  })
}
