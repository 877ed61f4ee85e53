/**
 * Owned descriptors are closed once. A number that was closed is not touched, as it may have been
 * reused.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import { Fd, type PollerError } from "effect-amy"
import { closeSync, openSync } from "node:fs"
import * as Kernel from "../support/kernel.ts"
import { outcome } from "../support/opened.ts"
import { count, fifo, leavesNothing } from "../support/owned.ts"
import { scopedFds } from "../support/watched.ts"

type Call = (fd: Fd.Fd) => Effect.Effect<unknown, PollerError.PollerError, Scope.Scope>

/** Every method of a descriptor. None may do anything once it is closed. */
const calls: { readonly [name: string]: Call } = {
  read: (fd) => fd.tryRead(new Uint8Array(8)),
  write: (fd) => fd.tryWrite(count(1n)),
  readv: (fd) => fd.tryReadv([new Uint8Array(8)]),
  writev: (fd) => fd.tryWritev([count(1n)]),
  setNonblocking: (fd) => fd.setNonblocking(false),
  dup: (fd) => fd.dup,
  close: (fd) => fd.close,
  take: (fd) => fd.take
}

describe("Fd: closed exactly once, and never used afterwards", () => {
  /** The ways to end a descriptor. Each returns once the number is free, or given away. */
  const ends: { readonly [name: string]: (fd: Fd.Fd, scope: Scope.Closeable) => Effect.Effect<unknown, unknown> } = {
    close: (fd) => fd.close,
    "the end of its scope": (_, scope) => Scope.close(scope, Exit.void),
    take: (fd) => Effect.map(fd.take, Kernel.close)
  }
  for (const [name, end] of Object.entries(ends)) {
    it.live(`after ${name}: every method fails with Closed, and a reused number is not touched`, () =>
      leavesNothing(
        Effect.gen(function* () {
          const scope = yield* Scope.make()
          const owned = yield* Effect.provideService(Fd.eventfd(), Scope.Scope, scope)
          const number = owned.fd
          // Made before the end, and run after it.
          const prepared = Object.entries(calls).map(([call, make]) => [call, make(owned)] as const)
          yield* end(owned, scope)
          expect(owned.fd).toBe(-1)
          const [mine] = yield* scopedFds(() => [Kernel.source()] as const)
          if (mine !== number) Kernel.dup2(mine, number)
          yield* Effect.addFinalizer(() => Effect.sync(() => Kernel.isOpen(number) && Kernel.close(number)))
          Kernel.signal(number)
          for (const [call, make] of Object.entries(calls)) {
            expect([call, yield* outcome(make(owned))]).toEqual([call, "Closed"])
          }
          for (const [call, effect] of prepared) expect([call, yield* outcome(effect)]).toEqual([call, "Closed"])
          yield* Scope.close(scope, Exit.void)
          expect(Kernel.isOpen(number)).toBe(true)
          expect(Kernel.isNonblocking(number)).toBe(true)
          // It was neither read nor written: the count would be gone, or more than 1.
          const buffer = new BigUint64Array(1)
          yield* (yield* Fd.own(Kernel.dup(number))).tryRead(new Uint8Array(buffer.buffer))
          expect(buffer[0]).toBe(1n)
        })
      )
    )
  }

  it.live("take gives the number away, and it stays open after the scope", () =>
    leavesNothing(
      Effect.gen(function* () {
        const number = yield* Effect.scoped(
          Effect.gen(function* () {
            const owned = yield* Fd.eventfd(1)
            return yield* owned.take
          })
        )
        expect(Kernel.isOpen(number)).toBe(true)
        yield* Effect.scoped(Fd.own(number))
        expect(Kernel.isOpen(number)).toBe(false)
      })
    )
  )

  it.live("the scope of a pipe closes both ends, but not one that was closed before", () =>
    leavesNothing(
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const { reader, writer } = yield* Effect.provideService(Fd.pipe, Scope.Scope, scope)
        const number = reader.fd
        const other = writer.fd
        yield* reader.close
        const mine = openSync("/dev/null", "r")
        if (mine !== number) Kernel.dup2(mine, number)
        yield* Scope.close(scope, Exit.void)
        expect(Kernel.isOpen(number)).toBe(true)
        expect(Kernel.isOpen(other)).toBe(false)
        expect(writer.fd).toBe(-1)
        closeSync(number)
        if (mine !== number) closeSync(mine)
      })
    )
  )

  it.live("a program that fails, dies or is interrupted leaves no descriptor open", () =>
    leavesNothing(
      Effect.gen(function* () {
        const path = yield* fifo
        const many = Effect.gen(function* () {
          const { reader } = yield* Fd.pipe
          yield* reader.dup
          yield* Fd.eventfd()
          yield* Fd.open(path, "both")
          yield* Fd.own(openSync("/dev/null", "r"))
        })
        const before = Kernel.openDescriptors()
        yield* Effect.exit(Effect.scoped(Effect.andThen(many, Effect.fail("no"))))
        expect(Kernel.openDescriptors()).toEqual(before)
        yield* Effect.exit(Effect.scoped(Effect.andThen(many, Effect.die("no"))))
        expect(Kernel.openDescriptors()).toEqual(before)
        const fiber = yield* Effect.forkChild(Effect.scoped(Effect.andThen(many, Effect.never)), {
          startImmediately: true
        })
        expect(Kernel.openDescriptors().size).toBeGreaterThanOrEqual(before.size + 6)
        yield* Fiber.interrupt(fiber)
        expect(Kernel.openDescriptors()).toEqual(before)
      })
    )
  )
})
