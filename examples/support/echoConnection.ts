/**
 * One connection that gets back what it sends: a state machine over `read` and `write`, and nothing else. It is plain
 * synchronous code that never waits; it answers what to wait for.
 *
 * What could be read but not written is the backlog. While there is one, nothing more is read: a client that sends
 * and does not read fills its own send buffer in the end, and not this program's memory.
 */
import * as Sockets from "./sockets.ts"

/** What a connection needs before it can go on. */
export type Next =
  /** It has read all there is: wait until there is more. */
  | "Read"
  /** The send buffer is full: wait until there is room. */
  | "Write"
  /** There is more to do at once, but it is the others' turn. */
  | "Again"
  /** The client has sent everything and was sent everything: close. */
  | "End"

// What is in here is written, or copied to a backlog, before the next read: all connections of a thread can share it.
const buffer = new Uint8Array(64 * 1024)
const nothing = new Uint8Array(0)

/** How often a connection may read before others have their turn. A fast client could keep it busy for ever. */
const rounds = 16

export class EchoConnection {
  readonly fd: number
  received = 0
  sent = 0
  /** How often the send buffer was full. */
  fullBuffers = 0
  #backlog: Uint8Array = nothing

  constructor(fd: number) {
    this.fd = fd
  }

  /**
   * Goes on until it would block, as an edge-triggered poller demands: of data that was left unread there is no second
   * notification. Throws `SocketError`.
   */
  advance(): Next {
    for (let round = 0; round < rounds; round++) {
      if (!this.#writeBacklog()) {
        this.fullBuffers++
        return "Write"
      }
      const length = Sockets.read(this.fd, buffer)
      if (length === Sockets.wouldBlock) return "Read"
      if (length === 0) return "End"
      this.received += length
      this.#backlog = buffer.subarray(0, length)
    }
    if (this.#writeBacklog()) return "Again"
    this.fullBuffers++
    return "Write"
  }

  /** Answers whether all of it could be written. */
  #writeBacklog(): boolean {
    if (this.#backlog.length === 0) return true
    const written = Sockets.write(this.fd, this.#backlog)
    if (written !== Sockets.wouldBlock) {
      this.sent += written
      this.#backlog = this.#backlog.subarray(written)
    }
    if (this.#backlog.length === 0) return true
    // The shared buffer is about to be another connection's.
    if (this.#backlog.buffer === buffer.buffer) this.#backlog = this.#backlog.slice()
    return false
  }
}
