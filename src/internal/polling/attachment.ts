/**
 * One thread's part in a poller: what every way of polling ends up with, and what the two services are made of.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type Options, optionsOrFail } from "./options.ts"
import { Control, State } from "../control.ts"
import { Dispatcher } from "../dispatcher.ts"
import { onExit } from "../exitHook.ts"
import { closed, fromThrown } from "../failure.ts"
import type { Libc } from "../libc/functions.ts"
import { libc } from "../libc/functions.ts"
import * as Epoll from "../selector/epoll.ts"
import type { Alarm, Selector, SelectorHandle } from "../selector/selector.ts"
import { currentThread, isAlive } from "../threads.ts"
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
          const selector = Epoll.open(libc, batchSize)
          const control = Control.make(maxThreads, mailboxSize)
          return { libc, control, selector, dispatcher, mailbox: control.claim(currentThread()) }
        },
        catch: fromThrown
      }),
      ({ control, selector }) =>
        Effect.sync(() => {
          control.advance(State.Closed)
          control.wakeAll()
          dispatcher.end()
          for (const fd of control.reap(isAlive)) libc.functions.close(fd)
          selector.close()
        })
    )
    yield* wakeOnExit(opened)
    return opened
  })

/** Lets a thread that is blocked in this poller go when the calling thread exits. */
export const wakeOnExit = ({
  control,
  selector
}: Pick<Attachment, "control" | "selector">): Effect.Effect<void, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() =>
      onExit(() => {
        control.advance(State.Closing)
        selector.wake()
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
