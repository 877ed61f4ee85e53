/** What a user sends is a value, and never taken for something of the library's own. */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { PollChannel } from "effect-amy"
import { describeLayers, someLayer } from "../support/layers.ts"
import { reasonOf } from "../support/outcome.ts"

const key = "~effect-amy/PollChannel/port"

/** Values that resemble what the library itself sends, or marks its own objects with. */
const values: ReadonlyArray<unknown> = [
  JSON.parse(`{"${key}":1}`),
  { [key]: null },
  { [key]: {} },
  { [key]: { postMessage: 1, close: 2 } },
  { [key]: new SharedArrayBuffer(4) },
  [key],
  { _tag: "Closed" },
  { "~effect-amy/PollerError": "~effect-amy/PollerError", reason: { _tag: "Closed" } },
  { "~effect-amy/Notification": "~effect-amy/Notification", id: 1 },
  { message: undefined },
  undefined,
  null,
  ""
]

describeLayers("promise 15: a channel carries data, whatever it resembles", (layer) => {
  it.live("by receive, tryReceive and the stream", () =>
    Effect.gen(function* () {
      const { receiver, sender } = yield* PollChannel.unbounded<unknown>()
      for (const value of values) yield* sender.send(value)
      expect(yield* receiver.receive).toEqual(values[0])
      expect(yield* receiver.tryReceive).toMatchObject({ _tag: "Some", value: values[1] })
      expect(yield* Stream.runCollect(Stream.take(receiver.stream, values.length - 2))).toEqual(values.slice(2))
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("and each takes its place of a bounded channel, and gives it back", () =>
    Effect.gen(function* () {
      const { receiver, sender } = yield* PollChannel.bounded<unknown>(1)
      for (const value of values) {
        yield* sender.send(value)
        expect(yield* sender.trySend("too many")).toBe(false)
        expect(yield* receiver.receive).toEqual(value)
      }
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )
})

describe("a channel refuses what it cannot carry", () => {
  it.live("a port, a getter that throws, and a function, and goes on", () =>
    Effect.gen(function* () {
      const { receiver, sender } = yield* PollChannel.bounded<unknown>(1)
      const { port1 } = new MessageChannel()
      const throwing = {
        get value(): never {
          throw new Error("thrown by a getter")
        }
      }
      for (const value of [port1, { [key]: port1 }, throwing, () => {}]) {
        expect(yield* reasonOf(sender.send(value))).toBe("InvalidArgument")
      }
      port1.close()
      yield* sender.send("next")
      expect(yield* receiver.receive).toBe("next")
    }).pipe(Effect.scoped, Effect.provide(someLayer()))
  )
})
