/** `tryRead` and `tryWrite` of connections: one call at most, which never waits. */
import { expect, it } from "@effect/vitest"
import { Effect, Fiber, Option, type Scope } from "effect"
import { type Poller, type PollerError, type Registrar, Tcp, Unix } from "effect-amy"
import { describeLayers, readyNow } from "../support/layers.ts"
import { reasonOf } from "../support/outcome.ts"

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

/** Tries until something was reported: a fiber that does not wait has to come back. */
const tryUntilSome = <A, E>(attempt: Effect.Effect<Option.Option<A>, E>) =>
  Effect.gen(function* () {
    for (;;) {
      const result = yield* attempt
      if (Option.isSome(result)) return result.value
      yield* readyNow
      yield* Effect.promise(() => new Promise(setImmediate))
    }
  })

for (const [name, pair] of Object.entries(pairs)) {
  describeLayers(`${name} without waiting`, (layer) => {
    const live = (what: string, body: () => Effect.Effect<void, unknown, Needs>) =>
      it.live(what, () => body().pipe(Effect.scoped, Effect.provide(layer())))

    live("tryRead returns none until bytes arrive, then the bytes, and 0 at the end", () =>
      Effect.gen(function* () {
        const [near, far] = yield* pair
        const buffer = new Uint8Array(8)
        expect(yield* near.tryRead(buffer)).toEqual(Option.none())
        yield* far.writeAll(bytes("hello"))
        expect(yield* tryUntilSome(near.tryRead(buffer, 2, 3))).toBe(3)
        expect(yield* tryUntilSome(near.tryRead(buffer, 5))).toBe(2)
        expect(new TextDecoder().decode(buffer.subarray(2, 7))).toBe("hello")
        yield* far.shutdown("write")
        expect(yield* tryUntilSome(near.tryRead(buffer))).toBe(0)
      })
    )

    live("tryRead takes nothing while another fiber waits to read", () =>
      Effect.gen(function* () {
        const [near, far] = yield* pair
        const buffer = new Uint8Array(8)
        const waiting = yield* Effect.forkScoped(near.read(buffer), { startImmediately: true })
        yield* far.writeAll(bytes("hello"))
        expect(yield* near.tryRead(new Uint8Array(8))).toEqual(Option.none())
        expect(yield* Fiber.join(waiting)).toBe(5)
      })
    )

    live("tryWrite writes as many bytes as fit, and returns none once nothing fits", () =>
      Effect.gen(function* () {
        const [near, far] = yield* pair
        const chunk = new Uint8Array(1 << 20)
        let written = 0
        for (let all = false; !all;) {
          const count = yield* near.tryWrite(chunk)
          if (Option.isSome(count)) written += count.value
          else all = true
        }
        expect(written).toBeGreaterThan(0)
        let read = 0
        while (read < written) read += yield* far.read(chunk)
        expect(yield* tryUntilSome(near.tryWrite(bytes("more")))).toBe(4)
        expect(yield* far.read(chunk)).toBe(4)
      })
    )

    live("tryWrite writes nothing into the bytes of a writeAll that waits", () =>
      Effect.gen(function* () {
        const [near, far] = yield* pair
        const size = 20_000_000
        const writing = yield* Effect.forkScoped(near.writeAll(new Uint8Array(size).fill(1)), {
          startImmediately: true
        })
        expect(yield* near.tryWrite(Uint8Array.of(2))).toEqual(Option.none())
        const buffer = new Uint8Array(1 << 20)
        for (let read = 0; read < size;) {
          const count = yield* far.read(buffer)
          read += count
          expect(buffer.subarray(0, count).every((byte) => byte === 1)).toBe(true)
        }
        yield* Fiber.join(writing)
      })
    )

    live("both fail with InvalidArgument for an invalid part, and with Closed once it is closed", () =>
      Effect.gen(function* () {
        const [near] = yield* pair
        const buffer = new Uint8Array(8)
        expect(yield* reasonOf(near.tryRead(buffer, 9))).toBe("InvalidArgument")
        expect(yield* reasonOf(near.tryRead(new Uint8Array(0)))).toBe("InvalidArgument")
        expect(yield* reasonOf(near.tryWrite(buffer, 0, 9))).toBe("InvalidArgument")
        yield* near.close
        expect(yield* reasonOf(near.tryRead(buffer))).toBe("Closed")
        expect(yield* reasonOf(near.tryWrite(buffer))).toBe("Closed")
      })
    )
  })
}
