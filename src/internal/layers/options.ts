/** Checks the options of the layers that open a poller. */
import * as Effect from "effect/Effect"
import type { LayerOptions } from "../../Poller.ts"
import { isPollerError, type PollerError } from "../../PollerError.ts"
import { readArgument, textOf } from "../errors/arguments.ts"
import { invalidArgument } from "../errors/pollerErrors.ts"
import { maxMailboxes } from "../kernel/userData.ts"
import { mostEntries } from "../shared/pollerMemory.ts"

const ranges = {
  mailboxSize: { from: 1, to: mostEntries, otherwise: 4096 },
  maxThreads: { from: 1, to: maxMailboxes, otherwise: 64 },
  batchSize: { from: 1, to: 65_536, otherwise: 1024 }
} as const

type Checked = { readonly [Name in keyof typeof ranges]: number }

export const optionsOrFail = (options: LayerOptions | undefined): Effect.Effect<Checked, PollerError> =>
  Effect.suspend(() => {
    const checked = { mailboxSize: 0, maxThreads: 0, batchSize: 0 }
    for (const name of ["mailboxSize", "maxThreads", "batchSize"] as const) {
      const { from, otherwise, to } = ranges[name]
      const value: unknown = readArgument(`the option ${name}`, () => options?.[name]) ?? otherwise
      if (isPollerError(value)) return Effect.fail(value)
      if (typeof value !== "number" || !Number.isInteger(value) || value < from || value > to) {
        return Effect.fail(
          invalidArgument(`invalid ${name} ${textOf(value)}: expected an integer from ${from} to ${to}`)
        )
      }
      checked[name] = value
    }
    return Effect.succeed(checked)
  })
