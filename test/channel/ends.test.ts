/**
 * The ends of a channel and their handles, as values: guards, printed forms, and methods that can
 * be passed on.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Option, Stream } from "effect"
import { PollChannel, type PollerError } from "effect-amy"
import { TestPoller } from "effect-amy/testing"
import { inspect } from "node:util"
import { describeLayers } from "../support/layers.ts"
import { reasonOf } from "../support/outcome.ts"

const open = (handle: unknown) =>
  Effect.scoped(PollChannel.fromHandle<number>(handle as PollChannel.SenderHandle)) satisfies Effect.Effect<
    PollChannel.Sender<number>,
    PollerError.PollerError
  >

describeLayers("the handle of a sender", (layer) => {
  it.live("is recognised before and after it has crossed a thread, and makes a sender there", () =>
    Effect.gen(function* () {
      const { receiver, sender } = yield* PollChannel.unbounded<number>()
      const handle = yield* sender.handle
      expect(PollChannel.isSenderHandle(handle)).toBe(true)
      const moved = structuredClone(handle, { transfer: [handle.port] })
      expect(PollChannel.isSenderHandle(moved)).toBe(true)
      const second = yield* PollChannel.fromHandle<number>(moved)
      yield* second.send(1)
      expect(yield* receiver.receive).toBe(1)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("cannot be replaced by anything that looks like it", () =>
    Effect.gen(function* () {
      const { sender } = yield* PollChannel.unbounded<number>()
      const handle = yield* sender.handle
      const parts: Record<string, unknown> = { ...handle }
      const doubles = [
        undefined,
        null,
        0,
        {},
        [],
        sender,
        handle.port,
        { port: handle.port },
        ...Object.keys(parts).flatMap((name) => [
          { ...parts, [name]: undefined },
          { ...parts, [name]: {} },
          { ...parts, [name]: new SharedArrayBuffer(8) }
        ])
      ]
      expect(doubles.length).toBeGreaterThan(15)
      for (const double of doubles) {
        expect(PollChannel.isSenderHandle(double)).toBe(false)
        const error = yield* Effect.flip(open(double))
        expect(error.reason).toMatchObject({ _tag: "InvalidArgument" })
        expect(error.message).toContain("pass what Sender.handle returned")
      }
      // Nothing was taken from the handle meanwhile.
      yield* open(handle)
      expect(yield* reasonOf(open(handle))).toBe("InvalidArgument")
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )
})

const run = <A, E>(test: (channel: PollChannel.PollChannel<number>) => Effect.Effect<A, E>) =>
  Effect.flatMap(PollChannel.unbounded<number>(), test).pipe(Effect.scoped, Effect.provide(TestPoller.layer))

describe("the ends of a channel", () => {
  it.effect("are recognised, and nothing that looks like them is", () =>
    run(({ receiver, sender }) =>
      Effect.sync(() => {
        expect([PollChannel.isSender(sender), PollChannel.isReceiver(sender)]).toEqual([true, false])
        expect([PollChannel.isSender(receiver), PollChannel.isReceiver(receiver)]).toEqual([false, true])
        const { close, handle, send, trySend } = sender
        const { id, receive, stream, tryReceive } = receiver
        const names = ["~effect-amy/PollChannel/Sender", "~effect-amy/PollChannel/Receiver"]
        for (const name of names) expect([sender, receiver].some((end) => name in end)).toBe(true)
        const tags = Object.fromEntries(names.map((name) => [name, name]))
        const doubles = [
          undefined,
          null,
          1,
          {},
          { ...tags, close, handle, send, trySend },
          { ...tags, id, receive, stream, tryReceive }
        ]
        for (const double of doubles) {
          expect([PollChannel.isSender(double), PollChannel.isReceiver(double)]).toEqual([false, false])
        }
      })
    )
  )

  it.effect("print as what they are, and show nothing internal", () =>
    run(({ receiver, sender }) =>
      Effect.sync(() => {
        const { id } = receiver
        expect([String(sender), inspect(sender)]).toEqual([`Sender(${id})`, `Sender(${id})`])
        expect([String(receiver), inspect({ receiver })]).toEqual([`Receiver(${id})`, `{ receiver: Receiver(${id}) }`])
        expect(JSON.parse(JSON.stringify([sender, receiver]))).toEqual([
          { _id: "effect-amy/Sender", id },
          { _id: "effect-amy/Receiver", id }
        ])
        expect([Object.keys(sender), Object.keys(receiver)]).toEqual([[], []])
      })
    )
  )

  it.effect("work in parts: what they have can be passed on without them", () =>
    run(({ receiver, sender }) =>
      Effect.gen(function* () {
        const { close, send, trySend } = sender
        const { receive, stream, tryReceive } = receiver
        yield* Stream.runForEach(Stream.make(1, 2, 3, 4), send)
        expect(yield* trySend(5)).toBe(true)
        expect(yield* tryReceive).toEqual(Option.some(1))
        expect(yield* receive).toBe(2)
        const streaming = yield* Effect.forkChild(Stream.runCollect(stream), { startImmediately: true })
        yield* close
        expect(yield* Fiber.join(streaming)).toEqual([3, 4, 5])
        expect(yield* reasonOf(send(6))).toBe("Closed")
      })
    )
  )
})
