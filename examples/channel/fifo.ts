/** A FIFO: a descriptor that any thread of the process can write to, by its number, and that a poller can watch. */
import { Data, Effect, Option, type Scope } from "effect"
import { Fd, type PollerError } from "effect-amy"
import { execFileSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

/** The system has no place or no program for it. */
export class FifoError extends Data.TaggedError("FifoError")<{ readonly cause: unknown }> {
  override get message(): string {
    return `there is no FIFO: ${String(this.cause)}`
  }
}

/** Opened without a name in the file system that would stay behind; closed by its scope. */
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

/** The text that is there now: until it would block, for of what is left there is no second notification. */
export const read = Effect.fnUntraced(function* (fifo: Fd.Fd): Effect.fn.Return<string, PollerError.PollerError> {
  const buffer = Buffer.alloc(4096)
  for (let text = ""; ;) {
    const length = yield* fifo.read(buffer)
    if (Option.isNone(length)) return text
    text += buffer.toString("utf8", 0, length.value)
  }
})

function tryFifo<A>(call: () => A): Effect.Effect<A, FifoError> {
  return Effect.try({ try: call, catch: (cause) => new FifoError({ cause }) })
}
