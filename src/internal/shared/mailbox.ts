/**
 * Carries readiness from thread to thread. A mailbox is a ring in shared memory. Its one writer is
 * the thread that waits in the kernel, and its one reader is the thread that owns it. An entry is
 * two words: the low word of an id, and its high bits with the readiness above them.
 *
 * The writer never blocks, and no entry is lost. The writer keeps entries that do not fit, merged
 * by id, until the reader has made room and wakes it.
 */
import type { PollerMemory } from "./pollerMemory.ts"
import { Box, boxHeaderWords } from "./mailboxTable.ts"
import { highBits, highMask, joinId } from "../kernel/userData.ts"

/** Returns the second word of an entry. */
export const pack = (high: number, readiness: number): number => (readiness << highBits) | high

/** The writer's end of a mailbox. */
export class MailboxWriter {
  readonly #memory: PollerMemory
  readonly #words: Int32Array
  readonly #mask: number
  /** The entries that did not fit, by id. */
  readonly #overflow = new Map<number, { readonly low: number; word: number }>()
  #tail: number
  #room = 0
  /** The sync to complete as soon as all entries are in the ring. */
  #pendingSync: number | undefined

  constructor(memory: PollerMemory, mailbox: number) {
    this.#memory = memory
    this.#words = memory.mailboxes.box(mailbox)
    this.#mask = memory.mailboxes.ringSize - 1
    this.#tail = Atomics.load(this.#words, Box.Tail)
  }

  /** Writes one entry. The reader sees it after `publish`. */
  push(low: number, high: number, readiness: number): void {
    const word = pack(high, readiness)
    if (this.#overflow.size > 0 || !this.#write(low, word)) this.#keep(low, word)
  }

  /**
   * Makes all written entries visible to the reader, and wakes it if it sleeps. Returns whether the
   * reader had taken everything before.
   */
  publish(): boolean {
    const words = this.#words
    const isAwaited = words[Box.Tail] === Atomics.load(words, Box.Head)
    Atomics.store(words, Box.Tail, this.#tail)
    if (this.#overflow.size > 0) {
      // Announces the overflow before it looks for room again. A reader that empties the ring
      // meanwhile either has made that room visible, or sees the announcement before it sleeps.
      Atomics.store(words, Box.Overflow, 1)
      this.#refill()
    }
    if (this.#pendingSync !== undefined && this.#overflow.size === 0) {
      Atomics.store(words, Box.SyncDone, this.#pendingSync)
      this.#pendingSync = undefined
    }
    this.#wake()
    return isAwaited
  }

  /**
   * Called when all that was ready at the time of the request is written. `publish` completes the
   * sync once all of it fits into the ring.
   */
  completeSync(request: number): void {
    this.#pendingSync = request
  }

  #write(low: number, word: number): boolean {
    if (this.#room === 0) {
      this.#room = this.#mask + 1 - ((this.#tail - Atomics.load(this.#words, Box.Head)) | 0)
      if (this.#room === 0) return false
    }
    const at = boxHeaderWords + (this.#tail & this.#mask) * 2
    this.#words[at] = low
    this.#words[at + 1] = word
    this.#tail = (this.#tail + 1) | 0
    this.#room--
    return true
  }

  #keep(low: number, word: number): void {
    if (Atomics.load(this.#words, Box.Owner) === 0) {
      // The owner is gone, and takes nothing any more.
      this.#overflow.clear()
      return
    }
    const id = joinId(low, word & highMask)
    const kept = this.#overflow.get(id)
    if (kept === undefined) this.#overflow.set(id, { low, word })
    else kept.word |= word
    this.#memory.countOverflow()
  }

  #refill(): void {
    for (const [id, { low, word }] of this.#overflow) {
      if (!this.#write(low, word)) break
      this.#overflow.delete(id)
    }
    Atomics.store(this.#words, Box.Tail, this.#tail)
    if (this.#overflow.size === 0) Atomics.store(this.#words, Box.Overflow, 0)
  }

  #wake(): void {
    const words = this.#words
    if (Atomics.load(words, Box.Sleeping) !== 1) return
    if (Atomics.compareExchange(words, Box.Sleeping, 1, 0) !== 1) return
    Atomics.notify(words, Box.Sleeping)
    this.#memory.countWakeup()
  }
}

/** The reader's end of a mailbox: the owner's. */
export class MailboxReader {
  readonly mailbox: number
  readonly #words: Int32Array
  readonly #mask: number

  constructor(memory: PollerMemory, mailbox: number) {
    this.mailbox = mailbox
    this.#words = memory.mailboxes.box(mailbox)
    this.#mask = memory.mailboxes.ringSize - 1
    // Skips what is left of the entries of a former owner.
    Atomics.store(this.#words, Box.Head, Atomics.load(this.#words, Box.Tail))
  }

  /**
   * Passes on every entry in the ring. Returns whether the writer keeps more. The caller then has
   * to wake it.
   */
  drain(accept: (low: number, word: number) => void): boolean {
    const words = this.#words
    let head = words[Box.Head]!
    const tail = Atomics.load(words, Box.Tail)
    for (; head !== tail; head = (head + 1) | 0) {
      const at = boxHeaderWords + (head & this.#mask) * 2
      accept(words[at]!, words[at + 1]!)
    }
    Atomics.store(words, Box.Head, head)
    return Atomics.compareExchange(words, Box.Overflow, 1, 0) === 1
  }

  get isEmpty(): boolean {
    return (
      Atomics.load(this.#words, Box.Tail) === Atomics.load(this.#words, Box.Head) &&
      Atomics.load(this.#words, Box.Overflow) === 0
    )
  }

  /**
   * Declares the owner asleep. The owner must then look once more for entries that came before
   * this, and either call `stayAwake` or wait for the promise of `awaitWake`.
   */
  fallAsleep(): void {
    Atomics.store(this.#words, Box.Sleeping, 1)
  }

  stayAwake(): void {
    Atomics.store(this.#words, Box.Sleeping, 0)
  }

  /**
   * Returns a promise that resolves once the owner is woken, or `undefined` if it has been already.
   */
  awaitWake(): Promise<unknown> | undefined {
    const result = Atomics.waitAsync(this.#words, Box.Sleeping, 1)
    return result.async ? result.value : undefined
  }

  /** Ends the owner's sleep from its own thread. */
  wakeOwner(): void {
    this.stayAwake()
    Atomics.notify(this.#words, Box.Sleeping)
  }

  /**
   * Requests a sync: that all that is ready by now comes in. Returns the number of the request. The
   * caller has to wake the writer.
   */
  requestSync(): number {
    return (Atomics.add(this.#words, Box.SyncRequested, 1) + 1) | 0
  }

  /** The number of the last sync that was completed. */
  get synced(): number {
    return Atomics.load(this.#words, Box.SyncDone)
  }
}
