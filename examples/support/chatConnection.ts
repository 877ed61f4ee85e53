/**
 * One connection of the chat server: bytes in, lines out, and the other way round. It is plain synchronous code that never
 * waits; what the kernel does not take now it keeps until there is room.
 */
import type { Result } from "effect"
import { type CodecError, LineReader } from "effect-amy"
import * as Sockets from "./sockets.ts"

/** A line that was sent, or what was wrong with it. */
export type Line = Result.Result<string, CodecError.CodecError>

export interface Heard {
  readonly lines: ReadonlyArray<Line>
  readonly next:
    /** All was read: wait until there is more. */
    | "Wait"
    /** There is more, but it is the others' turn. */
    | "Again"
    /** The person will say nothing more. */
    | "End"
}

/** Bytes that a line may have. */
export const longestLine = 400
/** Bytes that may wait for a person who does not read. */
export const longestBacklog = 1024 * 1024

// What is read is copied by the reader, so all connections can share this.
const buffer = new Uint8Array(4 * 1024)
/**
 * How often a connection may read before others have their turn. It also bounds what one turn adds to a backlog, even of
 * the shortest lines under the longest name: so a backlog that grows too long was there before, and its person is slow.
 */
const rounds = 4

export class ChatConnection {
  readonly fd: number
  readonly #reader = LineReader.make({ maxLength: longestLine })
  #unsent: Array<Uint8Array> = []
  #isFull = false
  /** Bytes that are still to be written. */
  unsentBytes = 0
  /** Whether more than that waited, and lines are lost to this person. */
  isTooSlow = false
  /** Whether everything was read, and the connection is to be closed once everything is written. */
  hasEnded = false

  constructor(fd: number) {
    this.fd = fd
  }

  /** Reads what is there, as an edge-triggered poller demands: until it would block. Throws `SocketError`. */
  read(): Heard {
    const next = this.#read()
    return { lines: LineReader.takeAll(this.#reader), next }
  }

  #read(): Heard["next"] {
    if (this.hasEnded) return "End"
    for (let round = 0; round < rounds; round++) {
      const length = Sockets.read(this.fd, buffer)
      if (length === Sockets.wouldBlock) return "Wait"
      if (length === 0) {
        this.hasEnded = true
        LineReader.end(this.#reader)
        return "End"
      }
      LineReader.feed(this.#reader, buffer.subarray(0, length))
    }
    return "Again"
  }

  /** Puts a line behind those that are still to be written. Nothing more is kept for a person who does not read. */
  say(line: string): void {
    if (this.isTooSlow) return
    const bytes = Buffer.from(`${line}\n`)
    this.#unsent.push(bytes)
    this.unsentBytes += bytes.length
    this.isTooSlow = this.unsentBytes > longestBacklog
  }

  /** Whether `flush` has something to do. After it would have blocked it has not, until there is room. */
  get wantsFlush(): boolean {
    return this.unsentBytes > 0 && !this.#isFull
  }

  /** The poller has reported that there is room again. */
  hasRoom(): void {
    this.#isFull = false
  }

  /** Writes until everything is written, or until it would block, and keeps the rest. Throws `SocketError`. */
  flush(): void {
    let bytes: Uint8Array = this.#unsent.length === 1 ? this.#unsent[0]! : Buffer.concat(this.#unsent)
    while (bytes.length > 0) {
      const written = Sockets.write(this.fd, bytes)
      if (written === Sockets.wouldBlock) {
        this.#isFull = true
        break
      }
      bytes = bytes.subarray(written)
    }
    this.#unsent = bytes.length === 0 ? [] : [bytes]
    this.unsentBytes = bytes.length
  }
}
