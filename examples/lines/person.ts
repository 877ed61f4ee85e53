/**
 * A connected person. Lines for them are queued at once, and written as fast as their client reads.
 */
import { Effect, Latch } from "effect"
import { LineReader, type PollerError, type Tcp } from "effect-amy"
import type { Line, Listener } from "./room.ts"

/** Maximum length of a line, in bytes. */
export const longestLine = 400
/** Maximum number of unsent bytes for a person whose client does not read. */
export const longestBacklog = 1024 * 1024
/**
 * Bytes that are read from a person at a time. This also bounds what one turn adds to another
 * person's backlog, even with the shortest lines and the longest name. So a backlog that grows too
 * long belongs to a slow person.
 */
const turn = 4 * 1024

/**
 * Opens a latch later: `openUnsafe` resumes its waiters at once, and the room may be in the middle
 * of a change.
 */
const openSoon = (latch: Latch.Latch): void => queueMicrotask(() => latch.openUnsafe())

export class Person implements Listener {
  readonly #connection: Tcp.TcpStream
  readonly #somethingToWrite = Latch.makeUnsafe(false)
  readonly #tooSlow = Latch.makeUnsafe(false)
  #unsent: Array<Uint8Array> = []
  #hasLeft = false
  /** Bytes that have not been written yet. */
  unsentBytes = 0
  /** Whether the backlog grew beyond its limit. Lines for this person are then dropped. */
  isTooSlow = false

  constructor(connection: Tcp.TcpStream) {
    this.#connection = connection
  }

  /** Queues a line for this person. Drops it if the person is too slow. */
  say(line: string): void {
    if (this.isTooSlow) return
    const bytes = Buffer.from(`${line}\n`)
    if (this.#unsent.push(bytes) === 1) openSoon(this.#somethingToWrite)
    this.unsentBytes += bytes.length
    this.isTooSlow = this.unsentBytes > longestBacklog
    if (this.isTooSlow) openSoon(this.#tooSlow)
  }

  /** Calls `hear` with the lines of each read, until the person ends their side. */
  hearing(hear: (lines: ReadonlyArray<Line>) => Effect.Effect<void>): Effect.Effect<void, PollerError.PollerError> {
    const reader = LineReader.make({ maxLength: longestLine })
    const buffer = new Uint8Array(turn)
    const hearSome = Effect.gen({ self: this }, function* () {
      const length = yield* this.#connection.read(buffer)
      if (length > 0) LineReader.feed(reader, buffer.subarray(0, length))
      else LineReader.end(reader)
      yield* hear(LineReader.takeAll(reader))
      return length > 0
    })
    return Effect.asVoid(Effect.repeat(hearSome, { while: (more) => more }))
  }

  /** Ends `writing` once everything queued so far is written. */
  farewell(): void {
    this.#hasLeft = true
    openSoon(this.#somethingToWrite)
  }

  /**
   * Writes queued lines until the farewell. Ends early, and drops the rest, if the person is too
   * slow.
   */
  get writing(): Effect.Effect<void, PollerError.PollerError> {
    return Effect.raceFirst(this.#writeAll, this.#tooSlow.await)
  }

  readonly #writeAll: Effect.Effect<void, PollerError.PollerError> = Effect.gen({ self: this }, function* () {
    for (;;) {
      yield* this.#somethingToWrite.await
      let bytes: Uint8Array = Buffer.concat(this.#unsent)
      this.#unsent = []
      // Piece by piece, so that bytes already written do not count as unsent.
      while (bytes.length > 0) {
        const written = yield* this.#connection.write(bytes)
        this.unsentBytes -= written
        bytes = bytes.subarray(written)
      }
      if (this.#unsent.length > 0) continue
      if (this.#hasLeft) return
      this.#somethingToWrite.closeUnsafe()
    }
  })
}
