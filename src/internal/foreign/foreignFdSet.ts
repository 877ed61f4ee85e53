/** A set of descriptors that a library names as it goes, and one time limit. */
import { constants } from "node:os"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Event } from "../../Event.ts"
import type { ForeignFdSet, KeyedReadyFd, WaitOptions } from "../../ForeignFd.ts"
import { isPollerError, type PollerError } from "../../PollerError.ts"
import { Registrar } from "../../Registrar.ts"
import type { Attachment } from "../delivery/attachment.ts"
import { type Deadline, startDeadline } from "../delivery/deadline.ts"
import { interestError, toInterest } from "../delivery/interest.ts"
import { attachmentOf } from "../delivery/registrar.ts"
import * as Registering from "../delivery/registration.ts"
import { closedBecause, fromErrno, fromThrown, notOpen, unreadable } from "../errors/pollerErrors.ts"
import { Interest, type LevelSet } from "../kernel/selector.ts"
import { queueMicrotask } from "../libc/realTime.ts"
import { State } from "../shared/pollerMemory.ts"
import { isOf } from "../objects/guards.ts"
import { detachMethods, PublicObject } from "../objects/publicObject.ts"
import { ArmedFds, Holder } from "./armedFds.ts"
import { timeoutOf } from "./foreignFd.ts"
import { eventOf } from "./readyFd.ts"
import { type Awaited, type Wait, waitFor } from "./wait.ts"
import { readArgument } from "../errors/arguments.ts"

export const TypeId = "~effect-amy/ForeignFdSet"

export const makeKeyedSet = <Key>(): Effect.Effect<ForeignFdSet<Key>, PollerError, Registrar | Scope.Scope> =>
  Effect.gen(function* () {
    const attachment = yield* attachmentOf(yield* Registrar)
    return yield* Effect.acquireRelease(
      Effect.try({
        try: () => new ForeignFdSetImpl<Key>(attachment, attachment.selector.openLevelSet()),
        catch: fromThrown
      }),
      (set) => Effect.sync(() => set.release())
    )
  })

export const makeSet: Effect.Effect<ForeignFdSet, PollerError, Registrar | Scope.Scope> = makeKeyedSet<void>()

type Found<Key> = ReadonlyArray<KeyedReadyFd<Key>>

const timeUp: Effect.Effect<ReadonlyArray<never>> = Effect.succeed([])

export const isForeignFdSet = (u: unknown): u is ForeignFdSet => isOf(ForeignFdSetImpl, u)

/** Returns what all keys of a descriptor want together. */
const totalOf = (interests: Iterable<number>): number => {
  let total = 0
  for (const interest of interests) total |= interest
  return total
}

/** A set without keys returns none, not even `undefined`. */
const withoutKey = (fd: number, event: Event): KeyedReadyFd<never> => ({ fd, event }) as KeyedReadyFd<never>

class ForeignFdSetImpl<Key> extends PublicObject implements ForeignFdSet<Key> {
  readonly #attachment: Attachment
  readonly #set: LevelSet
  readonly #holder: Holder
  /** What each descriptor is waited for, by key. A set without keys has one, `undefined`. */
  readonly #interests = new Map<number, ReadonlyMap<Key, number>>()
  readonly #waits = new Set<Wait>()
  readonly #awaited: Awaited<Found<Key>>
  #deadline: Deadline | undefined
  /** Why an update failed. A callback of the library's has no use for it, so the next wait fails. */
  #refused: PollerError | undefined
  #ended: PollerError | undefined

  static {
    detachMethods(this)
  }

  constructor(attachment: Attachment, set: LevelSet) {
    super()
    this.#attachment = attachment
    this.#set = set
    this.#holder = new Holder(ArmedFds.of(attachment))
    const targets = [{ fd: set.fd, interest: Interest.Read }]
    this.#awaited = {
      attachment,
      holder: this.#holder,
      ask: () => this.#ended,
      targets: () => targets,
      look: () => this.#look(),
      timeUp
    }
  }

  get [TypeId](): typeof TypeId {
    return TypeId
  }

  get size(): number {
    return this.#interests.size
  }

  update(fd: number, event: Event | "None", key: Key): void {
    this.#attempt(() => {
      const interest = event === "None" ? 0 : toInterest(event, undefined)
      const refused = interest < 0 ? interestError(interest) : Registering.refusal(this.#attachment, fd, interest)
      if (refused !== undefined) return refused
      const interests = new Map(this.#interests.get(fd))
      if (interest === 0) interests.delete(key)
      else interests.set(key, interest)
      const errno = this.#set.update(fd, totalOf(interests.values()))
      if (errno === 0 && interests.size > 0) this.#interests.set(fd, interests)
      // A number that is not open is not waited for any more, either.
      else if (errno === 0 || errno === constants.errno.EBADF) this.#interests.delete(fd)
      // A library may close its descriptor before it says so, key by key.
      if (errno === 0 || (errno === constants.errno.EBADF && interest === 0)) return undefined
      return fromErrno(this.#attachment.selector.syscalls.add, errno, { fd })
    })
  }

  updateTimeout(timeout: Duration.Input | undefined): void {
    this.#attempt(() => {
      const millis = timeoutOf(timeout)
      if (typeof millis !== "number") return millis
      this.#forgetTime()
      if (millis === Infinity) return undefined
      const deadline = startDeadline(this.#attachment, millis, this.#expire, () => {})
      if (isPollerError(deadline)) return deadline
      this.#deadline = deadline
      return undefined
    })
  }

  #forgetTime(): void {
    this.#deadline?.cancel()
    this.#deadline = undefined
  }

  readonly #expire = (): void => {
    // Without a fiber that waits, the next wait sees that this deadline is over.
    if (this.#waits.size === 0) return
    this.#deadline = undefined
    for (const wait of Array.from(this.#waits)) wait.expire()
  }

  /** Makes a change in a callback of the library's, which has no use for an error. */
  #attempt(change: () => PollerError | undefined): void {
    if (this.#ended !== undefined) return
    let error: PollerError | undefined
    try {
      error = change()
    } catch (thrown) {
      error = unreadable("an argument", thrown)
    }
    if (error === undefined) return
    this.#refused ??= error
    // Not now, for no fiber may run inside of the callback.
    if (this.#waits.size > 0) queueMicrotask(this.#failWaits)
  }

  /** Fails the fibers that wait, because an update was refused. Without one, the next wait fails. */
  readonly #failWaits = (): void => {
    const refused = this.#refused
    if (refused === undefined || this.#waits.size === 0) return
    this.#refused = undefined
    for (const wait of Array.from(this.#waits)) wait.fail(refused)
  }

  wait(options?: WaitOptions): Effect.Effect<Found<Key>, PollerError> {
    const timeout = readArgument("the option timeout", () => options?.timeout)
    const millis = isPollerError(timeout) ? timeout : timeoutOf(timeout)
    if (typeof millis !== "number") return Effect.fail(millis)
    return Effect.suspend(() => {
      const refused = this.#refused
      this.#refused = undefined
      if (refused !== undefined) return Effect.fail(refused)
      // Before what is ready, which is still so at the next wait: a library whose descriptors are
      // always ready has timeouts as well.
      if (this.#ended === undefined && this.#deadline?.isOver() === true) {
        this.#forgetTime()
        return timeUp
      }
      return waitFor(this.#awaited, millis, this.#waits)
    })
  }

  #look(): Effect.Effect<Found<Key>, PollerError> | undefined {
    if (this.#attachment.memory.state !== State.Open) return Effect.fail(notOpen(this.#attachment.memory))
    try {
      const found: Array<KeyedReadyFd<Key>> = []
      const count = this.#set.look()
      for (let index = 0; index < count; index++) {
        const fd = this.#set.ready(index)
        const readiness = this.#set.readiness(index)
        for (const [key, interest] of this.#interests.get(fd) ?? []) {
          const event = eventOf(interest, readiness)
          if (event !== undefined) found.push(key === undefined ? withoutKey(fd, event) : { fd, event, key })
        }
      }
      return found.length === 0 ? undefined : Effect.succeed(found)
    } catch (thrown) {
      return Effect.fail(fromThrown(thrown))
    }
  }

  /** Called when the scope closes. The descriptors stay as they are. */
  release(): void {
    this.#ended = closedBecause("the scope of this set has closed")
    for (const wait of Array.from(this.#waits)) wait.fail(this.#ended)
    this.#forgetTime()
    this.#holder.release()
    this.#set.close()
  }

  toJSON() {
    return { _id: "effect-amy/ForeignFdSet", size: this.size }
  }

  toString(): string {
    return `ForeignFdSet(${this.#ended === undefined ? this.size : "closed"})`
  }
}
