/** The options of the layers that open a poller, checked. */
import * as Effect from "effect/Effect"
import type { PollerError } from "../../PollerError.ts"
import { invalidArgument } from "../errors/pollerErrors.ts"
import { maxMailboxes } from "../kernel/userData.ts"

/**
 * How a poller is opened. What is out of range fails with `InvalidArgument`.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  /**
   * How many entries one thread's mailbox holds in shared memory, rounded up to a power of two: 1 to 1,048,576, 4,096
   * unless given. When it is full, the thread that polls keeps the rest, so this is a matter of speed and not of loss.
   */
  readonly mailboxSize?: number | undefined
  /** How many threads may use the poller at the same time, the one that builds it included: 1 to 2,047, 64 unless given. */
  readonly maxThreads?: number | undefined
  /** How many entries one wait in the kernel reports at most: 1 to 65,536, 1,024 unless given. */
  readonly batchSize?: number | undefined
}

const ranges = {
  mailboxSize: { from: 1, to: 1 << 20, otherwise: 4096 },
  maxThreads: { from: 1, to: maxMailboxes, otherwise: 64 },
  batchSize: { from: 1, to: 65_536, otherwise: 1024 }
} as const

type Checked = { readonly [Name in keyof typeof ranges]: number }

export const optionsOrFail = (options: Options | undefined): Effect.Effect<Checked, PollerError> =>
  Effect.suspend(() => {
    const checked = { mailboxSize: 0, maxThreads: 0, batchSize: 0 }
    for (const name of ["mailboxSize", "maxThreads", "batchSize"] as const) {
      const { from, otherwise, to } = ranges[name]
      const value: unknown = options?.[name] ?? otherwise
      if (typeof value !== "number" || !Number.isInteger(value) || value < from || value > to) {
        return Effect.fail(invalidArgument(`${name} is ${String(value)}: give a whole number from ${from} to ${to}`))
      }
      checked[name] = value
    }
    return Effect.succeed(checked)
  })
