/**
 * The public types of `ForeignFd` and `Syscall`. The compiler checks this file; little of it is
 * checked at run time.
 */
import { describe, expect, expectTypeOf, it } from "@effect/vitest"
import { type Duration, Effect, type Inspectable, type Option, type Scope } from "effect"
import { type Event, ForeignFd, type PollerError, type Registrar, Syscall } from "effect-amy"
import { same, type Same } from "../support/types.ts"

type Failure = PollerError.PollerError
type Ready<Key> = ReadonlyArray<ForeignFd.KeyedReadyFd<Key>>

const waits = (foreign: ForeignFd.ForeignFd) => ({
  plain: foreign.wait("Read"),
  untimed: foreign.wait("Both", {}),
  timed: foreign.wait("Write", { timeout: "1 second" }),
  given: foreign.wait("Read", {} as ForeignFd.WaitOptions)
})

describe("ForeignFd", () => {
  it("has a number, waits, and a refresh", () => {
    same<
      Same<
        Omit<ForeignFd.ForeignFd, "wait" | keyof Inspectable.Inspectable>,
        {
          readonly "~effect-amy/ForeignFd": "~effect-amy/ForeignFd"
          readonly fd: number
          readonly refresh: Effect.Effect<void>
        }
      >
    >(true)
    same<Same<ForeignFd.WaitOptions, { readonly timeout?: Duration.Input | undefined }>>(true)
    same<Same<ForeignFd.ReadyFd, { readonly fd: number; readonly event: Event.Event }>>(true)
    expectTypeOf<ForeignFd.ForeignFd>().toExtend<Inspectable.Inspectable>()
    expectTypeOf<ForeignFd.ForeignFd>().toExtend<Registrar.FdLike>()
    expectTypeOf(ForeignFd.isForeignFd).guards.toEqualTypeOf<ForeignFd.ForeignFd>()
  })

  it("returns an event from a wait, and an option from one with a timeout", () => {
    expectTypeOf(waits).returns.toEqualTypeOf<{
      plain: Effect.Effect<Event.Event, Failure>
      untimed: Effect.Effect<Event.Event, Failure>
      timed: Effect.Effect<Option.Option<Event.Event>, Failure>
      given: Effect.Effect<Event.Event | Option.Option<Event.Event>, Failure>
    }>()
    const wrong: Parameters<ForeignFd.ForeignFd["wait"]> = [
      // @ts-expect-error there is no such event
      "both"
    ]
    expect([waits, wrong]).toHaveLength(2)
  })

  it("is made in a scope, with a Registrar, from a number, an object that has one, or a function", () => {
    expectTypeOf(ForeignFd.make).toEqualTypeOf<
      (
        fd: Registrar.FdLike | (() => number)
      ) => Effect.Effect<ForeignFd.ForeignFd, Failure, Registrar.Registrar | Scope.Scope>
    >()
    expect(Object.keys(ForeignFd).toSorted()).toEqual([
      "done",
      "drive",
      "isForeignFd",
      "isForeignFdDriver",
      "isForeignFdSet",
      "make",
      "makeDriver",
      "makeKeyedSet",
      "makeSet",
      "timeUntil",
      "waitFor",
      "waitForAny"
    ])
  })

  it("drives steps, and keeps their result, errors and services", () => {
    type Step = Effect.Effect<ForeignFd.Step<Date>, "mine", { readonly mine: true }>
    const drive = (step: Step) => ForeignFd.drive(() => step)
    expectTypeOf(drive).returns.toEqualTypeOf<
      Effect.Effect<Date, "mine" | Failure, { readonly mine: true } | Registrar.Registrar>
    >()
    // Without an annotation, a step may end in one way or another.
    const inferred = ForeignFd.drive((ready) =>
      Effect.sync(() => (ready.length > 0 ? ForeignFd.done(new Date()) : ForeignFd.waitFor(0, "Read")))
    )
    expectTypeOf(inferred).toEqualTypeOf<Effect.Effect<Date, Failure, Registrar.Registrar>>()
    expect(drive).toBeDefined()
  })
})

describe("ForeignFdDriver", () => {
  it("runs steps, and has a plain wake", () => {
    same<
      Same<
        Omit<ForeignFd.ForeignFdDriver<Date, "mine", { readonly mine: true }>, keyof Inspectable.Inspectable>,
        {
          readonly "~effect-amy/ForeignFdDriver": "~effect-amy/ForeignFdDriver"
          readonly run: Effect.Effect<Date, "mine" | Failure, { readonly mine: true } | Registrar.Registrar>
          readonly wake: () => void
        }
      >
    >(true)
    const inferred = ForeignFd.makeDriver(() => Effect.succeed(ForeignFd.done(1)))
    expectTypeOf(inferred).toEqualTypeOf<Effect.Effect<ForeignFd.ForeignFdDriver<number>>>()
    expectTypeOf(ForeignFd.isForeignFdDriver).guards.toEqualTypeOf<
      ForeignFd.ForeignFdDriver<unknown, unknown, unknown>
    >()
    expectTypeOf(ForeignFd.timeUntil).toEqualTypeOf<(micros: number | bigint) => number | undefined>()
  })
})

/** Without keys, there is no third argument; with keys, it must be there. */
const updates = (plain: ForeignFd.ForeignFdSet, keyed: ForeignFd.ForeignFdSet<Date>) => {
  plain.update(0, "Read")
  keyed.update(0, "Read", new Date())
  // @ts-expect-error a key is missing
  keyed.update(0, "Read")
}

describe("ForeignFdSet", () => {
  it("has plain updates, and one wait", () => {
    same<
      Same<
        Omit<ForeignFd.ForeignFdSet<Date>, keyof Inspectable.Inspectable>,
        {
          readonly "~effect-amy/ForeignFdSet": "~effect-amy/ForeignFdSet"
          readonly size: number
          readonly update: (fd: number, event: Event.Event | "None", key: Date) => void
          readonly updateTimeout: (timeout: Duration.Input | undefined) => void
          readonly wait: (options?: ForeignFd.WaitOptions) => Effect.Effect<Ready<Date>, Failure>
        }
      >
    >(true)
    expectTypeOf(ForeignFd.makeSet).toEqualTypeOf<
      Effect.Effect<ForeignFd.ForeignFdSet, Failure, Registrar.Registrar | Scope.Scope>
    >()
    expectTypeOf(ForeignFd.makeKeyedSet<Date>).returns.toEqualTypeOf<
      Effect.Effect<ForeignFd.ForeignFdSet<Date>, Failure, Registrar.Registrar | Scope.Scope>
    >()
    expectTypeOf<ForeignFd.KeyedReadyFd<Date>>().toExtend<ForeignFd.ReadyFd & { readonly key: Date }>()
    expect(updates).toBeDefined()
    expectTypeOf(ForeignFd.isForeignFdSet).guards.toEqualTypeOf<ForeignFd.ForeignFdSet>()
  })
})

describe("Syscall", () => {
  it("keeps the result of a call", () => {
    expectTypeOf(Syscall.call("getpid", () => 1n)).toEqualTypeOf<Effect.Effect<bigint, Failure>>()
    expectTypeOf(Syscall.unlessBlocked("read", () => 1, { fd: 0, hasFailed: (count) => count < 0 })).toEqualTypeOf<
      Effect.Effect<Option.Option<number>, Failure>
    >()
    same<
      Same<
        Syscall.CallOptions<Date>,
        {
          readonly fd?: number | undefined
          readonly address?: string | undefined
          readonly hasFailed?: ((result: Date) => boolean) | undefined
        }
      >
    >(true)
    expect(Object.keys(Syscall).toSorted()).toEqual(["call", "unlessBlocked"])
  })
})
