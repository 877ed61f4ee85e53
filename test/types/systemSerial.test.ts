/** The public types of `Serial`. The compiler checks this file; little of it is checked at run time. */
import { describe, expect, expectTypeOf, it } from "@effect/vitest"
import type { Duration, Effect, Inspectable, Scope, Sink, Stream } from "effect"
import { type PollerError, type Registrar, Serial } from "effect-amy"
import * as System from "effect-amy/system"
import * as Module from "effect-amy/system/Serial"
import { same, type Same } from "../support/types.ts"

type Failure = PollerError.PollerError

describe("Serial", () => {
  it("has bytes in both directions, settings and modem lines", () => {
    same<
      Same<
        Omit<Serial.Serial, keyof Inspectable.Inspectable>,
        {
          readonly "~effect-amy/Serial": "~effect-amy/Serial"
          readonly fd: number
          readonly path: string
          readonly read: (buffer: Uint8Array, offset?: number, length?: number) => Effect.Effect<number, Failure>
          readonly stream: Stream.Stream<Uint8Array, Failure>
          readonly write: (buffer: Uint8Array, offset?: number, length?: number) => Effect.Effect<number, Failure>
          readonly writeAll: (buffer: Uint8Array, offset?: number, length?: number) => Effect.Effect<void, Failure>
          readonly sink: Sink.Sink<void, Uint8Array, never, Failure>
          readonly drain: Effect.Effect<void, Failure>
          readonly flush: (direction?: "input" | "output" | "both") => Effect.Effect<void, Failure>
          readonly sendBreak: (duration?: Duration.Input) => Effect.Effect<void, Failure>
          readonly modem: Effect.Effect<Serial.ModemLines, Failure>
          readonly setModem: (lines: Serial.SetModemOptions) => Effect.Effect<void, Failure>
          readonly set: (options: Serial.SetOptions) => Effect.Effect<void, Failure>
        }
      >
    >(true)
    expectTypeOf<Serial.Serial>().toExtend<Inspectable.Inspectable>()
    expectTypeOf(Serial.isSerial).guards.toEqualTypeOf<Serial.Serial>()
  })

  it("is opened in a scope, with a speed", () => {
    expectTypeOf(Serial.open).toEqualTypeOf<
      (
        path: string,
        options: Serial.OpenOptions
      ) => Effect.Effect<Serial.Serial, Failure, Registrar.Registrar | Scope.Scope>
    >()
    // @ts-expect-error a line has no default speed
    const wrong: Serial.OpenOptions = { parity: "even" }
    expect(wrong).toEqual({ parity: "even" })
    expect(System.Serial).toBe(Serial)
    expect(Object.keys(Module).toSorted()).toEqual(["isSerial", "open"])
  })
})
