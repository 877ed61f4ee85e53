/**
 * What a socket needs beside its descriptor: a thread's part in a poller, and the calls of a
 * kernel.
 */
import * as Effect from "effect/Effect"
import type { PollerError } from "../../PollerError.ts"
import { Registrar } from "../../Registrar.ts"
import type { Attachment } from "../delivery/attachment.ts"
import { attachmentOf } from "../delivery/registrar.ts"
import { invalidArgument } from "../errors/pollerErrors.ts"
import type { Libc } from "../libc/koffi.ts"

export interface Network {
  readonly attachment: Attachment
  readonly libc: Libc
}

/** Returns the network of the poller in the context. Fails where that poller has no kernel. */
export const network: Effect.Effect<Network, PollerError, Registrar> = Effect.gen(function* () {
  const attachment = yield* attachmentOf(yield* Registrar)
  const { libc } = attachment
  if (libc === undefined) {
    return yield* Effect.fail(invalidArgument("TestPoller has no sockets: provide another layer of Poller"))
  }
  return { attachment, libc }
})
