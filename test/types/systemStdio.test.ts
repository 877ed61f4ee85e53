/** The public types of `Stdio`. */
import { describe, expect, expectTypeOf, it } from "@effect/vitest"
import type { Effect, Layer, Sink, Stdio as EffectStdio, Stream } from "effect"
import { type PollerError, type Registrar, Stdio } from "effect-amy"
import * as System from "effect-amy/system"
import * as Module from "effect-amy/system/Stdio"

type Failure = PollerError.PollerError

describe("Stdio", () => {
  it("is a stream, sinks and a write", () => {
    expectTypeOf(Stdio.stdin).toEqualTypeOf<Stream.Stream<Uint8Array, Failure, Registrar.Registrar>>()
    type Output = Sink.Sink<void, string | Uint8Array, never, Failure, Registrar.Registrar>
    expectTypeOf(Stdio.stdout).toEqualTypeOf<Output>()
    expectTypeOf(Stdio.stderr).toEqualTypeOf<Output>()
    expectTypeOf(Stdio.write).toEqualTypeOf<
      (target: "stdout" | "stderr", chunk: string | Uint8Array) => Effect.Effect<void, Failure, Registrar.Registrar>
    >()
    // @ts-expect-error nothing is written to standard input
    expectTypeOf(Stdio.write).toBeCallableWith("stdin", "x")
    expectTypeOf(Stdio.layer).toEqualTypeOf<Layer.Layer<EffectStdio.Stdio, never, Registrar.Registrar>>()
  })

  it("is one module under each of its paths", () => {
    expect(System.Stdio).toBe(Stdio)
    expect(Object.keys(Module).toSorted()).toEqual(["layer", "stderr", "stdin", "stdout", "write"])
  })
})
