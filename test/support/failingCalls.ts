/** Makes calls of the C library fail with errors that no test can make the kernel return. */
import { Effect, type Scope } from "effect"
import { libc, provideLibc } from "../../src/internal/libc/koffi.ts"
import type { Functions } from "../../src/internal/libc/prototypes/index.ts"

/** What the calls of one function do, until the scope closes. */
export interface FailingCalls {
  /** The numbers of the errors that the next calls fail with. The calls after them are real. */
  readonly errnos: Array<number>
  /** The calls that were made, with those that failed. */
  count: number
}

/**
 * Replaces a function of the C library on this thread, until the scope closes: to be run before the
 * layer is built.
 */
export const failingCalls = (name: keyof Functions): Effect.Effect<FailingCalls, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => {
        const before = libc()
        const calls: FailingCalls = { errnos: [], count: 0 }
        let failed: number | undefined
        const real = before.functions[name] as (...args: ReadonlyArray<unknown>) => number
        const call = (...args: ReadonlyArray<unknown>): number => {
          calls.count++
          failed = calls.errnos.shift()
          return failed === undefined ? real(...args) : -1
        }
        const functions = Object.create(before.functions, { [name]: { value: call } }) as Functions
        provideLibc({
          ...before,
          functions,
          errno: () => {
            const errno = failed ?? before.errno()
            failed = undefined
            return errno
          }
        })
        return { before, calls }
      }),
      ({ before }) => Effect.sync(() => void provideLibc(before))
    ),
    ({ calls }) => calls
  )
