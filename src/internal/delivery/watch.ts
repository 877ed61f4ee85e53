/** The notifications of one registration, for the one stream that runs it. */
import { resumeFiber } from "../objects/resumeFiber.ts"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Pull from "effect/Pull"
import * as Stream from "effect/Stream"
import type { Notification } from "../../Notification.ts"
import { isPollerError, type PollerError } from "../../PollerError.ts"
import type { Attachment } from "./attachment.ts"
import type { Dispatcher } from "./dispatcher.ts"
import { NotificationImpl } from "./notification.ts"
import { release } from "./registration.ts"
import type { Registration, Source } from "./registrations.ts"

class Watch implements Source {
  readonly #dispatcher: Dispatcher
  /** What was reported and has not been pulled. */
  #bits = 0
  #ended: PollerError | undefined
  #resume: (() => void) | undefined
  registration: Registration | undefined

  constructor(dispatcher: Dispatcher) {
    this.#dispatcher = dispatcher
  }

  consume(bits: number): boolean {
    this.#bits |= bits
    this.#wake()
    return true
  }

  end(error: PollerError): void {
    this.#ended ??= error
    this.#wake()
  }

  readonly pull: Pull.Pull<readonly [Notification], PollerError> = Effect.suspend(() => {
    const bits = this.#bits
    if (bits !== 0) {
      this.#bits = 0
      return Effect.succeed([new NotificationImpl(this.registration!.id, bits)] as const)
    }
    if (this.#ended === undefined) return Effect.andThen(this.#arrival, this.pull)
    return this.#ended.reason._tag === "Closed" ? Cause.done() : Effect.fail(this.#ended)
  })

  /**
   * Returns once there is something to pull. It takes nothing, so that an interruption loses
   * nothing.
   */
  readonly #arrival: Effect.Effect<void> = Effect.callback((resume) => {
    // It may have arrived while the fiber yielded on its way here.
    if (this.#bits !== 0 || this.#ended !== undefined) return resume(Effect.void)
    this.#resume = () => resumeFiber(resume, Effect.void)
    this.#dispatcher.waiters++
    this.#dispatcher.onWait?.()
    return Effect.sync(() => void this.#leave())
  })

  #leave(): (() => void) | undefined {
    const resume = this.#resume
    if (resume !== undefined) this.#dispatcher.waiters--
    this.#resume = undefined
    return resume
  }

  #wake(): void {
    this.#leave()?.()
  }
}

/** Registers, by `register`, while the stream runs. */
export const watch = (
  attachment: Attachment,
  register: (source: Source) => Registration | PollerError
): Stream.Stream<Notification, PollerError> =>
  Stream.unwrap(
    Effect.gen(function* () {
      const watch = new Watch(attachment.dispatcher)
      watch.registration = yield* Effect.acquireRelease(
        Effect.suspend(() => {
          const registered = register(watch)
          return isPollerError(registered) ? Effect.fail(registered) : Effect.succeed(registered)
        }),
        (registration) => Effect.sync(() => release(attachment, registration))
      )
      return Stream.fromPull(Effect.succeed(watch.pull))
    })
  )
