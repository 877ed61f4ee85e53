/**
 * Distributes what the kernel reports, on the thread that waits. The user data of each entry names
 * a mailbox. The entry goes into that mailbox, or straight to the dispatcher if the mailbox is this
 * thread's own.
 */
import type { PollerMemory } from "./pollerMemory.ts"
import { MailboxWriter, pack } from "./mailbox.ts"
import type { Selector } from "../kernel/selector.ts"

/**
 * The longest time, in milliseconds, that a thread stays in the kernel, and that an attached thread
 * goes without checking on the polling thread. Nothing depends on it, unless the thread that should
 * have woken another one is killed.
 */
export const safetyNet = 1000

/** Takes the entries of the waiting thread itself, if that thread is also a consumer. */
export interface LocalMailbox {
  readonly mailbox: number
  readonly accept: (low: number, word: number) => void
}

export class Router {
  readonly #memory: PollerMemory
  readonly #selector: Selector
  readonly #local: LocalMailbox | undefined
  readonly #writers: Array<MailboxWriter | undefined> = []
  /** The writers with entries that are not published. */
  readonly #dirty: Array<MailboxWriter> = []
  #isAwaited = false

  constructor(memory: PollerMemory, selector: Selector, local: LocalMailbox | undefined) {
    this.#memory = memory
    this.#selector = selector
    this.#local = local
  }

  /**
   * Waits once, for up to `timeout` milliseconds, and delivers. Returns the number of entries
   * reported.
   */
  poll(timeout: number): number {
    const count = this.#wait(timeout)
    if (this.#deliver(count)) while (this.#serveMailboxes());
    return count
  }

  /** Whether the last entries went to a thread that had nothing left to consume. */
  get isAwaited(): boolean {
    return this.#isAwaited
  }

  #wait(timeout: number): number {
    const count = this.#selector.wait(timeout)
    this.#memory.countWait()
    return count
  }

  /** Returns whether a wake-up was among the entries. */
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
    this.#isAwaited = false
    for (const each of this.#dirty) if (each.publish()) this.#isAwaited = true
    this.#dirty.length = 0
    return woken
  }

  #writer(mailbox: number): MailboxWriter {
    return (this.#writers[mailbox] ??= new MailboxWriter(this.#memory, mailbox))
  }

  /**
   * Called after a wake-up: another thread's mailbox has room again, or its owner has requested a
   * sync. Returns whether another wake-up came meanwhile. Its thread may have been too late for
   * this call.
   */
  #serveMailboxes(): boolean {
    let woken = false
    const requests: Array<readonly [MailboxWriter, number]> = []
    for (let mailbox = this.#memory.mailboxes.count; mailbox > 0; mailbox--) {
      const request = this.#memory.mailboxes.syncRequest(mailbox)
      if (request !== undefined) requests.push([this.#writer(mailbox), request])
    }
    if (requests.length > 0) {
      // What was ready at the time of a request is in the kernel's list by now. Reads it to its
      // end.
      const capacity = this.#selector.capacity
      let count
      do {
        count = this.#wait(0)
        if (this.#deliver(count)) woken = true
      } while (count === capacity)
      for (const [writer, request] of requests) writer.completeSync(request)
    }
    for (const writer of this.#writers) writer?.publish()
    return woken
  }
}
