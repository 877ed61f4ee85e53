/** Helpers of the tests of owned descriptors. */
import { expect } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { execFileSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Kernel from "./kernel.ts"

export const text = (buffer: Uint8Array, length = buffer.length) => new TextDecoder().decode(buffer.subarray(0, length))

/** Returns the bytes that add a number to an eventfd. */
export const count = (value: bigint) => new Uint8Array(new BigUint64Array([value]).buffer)

/** Makes a directory, which the scope removes. */
export const directory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "fd-test-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true }))
)

/** Makes a FIFO and returns its path. */
export const fifo = Effect.map(directory, (path) => {
  const name = join(path, "fifo")
  execFileSync("mkfifo", [name])
  return name
})

/** Runs an effect, and expects the same descriptors to be open after it as before. */
export const leavesNothing = <A, E>(effect: Effect.Effect<A, E, Scope.Scope>) =>
  Effect.gen(function* () {
    const before = Kernel.openDescriptors()
    yield* Effect.scoped(effect)
    expect(Kernel.openDescriptors()).toEqual(before)
  })
