/** The public types of `Fd` and `AsyncFd`: what this file says is checked by the compiler, not at run time. */
import { describe, expect, expectTypeOf, it } from "@effect/vitest"
import { Effect, type Option, type Scope, type Sink, type Stream } from "effect"
import { AsyncFd, type Event, Fd, type PollerError, type Registrar } from "effect-amy"
import { same, type Same } from "../support/types.ts"

type Failure = PollerError.PollerError
type Opening<A> = Effect.Effect<A, Failure, Scope.Scope>
type Transfer = (buffer: Uint8Array, offset?: number, length?: number) => Effect.Effect<Option.Option<number>, Failure>
type Waiting = (buffer: Uint8Array, offset?: number, length?: number) => Effect.Effect<number, Failure>

describe("Fd", () => {
  it("is a number and the calls that one has", () => {
    same<
      Same<
        Fd.Fd,
        {
          readonly fd: number
          readonly read: Transfer
          readonly write: Transfer
          readonly readv: (buffers: ReadonlyArray<Uint8Array>) => Effect.Effect<Option.Option<number>, Failure>
          readonly writev: (buffers: ReadonlyArray<Uint8Array>) => Effect.Effect<Option.Option<number>, Failure>
          readonly setNonblocking: (nonblocking: boolean) => Effect.Effect<void, Failure>
          readonly dup: Opening<Fd.Fd>
          readonly close: Effect.Effect<void, Failure>
          readonly take: Effect.Effect<number, Failure>
        }
      >
    >(true)
    expectTypeOf<Fd.Fd>().toExtend<Registrar.FdLike>()
  })

  it("is made in a scope, and needs no poller", () => {
    expectTypeOf(Fd.own).toEqualTypeOf<(fd: number) => Opening<Fd.Fd>>()
    expectTypeOf(Fd.open).toEqualTypeOf<(path: string, access: "read" | "write" | "both") => Opening<Fd.Fd>>()
    expectTypeOf(Fd.pipe).toEqualTypeOf<Opening<{ readonly reader: Fd.Fd; readonly writer: Fd.Fd }>>()
    expectTypeOf(Fd.eventfd).toEqualTypeOf<(initial?: number) => Opening<Fd.Fd>>()
    expect(Object.keys(Fd).toSorted()).toEqual(["eventfd", "open", "own", "pipe"])
    // @ts-expect-error there is no other access
    Fd.open("/dev/null", "append")
    // @ts-expect-error a number is what is taken over
    Fd.own("3")
  })
})

describe("AsyncFd", () => {
  it("is one descriptor's readiness, and its bytes", () => {
    same<
      Same<
        Omit<AsyncFd.AsyncFd, "readWhenReady" | "writeWhenReady">,
        {
          readonly fd: number
          readonly readable: Effect.Effect<AsyncFd.Ready, Failure>
          readonly writable: Effect.Effect<AsyncFd.Ready, Failure>
          readonly priority: Effect.Effect<AsyncFd.Ready, Failure>
          readonly read: Waiting
          readonly write: Waiting
          readonly writeAll: (buffer: Uint8Array, offset?: number, length?: number) => Effect.Effect<void, Failure>
          readonly stream: Stream.Stream<Uint8Array, Failure>
          readonly sink: Sink.Sink<void, Uint8Array, never, Failure>
        }
      >
    >(true)
    same<
      Same<
        AsyncFd.Ready,
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

  it("an attempt keeps its value, its errors and what it needs", () => {
    type Attempt = Effect.Effect<Option.Option<Date>, "mine", { readonly mine: true }>
    type Retried = Effect.Effect<Date, "mine" | Failure, { readonly mine: true }>
    const retry = (watched: AsyncFd.AsyncFd, attempt: Attempt) => [
      watched.readWhenReady(attempt),
      watched.writeWhenReady(attempt)
    ]
    expectTypeOf(retry).returns.toEqualTypeOf<Array<Retried>>()
    const wrong: Parameters<AsyncFd.AsyncFd["readWhenReady"]> = [
      // @ts-expect-error an attempt says whether it would block
      Effect.succeed(new Date())
    ]
    expect([retry, wrong]).toHaveLength(2)
  })

  it("is made in a scope, on a Registrar, of a number or what has one", () => {
    expectTypeOf(AsyncFd.make).toEqualTypeOf<
      (
        fd: Registrar.FdLike,
        options?: AsyncFd.AsyncFdOptions
      ) => Effect.Effect<AsyncFd.AsyncFd, Failure, Registrar.Registrar | Scope.Scope>
    >()
    same<
      Same<
        AsyncFd.AsyncFdOptions,
        { readonly event?: Event.Event | undefined; readonly priority?: boolean | undefined }
      >
    >(true)
    expect(Object.keys(AsyncFd)).toEqual(["make"])
    // @ts-expect-error there is no such event
    AsyncFd.make(0, { event: "both" })
    // @ts-expect-error a registration's modes are not for this
    AsyncFd.make(0, { mode: "oneshot" })
  })
})
