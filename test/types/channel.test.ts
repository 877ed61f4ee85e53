/**
 * The public types of `PollChannel`: what this file says is checked by the compiler, not at run
 * time.
 */
import { describe, expect, expectTypeOf, it } from "@effect/vitest"
import type { Effect, Option, Scope, Stream } from "effect"
import { PollChannel, type PollerError, type Registrar } from "effect-amy"
import type { MessagePort } from "node:worker_threads"
import { type Loose, type Members, same, type Same } from "../support/types.ts"

type Failure = PollerError.PollerError
type Opened<A> = Effect.Effect<PollChannel.PollChannel<A>, Failure, Registrar.Registrar | Scope.Scope>

const narrowed = (end: PollChannel.Sender<Date> | PollChannel.Receiver<Date> | string) => {
  if (PollChannel.isSender(end)) expectTypeOf(end).toEqualTypeOf<PollChannel.Sender<Date>>()
  else if (PollChannel.isReceiver(end)) expectTypeOf(end).toEqualTypeOf<PollChannel.Receiver<Date>>()
  else expectTypeOf(end).toEqualTypeOf<string>()
}

describe("PollChannel", () => {
  it("is two ends and figures", () => {
    same<
      Same<
        PollChannel.PollChannel<Date>,
        {
          readonly sender: PollChannel.Sender<Date>
          readonly receiver: PollChannel.Receiver<Date>
          readonly stats: Effect.Effect<PollChannel.PollChannelStats>
        }
      >
    >(true)
    same<
      Same<
        Members<PollChannel.Sender<Date>>,
        {
          readonly send: (value: Date) => Effect.Effect<void, Failure>
          readonly trySend: (value: Date) => Effect.Effect<boolean, Failure>
          readonly handle: Effect.Effect<PollChannel.SenderHandle, Failure>
          readonly close: Effect.Effect<void>
        }
      >
    >(true)
    same<
      Same<
        Members<PollChannel.Receiver<Date>>,
        {
          readonly id: Registrar.RegistrationId
          readonly tryReceive: Effect.Effect<Option.Option<Date>, Failure>
          readonly receive: Effect.Effect<Date, Failure>
          readonly receiveMany: Effect.Effect<readonly [Date, ...Array<Date>], Failure>
          readonly stream: Stream.Stream<Date, Failure>
        }
      >
    >(true)
    same<Same<Members<PollChannel.SenderHandle>, { readonly port: MessagePort }>>(true)
  })

  it("is opened in a scope, on a Registrar; a sender of another thread needs none", () => {
    expectTypeOf(PollChannel.unbounded<Date>).toEqualTypeOf<() => Opened<Date>>()
    expectTypeOf(PollChannel.bounded<Date>).toEqualTypeOf<(capacity: number) => Opened<Date>>()
    expectTypeOf(PollChannel.fromHandle<Date>).toEqualTypeOf<
      (handle: PollChannel.SenderHandle) => Effect.Effect<PollChannel.Sender<Date>, Failure, Scope.Scope>
    >()
    expectTypeOf<Loose<typeof PollChannel>>().toBeNever()
    expect(Object.keys(PollChannel).toSorted()).toEqual([
      "bounded",
      "fromHandle",
      "isReceiver",
      "isSender",
      "isSenderHandle",
      "unbounded"
    ])
  })

  it("lets a sender of more be one of less, and a receiver of less be one of more", () => {
    expectTypeOf<PollChannel.Sender<unknown>>().toExtend<PollChannel.Sender<Date>>()
    expectTypeOf<PollChannel.Receiver<Date>>().toExtend<PollChannel.Receiver<unknown>>()
    expectTypeOf<PollChannel.Sender<Date>>().not.toExtend<PollChannel.Sender<unknown>>()
    expectTypeOf<PollChannel.Receiver<unknown>>().not.toExtend<PollChannel.Receiver<Date>>()
  })

  it("keeps what is known of an end when it is recognised", () => {
    narrowed("neither")
  })

  it("refuses what only looks like a handle", () => {
    type Double = { readonly port: MessagePort; readonly shared: SharedArrayBuffer }
    expectTypeOf<Double>().not.toExtend<PollChannel.SenderHandle>()
    expectTypeOf<Members<PollChannel.Sender<Date>>>().not.toExtend<PollChannel.Sender<Date>>()
    expectTypeOf<Members<PollChannel.Receiver<Date>>>().not.toExtend<PollChannel.Receiver<Date>>()
  })
})
