/** A FIFO. Any thread of the process can write to it by its number, and a poller can watch it. */
import { Data, Effect, Option, type Scope } from "effect"
import { Fd, type PollerError } from "effect-amy"
import { execFileSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

/** The FIFO could not be created: there is no room for it, or no `mkfifo` program. */
export class FifoError extends Data.TaggedError("FifoError")<{ readonly cause: unknown }> {
  override get message(): string {
    return `cannot create a FIFO: ${String(this.cause)}`
  }
}

/** Opens a FIFO and removes its name from the file system. The scope closes it. */
export const make: Effect.Effect<Fd.Fd, FifoError | PollerError.PollerError, Scope.Scope> = Effect.acquireUseRelease(
  tryFifo(() => mkdtempSync(join(tmpdir(), "fifo-"))),
  (directory) => {
    const path = join(directory, "fifo")
    return Effect.andThen(
      tryFifo(() => execFileSync("mkfifo", [path])),
      Fd.open(path, "both")
    )
  },
  (directory) => Effect.sync(() => rmSync(directory, { recursive: true }))
)

/**
 * Reads all text that is there now, until a read would block. Text that is left over would not be
 * reported again.
 */
export const read = Effect.fnUntraced(function* (fifo: Fd.Fd): Effect.fn.Return<string, PollerError.PollerError> {
  const buffer = Buffer.alloc(4096)
  for (let text = ""; ;) {
    const length = yield* fifo.tryRead(buffer)
    if (Option.isNone(length)) return text
    text += buffer.toString("utf8", 0, length.value)
  }
})

function tryFifo<A>(call: () => A): Effect.Effect<A, FifoError> {
  return Effect.try({ try: call, catch: (cause) => new FifoError({ cause }) })
}
