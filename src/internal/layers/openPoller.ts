/**
 * One thread's part in a poller: what every way of polling ends up with, and what the two services are made of.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type Options, optionsOrFail } from "./options.ts"
import { Batch } from "../bytes/socketBatch.ts"
import { Control, State } from "../shared/pollerMemory.ts"
import { Dispatcher } from "../delivery/dispatcher.ts"
import { onExit } from "./exitHook.ts"
import { closed, fromThrown, limitReached } from "../errors/pollerErrors.ts"
import type { Libc } from "../libc/koffi.ts"
import { libc } from "../libc/koffi.ts"
import * as Selectors from "../kernel/openSelector.ts"
import type { Alarm, Selector, SelectorHandle } from "../kernel/selector.ts"
import { currentThread, isAlive } from "../kernel/threadId.ts"
import { safetyNet } from "../shared/safetyNet.ts"
import type { PollerError } from "../../PollerError.ts"

export interface Attachment {
  readonly control: Control
  readonly selector: Selector
  /** The selector as its owner opened it: what yet another thread attaches to. */
  readonly origin: SelectorHandle
  /** The mailbox that the kernel's user data names for this thread. */
  readonly mailbox: number
  readonly dispatcher: Dispatcher
  /** Delivers what has arrived already, without waiting. */
  readonly drain: () => void
  /** Returns when everything that is ready now has been delivered. */
  readonly sync: Effect.Effect<void, PollerError>
  /** Opens the alarm for this thread's timers. Throws `SelectorFailure`. */
  readonly openAlarm: () => Alarm
  /**
   * Set where a wait is made by the calling thread itself: waits once, for so many milliseconds at most, and delivers.
   */
  readonly block?: (timeout: number) => void
  /** The calls that move data; there are none where there is no kernel. */
  readonly libc: Libc | undefined
  /** Set by the poller for tests: what is to go wrong with a registration, and what happens once it is noted. */
  readonly beforeRegistering?: () => PollerError | undefined
  readonly afterRegistering?: () => void
}

/** What the owner of a poller has opened. */
export interface Opened {
  readonly libc: Libc
  readonly control: Control
  readonly selector: Selector
  readonly dispatcher: Dispatcher
  readonly mailbox: number
}

/** The C library, typed failure included. */
export const loadLibc: Effect.Effect<Libc, PollerError> = Effect.try({ try: libc, catch: fromThrown })

/** Opens a selector and its shared memory; closing the scope ends every consumer and closes every descriptor. */
export const open = (options: Options | undefined): Effect.Effect<Opened, PollerError, Scope.Scope> =>
  Effect.gen(function* () {
    const { batchSize, mailboxSize, maxThreads } = yield* optionsOrFail(options)
    const libc = yield* loadLibc
    const dispatcher = yield* Dispatcher.make
    const opened = yield* Effect.acquireRelease(
      Effect.try({
        try: (): Opened => {
          // First, for if there is no memory for it nothing has been opened yet.
          const control = Control.make(maxThreads, mailboxSize)
          const selector = Selectors.open(libc, batchSize)
          dispatcher.batch = new Batch(libc, () => {})
          return { libc, control, selector, dispatcher, mailbox: control.claim(currentThread()) }
        },
        catch: (thrown) =>
          thrown instanceof RangeError
            ? limitReached(`there is no memory for ${maxThreads} mailboxes of ${mailboxSize} entries each`)
            : fromThrown(thrown)
      }),
      ({ control, selector }) =>
        Effect.sync(() => {
          control.advance(State.Closed)
          control.wakeAll()
          dispatcher.end()
          dispatcher.batch?.close()
          closeLeft(libc, control, 10)
          selector.close()
        })
    )
    yield* wakeOnExit(opened)
    return opened
  })

/** Closes what terminated threads have left open, and once more a second later if one of them may still be ending. */
const closeLeft = (libc: Libc, control: Control, times: number): void => {
  for (const fd of control.reap(isAlive)) libc.functions.close(fd)
  if (times > 0 && control.isHeld) setTimeout(closeLeft, safetyNet, libc, control, times - 1).unref()
}

/** Ends this poller when the calling thread exits, for whoever is blocked in it or attached to it. */
export const wakeOnExit = ({
  control,
  selector
}: Pick<Attachment, "control" | "selector">): Effect.Effect<void, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() =>
      onExit(() => {
        // Once it has ended, the descriptor that wakes it may have been closed, and its number be another one's.
        if (control.state >= State.Closed) return
        control.advance(State.Closed)
        control.wakeAll()
        selector.wake()
        // The threads are ended next.
        control.awaitLoaded(safetyNet)
      })
    ),
    (cancel) => Effect.sync(cancel)
  ).pipe(Effect.asVoid)

/** Fails the consumers of this thread because the thread that waited has died. */
export const failWith = (control: Control, dispatcher: Dispatcher, errno: number, error: () => PollerError): void => {
  control.fail(errno)
  control.wakeAll()
  dispatcher.fail(control.state === State.Failed ? error() : closed())
}
