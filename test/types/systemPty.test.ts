/** The public types of `Pty`. The compiler checks this file; little of it is checked at run time. */
import { describe, expect, expectTypeOf, it } from "@effect/vitest"
import type { Effect, Inspectable, Scope, Sink, Stream } from "effect"
import { type PollerError, type ProcessExit, Pty, type Registrar } from "effect-amy"
import * as System from "effect-amy/system"
import * as Module from "effect-amy/system/Pty"
import { same, type Same } from "../support/types.ts"

type Failure = PollerError.PollerError
type Spawned = Effect.Effect<Pty.Pty, Failure, Registrar.Registrar | Scope.Scope>

const spawned = () => [
  Pty.spawn("sh"),
  Pty.spawn("sh", { cols: 80, rows: 24 }),
  Pty.spawn("sh", ["-c", "true"]),
  Pty.spawn("sh", ["-c", "true"], { env: process.env })
]

describe("Pty", () => {
  it("has output, input, a size and an end", () => {
    same<
      Same<
        Omit<Pty.Pty, keyof Inspectable.Inspectable>,
        {
          readonly "~effect-amy/Pty": "~effect-amy/Pty"
          readonly fd: number
          readonly pid: number
          readonly exit: Effect.Effect<ProcessExit.Exit, Failure>
          readonly read: (buffer: Uint8Array, offset?: number, length?: number) => Effect.Effect<number, Failure>
          readonly stream: Stream.Stream<Uint8Array, Failure>
          readonly write: (buffer: Uint8Array, offset?: number, length?: number) => Effect.Effect<number, Failure>
          readonly writeAll: (buffer: Uint8Array, offset?: number, length?: number) => Effect.Effect<void, Failure>
          readonly sink: Sink.Sink<void, Uint8Array, never, Failure>
          readonly resize: (cols: number, rows: number) => Effect.Effect<void, Failure>
          readonly kill: (signal?: NodeJS.Signals | number) => Effect.Effect<void, Failure>
        }
      >
    >(true)
    expectTypeOf<Pty.Pty>().toExtend<Inspectable.Inspectable>()
    expectTypeOf(Pty.isPty).guards.toEqualTypeOf<Pty.Pty>()
  })

  it("is spawned with arguments or without, and with options or without", () => {
    same<
      Same<
        Pty.SpawnOptions,
        {
          readonly cols?: number | undefined
          readonly rows?: number | undefined
          readonly cwd?: string | undefined
          readonly env?: { readonly [name: string]: string | undefined } | undefined
          readonly name?: string | undefined
        }
      >
    >(true)
    expectTypeOf(spawned).returns.toEqualTypeOf<Array<Spawned>>()
    expect(System.Pty).toBe(Pty)
    expect(Object.keys(Module).toSorted()).toEqual(["isPty", "spawn"])
  })
})
