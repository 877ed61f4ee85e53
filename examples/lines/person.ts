/** Someone who is connected: lines are said to them at once, and written as fast as they read. */
import { Effect, Latch } from "effect"
import { LineReader, type PollerError, type Tcp } from "effect-amy"
import type { Line, Listener } from "./room.ts"

/** Bytes that a line may have. */
export const longestLine = 400
/** Bytes that may wait for a person who does not read. */
export const longestBacklog = 1024 * 1024
/**
 * Bytes that are heard at a time. It also bounds what one turn adds to a backlog, even of the shortest lines under the
 * longest name: so a backlog that grows too long was there before, and its person is slow.
 */
const turn = 4 * 1024

/** Opening resumes whoever waits on the spot, and that must not be in the middle of what the room is doing. */
const openSoon = (latch: Latch.Latch): void => queueMicrotask(() => latch.openUnsafe())

export class Person implements Listener {
  readonly #connection: Tcp.TcpStream
  readonly #somethingToWrite = Latch.makeUnsafe(false)
  readonly #tooSlow = Latch.makeUnsafe(false)
  #unsent: Array<Uint8Array> = []
  #hasLeft = false
  /** Bytes that are still to be written. */
  unsentBytes = 0
  /** Whether more waited than may, and lines are lost to this person. */
  isTooSlow = false

  constructor(connection: Tcp.TcpStream) {
    this.#connection = connection
  }

  /** Puts a line behind those that are still to be written. Nothing more is kept for a person who does not read. */
  say(line: string): void {
    if (this.isTooSlow) return
    const bytes = Buffer.from(`${line}\n`)
    if (this.#unsent.push(bytes) === 1) openSoon(this.#somethingToWrite)
    this.unsentBytes += bytes.length
    this.isTooSlow = this.unsentBytes > longestBacklog
    if (this.isTooSlow) openSoon(this.#tooSlow)
  }

  /** Hears this person until they have nothing more to say. What `hear` is given came with one read. */
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

  /** Nothing more is said to this person: what is unsent is the last of it. */
  farewell(): void {
    this.#hasLeft = true
    openSoon(this.#somethingToWrite)
  }

  /** Writes what is said, until the farewell, or until this person is too slow: then what is left is dropped. */
  get writing(): Effect.Effect<void, PollerError.PollerError> {
    return Effect.raceFirst(this.#writeAll, this.#tooSlow.await)
  }

  readonly #writeAll: Effect.Effect<void, PollerError.PollerError> = Effect.gen({ self: this }, function* () {
    for (;;) {
      yield* this.#somethingToWrite.await
      let bytes: Uint8Array = Buffer.concat(this.#unsent)
      this.#unsent = []
      // Piece by piece, so that what was written does not count as waiting.
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
