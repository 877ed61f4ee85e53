/** What ready sources need of the poller: this thread's part in it, and the C library. */
import * as Effect from "effect/Effect"
import type { PollerError } from "../../PollerError.ts"
import { Registrar } from "../../Registrar.ts"
import type { Attachment } from "../delivery/attachment.ts"
import { attachmentOf } from "../delivery/registrar.ts"
import { invalidArgument } from "../errors/pollerErrors.ts"
import type { Libc } from "../libc/koffi.ts"

export interface AttachedLibc {
  readonly attachment: Attachment
  readonly libc: Libc
}

/** Fails for a poller that has no kernel behind it. `what` is what it lacks: "processes". */
export const attachedLibc = (what: string): Effect.Effect<AttachedLibc, PollerError, Registrar> =>
  Effect.gen(function* () {
    const attachment = yield* attachmentOf(yield* Registrar)
    const { libc } = attachment
    return libc === undefined
      ? yield* Effect.fail(invalidArgument(`TestPoller has no ${what}: provide another layer of Poller`))
      : { attachment, libc }
  })
