/**
 * What the thread that waits in the kernel does with a batch: each entry's user data says whose it is, and it goes to
 * that thread's mailbox, or straight on if it is this thread's own.
 */
import type { PollerMemory } from "./pollerMemory.ts"
import { MailboxWriter, pack } from "./mailbox.ts"
import type { Selector } from "../kernel/selector.ts"

/**
 * The longest time in milliseconds that a thread stays in the kernel, and that an attached one goes without a look at the
 * polling thread. Nothing depends on it: it is for the case in which the thread that should have woken it was killed.
 */
export const safetyNet = 1000

/** Takes what is for the waiting thread itself, where that thread is a consumer as well. */
export interface Local {
  readonly mailbox: number
  readonly accept: (low: number, word: number) => void
}

export class Router {
  readonly #memory: PollerMemory
  readonly #selector: Selector
  readonly #local: Local | undefined
  readonly #writers: Array<MailboxWriter | undefined> = []
  /** The writers that were given something since they last published. */
  readonly #dirty: Array<MailboxWriter> = []

  constructor(memory: PollerMemory, selector: Selector, local: Local | undefined) {
    this.#memory = memory
    this.#selector = selector
    this.#local = local
  }

  /** Waits once, for up to `timeout` milliseconds, and delivers. Answers how many entries the kernel reported. */
  poll(timeout: number): number {
    const count = this.#wait(timeout)
    if (this.#deliver(count)) while (this.#answerRequests());
    return count
  }

  #wait(timeout: number): number {
    const count = this.#selector.wait(timeout)
    this.#memory.countWait()
    return count
  }

  /** Answers whether a wake-up was among it. */
  #deliver(count: number): boolean {
    const selector = this.#selector
    const local = this.#local
    const localMailbox = local === undefined ? 0 : local.mailbox
    let woken = false
    let last = 0
    let writer: MailboxWriter | undefined
    for (let i = 0; i < count; i++) {
      const mailbox = selector.mailbox(i)
      if (mailbox === 0) {
        woken = true
      } else if (mailbox === localMailbox) {
        local!.accept(selector.low(i), pack(selector.high(i), selector.readiness(i)))
      } else {
        if (mailbox !== last || writer === undefined) {
          last = mailbox
          writer = this.#writer(mailbox)
          if (!this.#dirty.includes(writer)) this.#dirty.push(writer)
        }
        writer.push(selector.low(i), selector.high(i), selector.readiness(i))
      }
    }
    for (const each of this.#dirty) each.publish()
    this.#dirty.length = 0
    return woken
  }

  #writer(mailbox: number): MailboxWriter {
    return (this.#writers[mailbox] ??= new MailboxWriter(this.#memory, mailbox))
  }

  /**
   * A thread has woken this one: because it has room again, or because it asks to be told of all that is ready. Answers
   * whether one did so again meanwhile: whoever it is, it may have asked too late for this time.
   */
  #answerRequests(): boolean {
    let woken = false
    const asked: Array<readonly [MailboxWriter, number]> = []
    for (let mailbox = 1; mailbox <= this.#memory.mailboxes.count; mailbox++) {
      const request = this.#memory.mailboxes.syncRequest(mailbox)
      if (request !== undefined) asked.push([this.#writer(mailbox), request])
    }
    if (asked.length > 0) {
      // What was ready when they asked is in the kernel's list by now: read it to its end.
      const capacity = this.#selector.capacity
      let count
      do {
        count = this.#wait(0)
        if (this.#deliver(count)) woken = true
      } while (count === capacity)
      for (const [writer, request] of asked) writer.answer(request)
    }
    for (const writer of this.#writers) writer?.publish()
    return woken
  }
}
