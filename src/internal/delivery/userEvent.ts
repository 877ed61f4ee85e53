/**
 * User events: a trigger of the selector, and a word of shared memory that says whether it is still
 * open.
 */
import * as Effect from "effect/Effect"
import { hasProperty } from "effect/Predicate"
import type * as Scope from "effect/Scope"
import { isSharedArrayBuffer } from "node:util/types"
import type { RegistrationId } from "../../Notification.ts"
import type { PollerError } from "../../PollerError.ts"
import type { UserEvent, UserEventHandle } from "../../UserEvent.ts"
import { holds } from "../errors/arguments.ts"
import { loadLibc } from "../errors/loadLibc.ts"
import { isOfThisVersion, otherVersion, version, versionKey } from "../errors/copies.ts"
import { fromErrno, closedBecause, fromThrown, invalidArgument, notOpen } from "../errors/pollerErrors.ts"
import { attachTrigger } from "../kernel/openSelector.ts"
import { localTrigger, type Trigger } from "../kernel/selector.ts"
import { currentThread, isAlive } from "../kernel/threadId.ts"
import { detachMethods, PublicObject } from "../objects/publicObject.ts"
import { OpenedDescriptors } from "../shared/openedDescriptors.ts"
import { State } from "../shared/pollerMemory.ts"
import type { Attachment } from "./attachment.ts"
import type { Dispatcher } from "./dispatcher.ts"
import type { Source } from "./registrations.ts"

export const TypeId = "~effect-amy/UserEvent"
export const HandleTypeId = "~effect-amy/UserEventHandle"

const ended = () => closedBecause("the user event has ended (its scope has closed, or its thread was terminated)")

/** What a handle holds. */
interface Contents extends UserEventHandle {
  readonly [versionKey]: string
  readonly id: RegistrationId
  readonly trigger: number
  /** What the trigger has beside its number, on some systems. */
  readonly triggerMemory?: SharedArrayBuffer
  /** One word: 1 once the event has ended. */
  readonly shared: SharedArrayBuffer
  /** The thread for which its descriptor is noted, or 0. */
  readonly thread: number
  /** The notes of which thread opened which descriptor for the poller. */
  readonly opened: SharedArrayBuffer
  /** The owners of numbers, of the poller's selector. */
  readonly owners: SharedArrayBuffer
}

const isContents = (u: unknown): u is Contents => holds(() => hasContents(u))

const hasContents = (u: unknown): boolean =>
  hasProperty(u, HandleTypeId) &&
  u[HandleTypeId] === HandleTypeId &&
  isOfThisVersion(u) &&
  hasProperty(u, "id") &&
  Number.isSafeInteger(u.id) &&
  hasProperty(u, "trigger") &&
  Number.isSafeInteger(u.trigger) &&
  (!hasProperty(u, "triggerMemory") || isSharedArrayBuffer(u.triggerMemory)) &&
  hasProperty(u, "shared") &&
  isSharedArrayBuffer(u.shared) &&
  u.shared.byteLength === 4 &&
  hasProperty(u, "thread") &&
  Number.isSafeInteger(u.thread) &&
  hasProperty(u, "opened") &&
  isSharedArrayBuffer(u.opened) &&
  OpenedDescriptors.isBuffer(u.opened) &&
  hasProperty(u, "owners") &&
  isSharedArrayBuffer(u.owners) &&
  u.owners.byteLength % 4 === 0

export const isUserEventHandle = (u: unknown): u is UserEventHandle => isContents(u)

/** An event of any thread. */
export class RemoteUserEvent extends PublicObject implements UserEvent {
  readonly #contents: Contents
  readonly #trigger: Trigger
  readonly #unavailable: () => PollerError | undefined
  readonly #hasEnded: () => boolean
  readonly #clear: () => void

  static {
    detachMethods(this)
  }

  /** `unavailable` returns why the event cannot be triggered, apart from its end. */
  constructor(contents: Contents, trigger: Trigger, unavailable: () => PollerError | undefined, clear: () => void) {
    super()
    this.#contents = contents
    this.#trigger = trigger
    this.#unavailable = unavailable
    this.#hasEnded = bindHasEnded(contents)
    this.#clear = clear
  }

  get [TypeId](): typeof TypeId {
    return TypeId
  }

  get id(): RegistrationId {
    return this.#contents.id
  }

  get handle(): UserEventHandle {
    return this.#contents
  }

  get trigger(): Effect.Effect<void, PollerError> {
    return this.#whileOpen(() => {
      const errno = this.#trigger.trigger()
      return errno === 0 ? undefined : fromErrno("write", errno)
    })
  }

  get clear(): Effect.Effect<void, PollerError> {
    return this.#whileOpen(() => {
      this.#clear()
      return undefined
    })
  }

  /**
   * Triggers the event, whether it is open or not. A channel uses it, whose message has been posted
   * by then: it cannot fail any more.
   */
  get triggerUnsafe(): () => void {
    return this.#trigger.trigger
  }

  #whileOpen(action: () => PollerError | undefined): Effect.Effect<void, PollerError> {
    return Effect.suspend(() => {
      const refusal = this.#unavailable() ?? (this.#hasEnded() ? ended() : undefined)
      if (refusal !== undefined) return Effect.fail(refusal)
      const error = action()
      return error === undefined ? Effect.void : Effect.fail(error)
    })
  }

  toJSON() {
    return { _id: "effect-amy/UserEvent", id: this.id }
  }

  toString(): string {
    return `UserEvent(${this.id})`
  }
}

/** Returns a function that looks whether an event has ended, or its thread was terminated. */
const bindHasEnded = ({ opened, shared, thread, trigger }: Contents): (() => boolean) => {
  const word = new Int32Array(shared)
  const notes = new OpenedDescriptors(opened)
  // Once its descriptor is closed for a terminated thread, the number may have been reused.
  return () => Atomics.load(word, 0) !== 0 || (thread !== 0 && notes.threadOf(trigger) !== thread)
}

/** An event of this thread's poller, with what a channel takes over of it. */
export class UserEventImpl extends RemoteUserEvent {
  readonly #source: Source
  readonly #dispatcher: Dispatcher

  constructor(
    contents: Contents,
    trigger: Trigger,
    source: Source,
    unavailable: () => PollerError | undefined,
    { dispatcher }: Attachment,
    clear: () => void
  ) {
    super(contents, trigger, unavailable, clear)
    this.#source = source
    this.#dispatcher = dispatcher
  }

  get source(): Source {
    return this.#source
  }

  get dispatcher(): Dispatcher {
    return this.#dispatcher
  }
}

/** Returns the implementation of an event that a registrar has made. */
export const implementation = (event: UserEvent): UserEventImpl => event as UserEventImpl

export const open = (attachment: Attachment): Effect.Effect<UserEvent, PollerError, Scope.Scope> => {
  const { memory, dispatcher, mailbox, opened, selector } = attachment
  const acquire = Effect.suspend(() => {
    if (memory.state !== State.Open) return Effect.fail(notOpen(memory))
    const id = memory.takeId()
    let trigger: Trigger
    try {
      trigger = selector.openTrigger(mailbox, id)
    } catch (thrown) {
      memory.returnId(id)
      return Effect.fail(fromThrown(thrown))
    }
    const shared = new SharedArrayBuffer(4)
    const endForAll = () => void Atomics.store(new Int32Array(shared), 0, 1)
    // A report does not hold if its trigger was cleared meanwhile.
    const source: Source = { admit: trigger.reset, end: endForAll }
    const registration = dispatcher.addSource(id, source)
    const contents: Contents = {
      [HandleTypeId]: HandleTypeId,
      [versionKey]: version,
      id: registration.id,
      trigger: trigger.handle,
      ...(trigger.memory === undefined ? {} : { triggerMemory: trigger.memory }),
      shared,
      thread: opened.threadOf(trigger.handle),
      opened: opened.buffer,
      owners: selector.handle.owners
    }
    const release = Effect.sync(() => {
      endForAll()
      dispatcher.remove(registration)
      trigger.close()
    })
    const unavailable = () => (memory.state === State.Open ? undefined : notOpen(memory))
    const clear = () => {
      // A report on its way finds the trigger reset. A notification that has arrived is withdrawn
      // here.
      trigger.reset()
      dispatcher.queue.withdraw(registration)
    }
    const event = new UserEventImpl(contents, trigger, source, unavailable, attachment, clear)
    return Effect.succeed({ event, release })
  })
  return Effect.acquireRelease(acquire, ({ release }) => release).pipe(Effect.map(({ event }) => event))
}

/** Opens the event of another thread. */
export const fromHandle = Effect.fnUntraced(function* (
  handle: UserEventHandle
): Effect.fn.Return<RemoteUserEvent, PollerError, Scope.Scope> {
  if (!isContents(handle)) {
    return yield* (
      otherVersion("handle of a user event", handle) ??
      invalidArgument(
        "this is not the handle of a user event: pass what UserEvent.handle is in the thread that made it"
      )
    )
  }
  if (handle.trigger === localTrigger) {
    return yield* invalidArgument("a user event of TestPoller cannot leave its thread: there is no kernel behind it")
  }
  const libc = yield* loadLibc
  const hasEnded = bindHasEnded(handle)
  const opened = new OpenedDescriptors(handle.opened)
  const thread = currentThread(libc)
  let open = true
  const trigger = yield* Effect.acquireRelease(
    Effect.suspend(() => {
      // Threads that were terminated with such an event open may be many.
      opened.closeLeft(libc, thread, (thread) => isAlive(libc, thread), handle.owners)
      if (hasEnded()) return Effect.fail(ended())
      let trigger: Trigger
      try {
        trigger = attachTrigger(opened.noting(libc, thread), handle.trigger, handle.triggerMemory)
      } catch (thrown) {
        return Effect.fail(hasEnded() ? ended() : fromThrown(thrown))
      }
      if (!hasEnded()) return Effect.succeed(trigger)
      // It ended in between, so this may be a duplicate of another descriptor that has reused its
      // number.
      trigger.close()
      return Effect.fail(ended())
    }),
    (trigger) =>
      Effect.sync(() => {
        open = false
        trigger.close()
      })
  )
  const unavailable = () => (open ? undefined : ended())
  return new RemoteUserEvent(handle, trigger, unavailable, () => void trigger.reset())
})
