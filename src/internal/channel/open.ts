/**
 * Opens a channel: both ends on this thread, and the user event by which senders report messages to
 * the receiver.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { MessageChannel, type MessagePort } from "node:worker_threads"
import type { PollChannel } from "../../PollChannel.ts"
import type { PollerError } from "../../PollerError.ts"
import { Registrar } from "../../Registrar.ts"
import { attachmentOf } from "../delivery/registrar.ts"
import * as UserEvents from "../delivery/userEvent.ts"
import { textOf } from "../errors/arguments.ts"
import { invalidArgument } from "../errors/pollerErrors.ts"
import { Counts, mostMessages, unlimited } from "./counts.ts"
import { ReceiverImpl } from "./receiver.ts"
import { SenderImpl } from "./sender.ts"

const open = Effect.fnUntraced(function* <A>(
  capacity: number
): Effect.fn.Return<PollChannel<A>, PollerError, Registrar | Scope.Scope> {
  const registrar = yield* Registrar
  yield* attachmentOf(registrar)
  const event = UserEvents.implementation(yield* registrar.userEvent)
  const counts = Counts.make(capacity)
  const { receiver, sender } = yield* Effect.acquireRelease(
    Effect.sync(() => {
      const { port1, port2 } = new MessageChannel()
      const receiver = new ReceiverImpl<A>(counts, event, port1)
      const adopt = (port: MessagePort) => ReceiverImpl.adopt(receiver, port)
      return { receiver, sender: new SenderImpl<A>(counts, event, port2, adopt) }
    }),
    ({ receiver, sender }) =>
      Effect.andThen(
        Effect.sync(() => ReceiverImpl.close(receiver)),
        sender.close
      )
  )
  return { receiver, sender, stats: Effect.sync(() => counts.stats) }
})

export const unbounded = <A>(): Effect.Effect<PollChannel<A>, PollerError, Registrar | Scope.Scope> =>
  open<A>(unlimited)

export const bounded = <A>(capacity: number): Effect.Effect<PollChannel<A>, PollerError, Registrar | Scope.Scope> =>
  Effect.suspend(() =>
    Number.isInteger(capacity) && capacity >= 1 && capacity <= mostMessages
      ? open<A>(capacity)
      : Effect.fail(
          invalidArgument(`invalid capacity ${textOf(capacity)}: expected an integer from 1 to ${mostMessages}`)
        )
  )
