/** User events: a trigger of the selector's, with a word of shared memory that says whether it is still there. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { RegistrationId } from "../../Notification.ts"
import type { PollerError } from "../../PollerError.ts"
import type { UserEvent, UserEventHandle } from "../../UserEvent.ts"
import { State } from "../shared/pollerMemory.ts"
import type { Dispatcher } from "./dispatcher.ts"
import type { Source } from "./registrations.ts"
import { closedBecause, fromThrown, invalidArgument, notOpen } from "../errors/pollerErrors.ts"
import type { Attachment } from "./attachment.ts"
import { loadLibc } from "../errors/loadLibc.ts"
import { attachTrigger } from "../kernel/openSelector.ts"
import { localTrigger, type Trigger } from "../kernel/selector.ts"

const ended = () => closedBecause("the user event has ended (its scope has closed)")

/** What this library itself does with an event beyond triggering it. */
export interface UserEventImpl extends UserEvent {
  readonly triggerUnsafe: () => void
  /** Of the thread that made it. */
  readonly source: Source
  readonly dispatcher: Dispatcher
}

/** One of another thread. */
export type RemoteEvent = Omit<UserEventImpl, "source" | "dispatcher">

/** Every event that a registrar makes is one of these. */
export const implementation = (event: UserEvent): UserEventImpl => event as UserEventImpl

export const open = (attachment: Attachment): Effect.Effect<UserEventImpl, PollerError, Scope.Scope> => {
  const { memory, dispatcher, mailbox, selector } = attachment
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
    // The report of a trigger that was cleared meanwhile is none.
    const source: Source = { admit: trigger.reset, end: endForAll }
    const registration = dispatcher.addSource(id, source)
    const handle: UserEventHandle = { _tag: "effect-amy/UserEventHandle", id, trigger: trigger.handle, shared }
    const release = Effect.sync(() => {
      endForAll()
      dispatcher.remove(registration)
      trigger.close()
    })
    const isOpen = () => (memory.state === State.Open ? undefined : notOpen(memory))
    const clear = () => {
      // What is on its way finds the trigger reset; what has arrived is taken back here.
      trigger.reset()
      dispatcher.queue.withdraw(registration)
    }
    return Effect.succeed({ event: { ...make(handle, trigger, isOpen, clear), source, dispatcher }, release })
  })
  return Effect.acquireRelease(acquire, ({ release }) => release).pipe(Effect.map(({ event }) => event))
}

const make = (
  handle: UserEventHandle,
  trigger: Trigger,
  unavailable: () => PollerError | undefined,
  clear: () => void
): RemoteEvent => {
  const flag = new Int32Array(handle.shared)
  const whileOpen = (action: () => void): Effect.Effect<void, PollerError> =>
    Effect.suspend(() => {
      const refusal = unavailable() ?? (Atomics.load(flag, 0) === 0 ? undefined : ended())
      if (refusal !== undefined) return Effect.fail(refusal)
      action()
      return Effect.void
    })
  return {
    id: handle.id as RegistrationId,
    handle,
    triggerUnsafe: trigger.trigger,
    trigger: whileOpen(trigger.trigger),
    clear: whileOpen(clear)
  }
}

export const fromHandle = Effect.fnUntraced(function* (
  handle: UserEventHandle | undefined
): Effect.fn.Return<RemoteEvent, PollerError, Scope.Scope> {
  if (handle === undefined) {
    return yield* invalidArgument(
      "this is no handle of a user event: give what UserEvent.handle is in the thread that made it"
    )
  }
  if (handle.trigger === localTrigger) {
    return yield* invalidArgument("a user event of TestPoller cannot leave its thread: there is no kernel behind it")
  }
  const libc = yield* loadLibc
  const flag = new Int32Array(handle.shared)
  const isEnded = () => Atomics.load(flag, 0) !== 0
  let open = true
  const trigger = yield* Effect.acquireRelease(
    Effect.suspend(() => {
      if (isEnded()) return Effect.fail(ended())
      let trigger: Trigger
      try {
        trigger = attachTrigger(libc, handle.trigger)
      } catch (thrown) {
        return Effect.fail(isEnded() ? ended() : fromThrown(thrown))
      }
      if (!isEnded()) return Effect.succeed(trigger)
      // Had it ended in between, this would be a duplicate of whatever has its number by now.
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
  return make(handle, trigger, unavailable, () => void trigger.reset())
})
