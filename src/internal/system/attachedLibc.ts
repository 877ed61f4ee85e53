/** What ready sources need of the poller: this thread's part in it, and the C library. */
import * as Effect from "effect/Effect"
import type { PollerError } from "../../PollerError.ts"
import { Registrar } from "../../Registrar.ts"
import type { Attachment } from "../delivery/attachment.ts"
import { attachmentOf } from "../delivery/registrar.ts"
import { invalidArgument, unsupported } from "../errors/pollerErrors.ts"
import type { Libc } from "../libc/koffi.ts"

export interface AttachedLibc {
  readonly attachment: Attachment
  readonly libc: Libc
}

/** What a source needs, and what a program does instead on Windows, where only sockets are polled. */
const instead = {
  processes: "wait for the event `exit` of node:child_process",
  "files to watch": "use `watch` of Effect's `FileSystem`",
  terminals: "node-pty of npm starts programs on its terminals",
  "serial lines": "serialport of npm opens them",
  "standard streams": "use process.stdin and process.stdout"
} as const

/** Fails for a poller that has no kernel behind it, and on Windows. */
export const attachedLibc = (what: keyof typeof instead): Effect.Effect<AttachedLibc, PollerError, Registrar> =>
  Effect.gen(function* () {
    const attachment = yield* attachmentOf(yield* Registrar)
    const { libc } = attachment
    if (libc === undefined) {
      return yield* Effect.fail(invalidArgument(`TestPoller has no ${what}: provide another layer of Poller`))
    }
    if (libc.profile.selector === "afd") {
      return yield* Effect.fail(unsupported(`Windows has no descriptors of ${what}: ${instead[what]}`))
    }
    return { attachment, libc }
  })
