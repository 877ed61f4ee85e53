/**
 * A fiber that fails because a descriptor was closed may close it again, and open one that reuses
 * its number.
 */
import { expect, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, type Scope } from "effect"
import { Fd, type Poller, type PollerError, type Registrar, Tcp, Udp, Unix } from "effect-amy"
import * as Kernel from "../support/kernel.ts"
import { describeLayers } from "../support/layers.ts"
import { outcomeOf, reasonOf } from "../support/outcome.ts"
import { beginWaiting, scopedFds } from "../support/watched.ts"

type Needs = Poller.Poller | Registrar.Registrar | Scope.Scope
type Failing = Effect.Effect<unknown, PollerError.PollerError, Scope.Scope>

interface Closable {
  readonly fd: number
  readonly close: Effect.Effect<void, PollerError.PollerError>
  readonly take?: Effect.Effect<number, PollerError.PollerError>
}

/** Something that can be closed, and an effect that waits for it. */
interface Case {
  readonly open: Effect.Effect<{ readonly it: Closable; readonly wait: Failing }, PollerError.PollerError, Needs>
}

const buffer = new Uint8Array(8)

/** Opens a pair. The second end is closed at the end; the first is given away. */
const scopedPair = (make: () => readonly [number, number]) =>
  Effect.tap(Effect.sync(make), ([, far]) => scopedFds(() => [far]))

const cases: { readonly [name: string]: Case } = {
  "a Tcp connection that is read": {
    open: Effect.gen(function* () {
      const [fd] = yield* scopedPair(Kernel.tcpPair)
      const it = yield* Tcp.fromFd(fd)
      return { it, wait: it.read(buffer) }
    })
  },
  "a Tcp connection that is written": {
    open: Effect.gen(function* () {
      const [fd] = yield* scopedPair(Kernel.tcpPair)
      const it = yield* Tcp.fromFd(fd)
      Kernel.fill(fd)
      return { it, wait: it.writeAll(new Uint8Array(1 << 20)) }
    })
  },
  "a Unix connection": {
    open: Effect.gen(function* () {
      const [it] = yield* Unix.socketPair
      return { it, wait: it.receiveDescriptors(buffer, 1) }
    })
  },
  "a Tcp listener": {
    open: Effect.map(Tcp.listen("127.0.0.1:0"), (it) => ({ it, wait: it.accept }))
  },
  "a Udp socket": {
    open: Effect.map(Udp.bind("127.0.0.1:0"), (it) => ({ it, wait: it.receive }))
  }
}

describeLayers("promise 17: a descriptor is closed once", (layer) => {
  for (const [name, { open }] of Object.entries(cases)) {
    it.live(`${name}: a waiting fiber closes it again, and opens another descriptor`, () =>
      Effect.gen(function* () {
        const { it, wait } = yield* open
        const number = it.fd
        // Takes the lower numbers that are free: they would be used first.
        while ((yield* Fd.eventfd()).fd < number);
        const outcomes: Array<string> = []
        let other = -1
        const waiting = yield* beginWaiting(
          Effect.gen(function* () {
            outcomes.push(yield* reasonOf(wait))
            outcomes.push(yield* outcomeOf(it.close))
            other = (yield* Fd.eventfd()).fd
          })
        )
        outcomes.push(yield* outcomeOf(it.close))
        yield* Fiber.join(waiting)
        expect(outcomes.toSorted()).toEqual(["Closed", "Closed", "ok"])
        expect([other, Kernel.isOpen(other)]).toEqual([number, true])
      }).pipe(Effect.scoped, Effect.provide(layer()))
    )

    it.live(`${name}: a waiting fiber is resumed after the descriptor is closed, and not before`, () =>
      Effect.gen(function* () {
        const { it, wait } = yield* open
        const { fd } = it
        const wasOpen = yield* Deferred.make<boolean>()
        const waiting = yield* beginWaiting(
          Effect.andThen(
            Effect.flip(wait),
            Effect.suspend(() => Deferred.succeed(wasOpen, Kernel.isOpen(fd)))
          )
        )
        yield* it.close
        yield* Fiber.join(waiting)
        expect(yield* Deferred.await(wasOpen)).toBe(false)
      }).pipe(Effect.scoped, Effect.provide(layer()))
    )
  }

  for (const name of ["a Tcp connection that is read", "a Unix connection", "a Udp socket"] as const) {
    it.live(`${name}: a descriptor is given away once`, () =>
      Effect.gen(function* () {
        const { it, wait } = yield* cases[name]!.open
        const number = it.fd
        const second = yield* beginWaiting(Effect.andThen(Effect.flip(wait), reasonOf(it.take!)))
        const taken = yield* it.take!
        expect(taken).toBe(number)
        expect(yield* Fiber.join(second)).toBe("Closed")
        expect(Kernel.isOpen(taken)).toBe(true)
        Kernel.close(taken)
      }).pipe(Effect.scoped, Effect.provide(layer()))
    )
  }

  it.live("a listener's address is free when a fiber that accepts is resumed", () =>
    Effect.gen(function* () {
      const listener = yield* Tcp.listen("127.0.0.1:0")
      const { address } = listener
      const next = yield* beginWaiting(Effect.catch(listener.accept, () => Tcp.listen(address)))
      yield* listener.close
      expect(yield* Effect.map(Fiber.join(next), ({ fd }) => fd > 0)).toBe(true)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )
})
