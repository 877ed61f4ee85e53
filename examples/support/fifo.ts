/** A FIFO: a descriptor that any thread of the process can write to, by its number, and that a poller can watch. */
import { Data, Effect, type Scope } from "effect"
import { execFileSync } from "node:child_process"
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

/** The system has refused to make it or to read it. */
export class FifoError extends Data.TaggedError("FifoError")<{ readonly cause: unknown }> {
  override get message(): string {
    return `the FIFO has failed: ${String(this.cause)}`
  }
}

export interface Fifo {
  readonly fd: number
  /** The text that is there now. */
  readonly read: Effect.Effect<string, FifoError>
}

/** Opened without a name in the file system that would stay behind; closed by its scope. */
export const make: Effect.Effect<Fifo, FifoError, Scope.Scope> = Effect.acquireRelease(
  Effect.try({ try: open, catch: (cause) => new FifoError({ cause }) }),
  (fd) => Effect.sync(() => closeSync(fd))
).pipe(
  Effect.map((fd) => ({
    fd,
    read: Effect.try({ try: () => readAll(fd), catch: (cause) => new FifoError({ cause }) })
  }))
)

function open(): number {
  const directory = mkdtempSync(join(tmpdir(), "fifo-"))
  try {
    const path = join(directory, "fifo")
    execFileSync("mkfifo", [path])
    return openSync(path, constants.O_RDWR | constants.O_NONBLOCK)
  } finally {
    rmSync(directory, { recursive: true })
  }
}

/** Until it would block, for of what is left there is no second notification. */
const readAll = (fd: number): string => {
  const buffer = Buffer.alloc(4096)
  let text = ""
  for (;;) {
    try {
      text += buffer.toString("utf8", 0, readSync(fd, buffer))
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "EAGAIN") return text
      throw error
    }
  }
}
