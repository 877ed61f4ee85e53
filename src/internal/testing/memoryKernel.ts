/**
 * A kernel in memory: descriptors whose readiness a test declares, and a selector over them that
 * behaves as epoll does, entry by entry. Nothing in it waits, and it uses neither a thread nor the
 * system.
 */
import { constants } from "node:os"
import { Refused } from "../kernel/owners.ts"
import type { Alarm, LevelSet, Selector, Trigger } from "../kernel/selector.ts"
import { Interest, Readiness } from "../kernel/selector.ts"
import { queueMicrotask } from "../libc/realTime.ts"
import { highOf, lowOf } from "../kernel/userData.ts"
import { localTrigger } from "../kernel/selector.ts"

const { EBADF, EEXIST, ENOENT, EPERM } = constants.errno

/** What is reported to every interest once both ends are closed. */
const hangUp = Readiness.ReadClosed | Readiness.WriteClosed

interface Watch {
  readonly id: number
  mailbox: number
  interest: number
  /** False from the report of a oneshot registration until it is modified. */
  armed: boolean
}

interface Descriptor {
  readonly pollable: boolean
  /** What the descriptor is ready for now, in `Readiness` bits. */
  state: number
  watch: Watch | undefined
  /** Of a level-triggered set: its members, with the interest in each. */
  readonly members?: Map<number, number>
}

interface Entry {
  readonly mailbox: number
  readonly id: number
  readonly readiness: number
}

export interface Registered {
  readonly fd: number
  readonly id: number
  readonly interest: number
}

export class MemoryKernel {
  readonly #descriptors = new Map<number, Descriptor>()
  /**
   * The descriptors that had an edge since their last report, in the order of the edges, each once.
   */
  readonly #ready = new Set<Descriptor>()
  readonly #sent: Array<Entry> = []
  /** Called after each edge. */
  onEdge: () => void = () => {}

  /** Opens a descriptor. It gets the lowest free number from 3 on, as in a process. */
  open(pollable: boolean, state: number): number {
    let fd = 3
    while (this.#descriptors.has(fd)) fd++
    this.#descriptors.set(fd, { pollable, state, watch: undefined })
    return fd
  }

  /** Closes a descriptor, which ends its registration. Returns whether it was open. */
  close(fd: number): boolean {
    const descriptor = this.#descriptors.get(fd)
    if (descriptor === undefined) return false
    this.#ready.delete(descriptor)
    this.#descriptors.delete(fd)
    for (const { members } of this.#descriptors.values()) members?.delete(fd)
    return true
  }

  /**
   * Adds to what a descriptor is ready for: an edge, even if nothing changes. Returns whether the
   * descriptor is open.
   */
  raise(fd: number, bits: number): boolean {
    const descriptor = this.#descriptors.get(fd)
    if (descriptor === undefined) return false
    descriptor.state |= bits
    this.#edge(descriptor, bits)
    for (const set of this.#descriptors.values()) if (set.members?.has(fd) === true) this.#edge(set, Readiness.Readable)
    return true
  }

  /**
   * Removes from what a descriptor is ready for, without an edge. Returns whether the descriptor is
   * open.
   */
  lower(fd: number, bits: number): boolean {
    const descriptor = this.#descriptors.get(fd)
    if (descriptor === undefined) return false
    // After the last byte comes the end of the input, which is something to read as well.
    const kept = (descriptor.state & Readiness.ReadClosed) === 0 ? 0 : Readiness.Readable
    descriptor.state &= ~bits | kept
    return true
  }

  get registered(): ReadonlyArray<Registered> {
    return Array.from(this.#descriptors, ([fd, { watch }]) => ({ fd, watch })).flatMap(({ fd, watch }) =>
      watch === undefined ? [] : [{ fd, id: watch.id, interest: watch.interest }]
    )
  }

  /**
   * Reports a registration that has no descriptor. With `later`, no consumer runs before this
   * returns.
   */
  send(mailbox: number, id: number, later = false): void {
    if (!this.#sent.some((entry) => entry.mailbox === mailbox && entry.id === id)) {
      this.#sent.push({ mailbox, id, readiness: Readiness.Readable })
    }
    if (later) queueMicrotask(() => this.onEdge())
    else this.onEdge()
  }

  #edge(descriptor: Descriptor, bits: number): void {
    if (descriptor.watch === undefined || !descriptor.watch.armed) return
    // An end that closes is reported to every interest, and anything else to the interest in it.
    const cause = (bits & (hangUp | Readiness.Error)) === 0 ? bits : ~0
    if ((visible(descriptor.watch.interest, this.#stateOf(descriptor)) & cause) === 0) return
    this.#ready.add(descriptor)
    this.onEdge()
  }

  /** Returns what a descriptor is ready for. A set is readable while one of its members is ready. */
  #stateOf({ members, state }: Descriptor): number {
    if (members === undefined) return state
    for (const [fd, interest] of members) if (this.#readiness(fd, interest) > 0) return Readiness.Readable
    return 0
  }

  /** Returns what a number is ready for, or the negated errno. */
  #readiness(fd: number, interest: number): number {
    const descriptor = this.#descriptors.get(fd)
    if (descriptor === undefined) return -EBADF
    // A file is always ready.
    return descriptor.pollable ? visible(interest, this.#stateOf(descriptor)) : interest
  }

  #openLevelSet(): LevelSet {
    const members = new Map<number, number>()
    const set: Descriptor = { pollable: true, state: 0, watch: undefined, members }
    let number = 3
    while (this.#descriptors.has(number)) number++
    this.#descriptors.set(number, set)
    let found: ReadonlyArray<readonly [fd: number, readiness: number]> = []
    return {
      fd: number,
      update: (fd, interest) => {
        if (interest === 0) {
          members.delete(fd)
          return 0
        }
        const descriptor = this.#descriptors.get(fd)
        if (descriptor === undefined) return EBADF
        if (!descriptor.pollable) return EPERM
        members.set(fd, interest)
        // Not now, because no fiber runs within a call to the kernel.
        queueMicrotask(() => this.#edge(set, Readiness.Readable))
        return 0
      },
      look: () => {
        found = Array.from(members, ([fd, interest]) => [fd, this.#readiness(fd, interest)] as const).filter(
          ([, readiness]) => readiness > 0
        )
        return found.length
      },
      ready: (index) => found[index]![0],
      readiness: (index) => found[index]![1],
      close: () => void this.close(number)
    }
  }

  /** Takes what is ready, up to `capacity` entries. */
  #collect(capacity: number): Array<Entry> {
    const entries = this.#sent.splice(0, capacity)
    for (const descriptor of this.#ready) {
      if (entries.length === capacity) break
      this.#ready.delete(descriptor)
      const { watch } = descriptor
      if (watch === undefined) continue
      // A state that is over by now is not reported.
      const readiness = visible(watch.interest, this.#stateOf(descriptor))
      if (readiness === 0) continue
      if ((watch.interest & Interest.Oneshot) !== 0) watch.armed = false
      entries.push({ mailbox: watch.mailbox, id: watch.id, readiness })
    }
    return entries
  }

  /** Makes the selector over this kernel, with the same functions as epoll.ts. */
  selector(capacity: number, openAlarm: (mailbox: number) => Alarm): Selector {
    let batch: Array<Entry> = []
    const watch = (descriptor: Descriptor, interest: number, mailbox: number, id: number): number => {
      descriptor.watch = { id, mailbox, interest, armed: true }
      // A registration reports what is ready already. The report waits until the caller has noted
      // the registration's id.
      this.#ready.add(descriptor)
      return 0
    }
    return {
      handle: { fd: -1, wake: -1, owners: new SharedArrayBuffer(0) },
      syscalls: { add: "epoll_ctl(ADD)", modify: "epoll_ctl(MOD)", remove: "epoll_ctl(DEL)" },
      lacks: 0,
      capacity,
      add: (fd, interest, mailbox, id) => {
        const descriptor = this.#descriptors.get(fd)
        if (descriptor === undefined) return EBADF
        if (!descriptor.pollable) return EPERM
        return descriptor.watch === undefined ? watch(descriptor, interest, mailbox, id) : EEXIST
      },
      modify: (fd, interest, mailbox, id) => {
        const descriptor = this.#descriptors.get(fd)
        if (descriptor === undefined) return EBADF
        if (!descriptor.pollable) return EPERM
        if (descriptor.watch === undefined) return ENOENT
        return descriptor.watch.id === id ? watch(descriptor, interest, mailbox, id) : Refused.Another
      },
      remove: (fd, id) => {
        const descriptor = this.#descriptors.get(fd)
        if (descriptor === undefined) return EBADF
        if (!descriptor.pollable) return EPERM
        if (descriptor.watch === undefined) return ENOENT
        if (id !== undefined && descriptor.watch.id !== id) return Refused.Another
        descriptor.watch = undefined
        this.#ready.delete(descriptor)
        return 0
      },
      isOwn: () => false,
      readinessNow: (fd, interest) => this.#readiness(fd, interest),
      openLevelSet: () => this.#openLevelSet(),
      wait: () => {
        batch = this.#collect(capacity)
        return batch.length
      },
      mailbox: (index) => batch[index]!.mailbox,
      low: (index) => lowOf(batch[index]!.id),
      high: (index) => highOf(batch[index]!.id),
      readiness: (index) => batch[index]!.readiness,
      openAlarm,
      openTrigger: (mailbox, id) => this.#openTrigger(mailbox, id),
      wake: () => this.onEdge(),
      close: () => {
        for (const descriptor of this.#descriptors.values()) descriptor.watch = undefined
        this.#ready.clear()
        this.#sent.length = 0
      }
    }
  }

  #openTrigger(mailbox: number, id: number): Trigger {
    let triggered = false
    return {
      handle: localTrigger,
      trigger: () => {
        triggered = true
        this.send(mailbox, id)
        return 0
      },
      reset: () => {
        const was = triggered
        triggered = false
        return was
      },
      close: () => {}
    }
  }
}

/** Returns the part of a state that is reported to an interest. */
const visible = (interest: number, state: number): number => {
  let mask: number = Readiness.Error
  if ((interest & Interest.Read) !== 0) mask |= Readiness.Readable | Readiness.ReadClosed
  if ((interest & Interest.Write) !== 0) mask |= Readiness.Writable
  if ((interest & Interest.Priority) !== 0) mask |= Readiness.Priority
  if ((state & hangUp) === hangUp) mask |= hangUp
  // An error closes the writing side, whether it is reported alone or to an interest in writing.
  if ((state & Readiness.Error) !== 0) mask |= Readiness.WriteClosed
  return state & mask
}
