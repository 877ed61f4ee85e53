/** Opens a channel: both of its ends on this thread, and the user event by which senders tell the receiver. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { MessageChannel } from "node:worker_threads"
import type { PollChannel } from "../../PollChannel.ts"
import type { PollerError } from "../../PollerError.ts"
import { Registrar } from "../../Registrar.ts"
import * as userEvent from "../delivery/userEvent.ts"
import { invalidArgument } from "../errors/pollerErrors.ts"
import { Counts } from "./counts.ts"
import { ReceivingEnd, toReceiver } from "./receiver.ts"
import { SendingEnd, toSender } from "./sender.ts"

const open = Effect.fnUntraced(function* <A>(
  capacity: number
): Effect.fn.Return<PollChannel<A>, PollerError, Registrar | Scope.Scope> {
  const registrar = yield* Registrar
  const event = userEvent.implementation(yield* registrar.userEvent)
  const counts = Counts.make(capacity)
  const { receiver, sender } = yield* Effect.acquireRelease(
    Effect.sync(() => {
      const { port1, port2 } = new MessageChannel()
      const receiver = new ReceivingEnd<A>(counts, event, port1)
      return { receiver, sender: new SendingEnd<A>(counts, port2, event.triggerUnsafe, receiver.adopt) }
    }),
    ({ receiver, sender }) =>
      Effect.sync(() => {
        receiver.close()
        sender.close()
      })
  )
  return {
    sender: toSender(sender, counts, event.handle),
    receiver: toReceiver(receiver, event.id),
    stats: Effect.sync(() => ({ sent: counts.sent, pending: counts.pending, triggers: counts.triggers }))
  }
})

export const unbounded = <A>(): Effect.Effect<PollChannel<A>, PollerError, Registrar | Scope.Scope> => open<A>(0)

export const bounded = <A>(capacity: number): Effect.Effect<PollChannel<A>, PollerError, Registrar | Scope.Scope> =>
  Effect.suspend(() =>
    Number.isInteger(capacity) && capacity >= 1 && capacity <= 0x7fff_ffff
      ? open<A>(capacity)
      : Effect.fail(invalidArgument(`the capacity ${String(capacity)} is none: give a whole number of 1 or more`))
  )
