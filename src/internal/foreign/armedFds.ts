/** The armed descriptors of a thread, by number: all waits for one number share a registration. */
import type { Attachment } from "../delivery/attachment.ts"
import { ArmedFd } from "./armedFd.ts"

export class ArmedFds {
  readonly #attachment: Attachment
  readonly #byFd = new Map<number, ArmedFd>()

  private constructor(attachment: Attachment) {
    this.#attachment = attachment
  }

  static of(attachment: Attachment): ArmedFds {
    let all = byAttachment.get(attachment)
    if (all === undefined) {
      all = new ArmedFds(attachment)
      byAttachment.set(attachment, all)
    }
    return all
  }

  /** Returns the armed descriptor of a number. `tidy` removes it again. */
  at(fd: number): ArmedFd {
    let armed = this.#byFd.get(fd)
    if (armed === undefined) {
      armed = new ArmedFd(this.#attachment, fd)
      this.#byFd.set(fd, armed)
    }
    return armed
  }

  /** Ends a registration that nothing uses any more. */
  tidy(armed: ArmedFd): void {
    if (!armed.isUnused || this.#byFd.get(armed.fd) !== armed) return
    this.#byFd.delete(armed.fd)
    armed.release()
  }
}

const byAttachment = new WeakMap<Attachment, ArmedFds>()

/**
 * Keeps the registrations of the numbers that were waited for last, so that the next wait for them
 * is one system call.
 */
export class Holder {
  readonly #all: ArmedFds
  #held: ReadonlyArray<ArmedFd> = []

  constructor(all: ArmedFds) {
    this.#all = all
  }

  /** Holds these in place of those before. */
  hold(held: ReadonlyArray<ArmedFd>): void {
    const before = this.#held
    if (before.length === held.length && before.every((armed, index) => armed === held[index])) return
    for (const armed of held) armed.holders++
    this.#held = held
    for (const armed of before) {
      armed.holders--
      this.#all.tidy(armed)
    }
  }

  release(): void {
    this.hold([])
  }
}
