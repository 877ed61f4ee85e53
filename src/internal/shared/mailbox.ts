/**
 * How readiness crosses threads: a ring in shared memory with one writer (whoever waits in the kernel) and one reader
 * (the thread that owns the mailbox). An entry is two words: the low half of an id, and its high bits with the readiness
 * above them.
 *
 * The writer never blocks and nothing is lost: what does not fit is kept on the writer's side, merged by id, until the
 * reader has made room and asked for it.
 */
import type { PollerMemory } from "./pollerMemory.ts"
import { Box, boxHeaderWords } from "./mailboxTable.ts"
import { highBits, highMask, joinId } from "../kernel/userData.ts"

/** The second word of an entry. */
export const pack = (high: number, readiness: number): number => (readiness << highBits) | high

/** The waiting thread's end of one mailbox. */
export class MailboxWriter {
  readonly #memory: PollerMemory
  readonly #words: Int32Array
  readonly #base: number
  readonly #ring: number
  readonly #mask: number
  /** What did not fit: the low half and readiness of each id, by id. */
  readonly #overflow = new Map<number, { readonly low: number; word: number }>()
  #tail: number
  #room = 0
  #answer: number | undefined

  constructor(memory: PollerMemory, mailbox: number) {
    this.#memory = memory
    this.#words = memory.words
    this.#base = memory.mailboxes.base(mailbox)
    this.#ring = this.#base + boxHeaderWords
    this.#mask = memory.mailboxes.ringSize - 1
    this.#tail = Atomics.load(this.#words, this.#base + Box.Tail)
  }

  /** Puts one entry in; it is seen after `publish`. */
  push(low: number, high: number, readiness: number): void {
    const word = pack(high, readiness)
    if (this.#overflow.size > 0 || !this.#write(low, word)) this.#keep(low, word)
  }

  /** Makes everything put in so far visible to the reader, and wakes it if it sleeps. */
  publish(): void {
    const words = this.#words
    Atomics.store(words, this.#base + Box.Tail, this.#tail)
    if (this.#overflow.size > 0) {
      // Announced before room is looked for again: a reader that has emptied the ring meanwhile either made that room
      // visible or will see the announcement before it sleeps.
      Atomics.store(words, this.#base + Box.Overflow, 1)
      this.#refill()
    }
    if (this.#answer !== undefined && this.#overflow.size === 0) {
      Atomics.store(words, this.#base + Box.SyncDone, this.#answer)
      this.#answer = undefined
    }
    this.#wake()
  }

  /** Everything ready when this request was made is in: its owner is told as soon as all of it fits into the ring. */
  answer(request: number): void {
    this.#answer = request
  }

  #write(low: number, word: number): boolean {
    if (this.#room === 0) {
      this.#room = this.#mask + 1 - ((this.#tail - Atomics.load(this.#words, this.#base + Box.Head)) | 0)
      if (this.#room === 0) return false
    }
    const at = this.#ring + (this.#tail & this.#mask) * 2
    this.#words[at] = low
    this.#words[at + 1] = word
    this.#tail = (this.#tail + 1) | 0
    this.#room--
    return true
  }

  #keep(low: number, word: number): void {
    if (Atomics.load(this.#words, this.#base + Box.Owner) === 0) {
      // Its thread has gone and takes nothing any more.
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
    Atomics.store(this.#words, this.#base + Box.Tail, this.#tail)
    if (this.#overflow.size === 0) Atomics.store(this.#words, this.#base + Box.Overflow, 0)
  }

  #wake(): void {
    const sleeping = this.#base + Box.Sleeping
    if (Atomics.load(this.#words, sleeping) !== 1) return
    if (Atomics.compareExchange(this.#words, sleeping, 1, 0) !== 1) return
    Atomics.notify(this.#words, sleeping)
    this.#memory.countWakeup()
  }
}

/** The owner's end of a mailbox. */
export class MailboxReader {
  readonly mailbox: number
  readonly #words: Int32Array
  readonly #base: number
  readonly #ring: number
  readonly #mask: number

  constructor(memory: PollerMemory, mailbox: number) {
    this.mailbox = mailbox
    this.#words = memory.words
    this.#base = memory.mailboxes.base(mailbox)
    this.#ring = this.#base + boxHeaderWords
    this.#mask = memory.mailboxes.ringSize - 1
    // A mailbox that had another owner before begins with what comes from now on.
    Atomics.store(this.#words, this.#base + Box.Head, Atomics.load(this.#words, this.#base + Box.Tail))
  }

  /** Hands on all that is in the ring. Answers whether the writer holds more back: then wake it. */
  drain(accept: (low: number, word: number) => void): boolean {
    const words = this.#words
    let head = words[this.#base + Box.Head]!
    const tail = Atomics.load(words, this.#base + Box.Tail)
    for (; head !== tail; head = (head + 1) | 0) {
      const at = this.#ring + (head & this.#mask) * 2
      accept(words[at]!, words[at + 1]!)
    }
    Atomics.store(words, this.#base + Box.Head, head)
    return Atomics.compareExchange(words, this.#base + Box.Overflow, 1, 0) === 1
  }

  get isEmpty(): boolean {
    return (
      Atomics.load(this.#words, this.#base + Box.Tail) === Atomics.load(this.#words, this.#base + Box.Head) &&
      Atomics.load(this.#words, this.#base + Box.Overflow) === 0
    )
  }

  /**
   * Declares the owner asleep. Look once more for what came in before that, then either `stayAwake` or wait for the
   * promise, which resolves when the writer has something.
   */
  fallAsleep(): void {
    Atomics.store(this.#words, this.#base + Box.Sleeping, 1)
  }

  stayAwake(): void {
    Atomics.store(this.#words, this.#base + Box.Sleeping, 0)
  }

  /** Resolves once the owner is woken; `undefined` if it is already. */
  awaitWake(): Promise<unknown> | undefined {
    const result = Atomics.waitAsync(this.#words, this.#base + Box.Sleeping, 1)
    return result.async ? result.value : undefined
  }

  /** Ends the owner's own sleep. */
  wakeOwner(): void {
    this.stayAwake()
    Atomics.notify(this.#words, this.#base + Box.Sleeping)
  }

  /** Asks to be told when everything that is ready by now has come in; answers the request's number. Wake the writer. */
  requestSync(): number {
    return (Atomics.add(this.#words, this.#base + Box.SyncRequested, 1) + 1) | 0
  }

  /** The last request that was answered. */
  get synced(): number {
    return Atomics.load(this.#words, this.#base + Box.SyncDone)
  }
}
