/**
 * The public types of `Fd` and `AsyncFd`. The compiler checks this file; little of it is checked at
 * run time.
 */
import { describe, expect, expectTypeOf, it } from "@effect/vitest"
import { Effect, type Inspectable, type Option, type Scope, type Sink, type Stream } from "effect"
import { AsyncFd, type Event, Fd, type PollerError, type Registrar } from "effect-amy"
import { same, type Same } from "../support/types.ts"

type Failure = PollerError.PollerError
type Opening<A> = Effect.Effect<A, Failure, Scope.Scope>
type Transfer = (buffer: Uint8Array, offset?: number, length?: number) => Effect.Effect<Option.Option<number>, Failure>
type Waiting = (buffer: Uint8Array, offset?: number, length?: number) => Effect.Effect<number, Failure>

describe("Fd", () => {
  it("has a number and the calls on it", () => {
    same<
      Same<
        Omit<Fd.Fd, keyof Inspectable.Inspectable>,
        {
          readonly "~effect-amy/Fd": "~effect-amy/Fd"
          readonly fd: number
          readonly tryRead: Transfer
          readonly tryWrite: Transfer
          readonly tryReadv: (buffers: ReadonlyArray<Uint8Array>) => Effect.Effect<Option.Option<number>, Failure>
          readonly tryWritev: (buffers: ReadonlyArray<Uint8Array>) => Effect.Effect<Option.Option<number>, Failure>
          readonly setNonblocking: (nonblocking: boolean) => Effect.Effect<void, Failure>
          readonly dup: Opening<Fd.Fd>
          readonly close: Effect.Effect<void, Failure>
          readonly take: Effect.Effect<number, Failure>
        }
      >
    >(true)
    expectTypeOf<Fd.Fd>().toExtend<Registrar.FdLike>()
  })

  it("prints itself, and has a guard", () => {
    expectTypeOf<Fd.Fd>().toExtend<Inspectable.Inspectable>()
    expectTypeOf(Fd.isFd).guards.toEqualTypeOf<Fd.Fd>()
    // @ts-expect-error an object with the same methods is not one
    const double: Fd.Fd = { ...({} as Omit<Fd.Fd, "~effect-amy/Fd">) }
    expect(double).toBeDefined()
  })

  it("is made in a scope, without a poller", () => {
    expectTypeOf(Fd.own).toEqualTypeOf<(fd: number) => Opening<Fd.Fd>>()
    expectTypeOf(Fd.open).toEqualTypeOf<(path: string, access: "read" | "write" | "both") => Opening<Fd.Fd>>()
    expectTypeOf(Fd.pipe).toEqualTypeOf<Opening<{ readonly reader: Fd.Fd; readonly writer: Fd.Fd }>>()
    expectTypeOf(Fd.eventfd).toEqualTypeOf<(initial?: number) => Opening<Fd.Fd>>()
    expect(Object.keys(Fd).toSorted()).toEqual(["eventfd", "isFd", "open", "own", "pipe", "setNonblocking"])
    // @ts-expect-error there is no other access
    Fd.open("/dev/null", "append")
    // @ts-expect-error it takes over a number
    Fd.own("3")
  })
})

describe("AsyncFd", () => {
  it("has the readiness and the bytes of a descriptor", () => {
    same<
      Same<
        Omit<AsyncFd.AsyncFd, "readWhenReady" | "writeWhenReady" | keyof Inspectable.Inspectable>,
        {
          readonly "~effect-amy/AsyncFd": "~effect-amy/AsyncFd"
          readonly fd: number
          readonly readable: Effect.Effect<AsyncFd.Ready, Failure>
          readonly writable: Effect.Effect<AsyncFd.Ready, Failure>
          readonly priority: Effect.Effect<AsyncFd.Ready, Failure>
          readonly read: Waiting
          readonly tryRead: Transfer
          readonly write: Waiting
          readonly tryWrite: Transfer
          readonly writeAll: (buffer: Uint8Array, offset?: number, length?: number) => Effect.Effect<void, Failure>
          readonly stream: Stream.Stream<Uint8Array, Failure>
          readonly sink: Sink.Sink<void, Uint8Array, never, Failure>
        }
      >
    >(true)
    same<
      Same<
        Omit<AsyncFd.Ready, keyof Inspectable.Inspectable>,
        {
          readonly readClosed: boolean
          readonly writeClosed: boolean
          readonly error: boolean
          readonly clear: Effect.Effect<void>
        }
      >
    >(true)
    expectTypeOf<AsyncFd.AsyncFd>().toExtend<Registrar.FdLike>()
  })

  it("prints itself, and has a guard", () => {
    expectTypeOf<AsyncFd.AsyncFd>().toExtend<Inspectable.Inspectable>()
    expectTypeOf<AsyncFd.Ready>().toExtend<Inspectable.Inspectable>()
    expectTypeOf(AsyncFd.isAsyncFd).guards.toEqualTypeOf<AsyncFd.AsyncFd>()
  })

  it("keeps the value, the errors and the services of an attempt", () => {
    type Attempt = Effect.Effect<Option.Option<Date>, "mine", { readonly mine: true }>
    type Retried = Effect.Effect<Date, "mine" | Failure, { readonly mine: true }>
    const retry = (watched: AsyncFd.AsyncFd, attempt: Attempt) => [
      watched.readWhenReady(attempt),
      watched.writeWhenReady(attempt)
    ]
    expectTypeOf(retry).returns.toEqualTypeOf<Array<Retried>>()
    const wrong: Parameters<AsyncFd.AsyncFd["readWhenReady"]> = [
      // @ts-expect-error an attempt gives an Option
      Effect.succeed(new Date())
    ]
    expect([retry, wrong]).toHaveLength(2)
  })

  it("is made in a scope, with a Registrar, from a number or an object that has one", () => {
    expectTypeOf(AsyncFd.make).toEqualTypeOf<
      (
        fd: Registrar.FdLike,
        options?: AsyncFd.MakeOptions
      ) => Effect.Effect<AsyncFd.AsyncFd, Failure, Registrar.Registrar | Scope.Scope>
    >()
    same<
      Same<AsyncFd.MakeOptions, { readonly event?: Event.Event | undefined; readonly priority?: boolean | undefined }>
    >(true)
    expect(Object.keys(AsyncFd).toSorted()).toEqual(["isAsyncFd", "make"])
    // @ts-expect-error there is no such event
    AsyncFd.make(0, { event: "both" })
    // @ts-expect-error a registration's modes do not apply
    AsyncFd.make(0, { mode: "oneshot" })
  })
})
