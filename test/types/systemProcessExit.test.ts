/** The public types of `ProcessExit`. */
import { describe, expect, expectTypeOf, it } from "@effect/vitest"
import type { Effect, Inspectable, Scope } from "effect"
import { type PollerError, ProcessExit, type Registrar } from "effect-amy"
import * as System from "effect-amy/system"
import * as Module from "effect-amy/system/ProcessExit"
import { same, type Same } from "../support/types.ts"

type Failure = PollerError.PollerError

describe("ProcessExit", () => {
  it("returns how a process ended", () => {
    same<
      Same<
        ProcessExit.Exit,
        | { readonly _tag: "Exited"; readonly code: number }
        | { readonly _tag: "Signaled"; readonly signal: NodeJS.Signals | number; readonly coreDumped: boolean }
        | { readonly _tag: "Unknown" }
      >
    >(true)
    expectTypeOf(ProcessExit.await).toEqualTypeOf<
      (pid: number) => Effect.Effect<ProcessExit.Exit, Failure, Registrar.Registrar>
    >()
    expect(ProcessExit.await).toBe(ProcessExit.awaitExit)
  })

  it("opens a process in a scope", () => {
    expectTypeOf(ProcessExit.open).toEqualTypeOf<
      (pid: number) => Effect.Effect<ProcessExit.ProcessHandle, Failure, Registrar.Registrar | Scope.Scope>
    >()
    same<
      Same<
        Omit<ProcessExit.ProcessHandle, keyof Inspectable.Inspectable>,
        {
          readonly "~effect-amy/ProcessHandle": "~effect-amy/ProcessHandle"
          readonly pid: number
          readonly exit: Effect.Effect<ProcessExit.Exit, Failure>
          readonly signal: (signal: NodeJS.Signals | number) => Effect.Effect<void, Failure>
        }
      >
    >(true)
    expectTypeOf(ProcessExit.isProcessHandle).guards.toEqualTypeOf<ProcessExit.ProcessHandle>()
  })

  it("is one module under each of its paths", () => {
    expect(System.ProcessExit).toBe(ProcessExit)
    expect(Object.keys(Module).toSorted()).toEqual(["await", "awaitExit", "isProcessHandle", "open"])
  })
})
