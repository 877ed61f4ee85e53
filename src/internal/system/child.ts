/**
 * A child process of this one: notices its end through a pidfd, and reaps it at once, so that no
 * zombie is left.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { constants } from "node:os"
import { isPollerError, type PollerError } from "../../PollerError.ts"
import type { Attachment } from "../delivery/attachment.ts"
import { type Deadline, startDeadline } from "../delivery/deadline.ts"
import * as Registering from "../delivery/registration.ts"
import type { Registration, Source } from "../delivery/registrations.ts"
import { fromErrno, unsupported } from "../errors/pollerErrors.ts"
import { retryInterrupted } from "../kernel/retry.ts"
import { Interest } from "../kernel/selector.ts"
import { now, setTimeout } from "../libc/realTime.ts"
import { resumeFiber } from "../objects/resumeFiber.ts"
import type { Exit as Ended } from "../../system/ProcessExit.ts"
import { toExit } from "./exit.ts"
import { decodeStatus } from "./pidfd.ts"
import type { ProcessCalls } from "./processCalls.ts"

/** How often a child is looked at that no pidfd reports, in milliseconds: ever less often. */
const leastRest = 1
const longestRest = 64

export class Child implements Source {
  readonly pid: number
  readonly #calls: ProcessCalls
  readonly #attachment: Attachment
  readonly #pidfd: number
  readonly #status = new Int32Array(1)
  readonly #waits = new Set<() => void>()
  #registration: Registration | undefined
  #outcome: Exit.Exit<Ended> | undefined
  /** Why its end is not reported. */
  #unwatched: PollerError | undefined

  private constructor(calls: ProcessCalls, attachment: Attachment, pid: number, pidfd: number) {
    this.#calls = calls
    this.#attachment = attachment
    this.pid = pid
    this.#pidfd = pidfd
  }

  /**
   * Takes over a child that was just started. Returns the error if it cannot be watched. It is
   * killed then.
   */
  static watch(calls: ProcessCalls, attachment: Attachment, pid: number): Child | PollerError {
    const pidfd = calls.pidfds.open(pid)
    const child = new Child(calls, attachment, pid, pidfd)
    const error = pidfd < 0 ? openingFailed(-pidfd) : child.#register()
    if (error === undefined) return child
    // It is unreaped, so that its number is its own.
    calls.functions.kill(pid, constants.signals.SIGKILL)
    child.release()
    return error
  }

  #register(): PollerError | undefined {
    const registered = Registering.add(this.#attachment, this.#pidfd, Interest.Read, this)
    if (isPollerError(registered)) return registered
    this.#registration = registered
    return undefined
  }

  /** Whether it has ended. */
  get hasEnded(): boolean {
    return this.#outcome !== undefined
  }

  consume(): boolean {
    // In the rare case that the report was early, nothing else would report the end.
    if (!this.#reap()) this.#reapLater()
    return true
  }

  end(error: PollerError): void {
    this.#unwatched ??= error
    this.#callAll()
  }

  /** Takes its end, if it has come. Returns whether it has. */
  #reap(): boolean {
    if (this.#outcome !== undefined) return true
    const { functions, libc, numbers } = this.#calls
    const result = retryInterrupted(libc, () => functions.waitpid(this.pid, this.#status, numbers.WNOHANG))
    if (result === 0) return false
    // Another part of this process may have waited for it. A newer kernel still knows how it ended.
    const ended = result > 0 ? decodeStatus(this.#status[0]!) : this.#calls.pidfds.endOf(this.#pidfd, this.pid)
    this.#outcome = Exit.succeed(toExit(ended))
    this.#callAll()
    return true
  }

  /** Looks now and then, for as long as it takes. Does not keep the thread alive. */
  #reapLater(rest = leastRest): void {
    setTimeout(() => {
      if (!this.#reap()) this.#reapLater(Math.min(rest * 2, longestRest))
    }, rest).unref()
  }

  #callAll(): void {
    const waits = Array.from(this.#waits)
    for (const call of waits) call()
  }

  /** Calls back at each change. Returns a function that ends that. */
  #onChange(call: () => void): () => void {
    const { dispatcher } = this.#attachment
    this.#waits.add(call)
    dispatcher.waiters++
    dispatcher.onWait?.()
    return () => {
      if (this.#waits.delete(call)) dispatcher.waiters--
    }
  }

  /** Returns once it has ended. Any number of fibers may wait. */
  get exit(): Effect.Effect<Ended, PollerError> {
    return Effect.callback((resume) => {
      const look = () => this.#outcome ?? (this.#unwatched === undefined ? undefined : Effect.fail(this.#unwatched))
      const known = look()
      if (known !== undefined) return resume(known)
      const leave = this.#onChange(() => {
        const found = look()
        if (found === undefined) return
        leave()
        resumeFiber(resume, found)
      })
      return Effect.sync(leave)
    })
  }

  /**
   * Returns whether it ends within a number of milliseconds. Works without a poller, too, so that
   * it can be used once the poller has closed.
   */
  endsWithin(millis: number): Effect.Effect<boolean> {
    return Effect.callback((resume) => {
      if (this.#reap()) return resume(Effect.succeed(true))
      const start = now()
      let isOver = false
      let isPolling = false
      let deadline: Deadline | PollerError | undefined
      const finish = (ended: boolean) => {
        if (isOver) return
        isOver = true
        leave()
        if (deadline !== undefined && !isPollerError(deadline)) deadline.cancel()
        resumeFiber(resume, Effect.succeed(ended))
      }
      const look = (rest: number) => {
        if (isOver) return
        if (this.#reap()) return finish(true)
        const left = millis - (now() - start)
        if (left <= 0) return finish(false)
        setTimeout(() => look(Math.min(rest * 2, longestRest)), Math.min(rest, left))
      }
      const poll = () => {
        if (isPolling) return
        isPolling = true
        look(leastRest)
      }
      const leave = this.#onChange(() => {
        if (this.#outcome !== undefined) return finish(true)
        poll()
      })
      if (this.#registration === undefined || this.#unwatched !== undefined) return poll()
      if (this.#attachment.block === undefined) return poll()
      if (millis === Infinity) return
      // The thread may block beyond a timer of Node.
      deadline = startDeadline(this.#attachment, millis, () => finish(this.#reap()), poll)
      if (isPollerError(deadline)) poll()
    })
  }

  /** Sends it a signal. Does nothing if it has ended. Returns 0, or the errno. */
  signal(signal: number): number {
    if (this.#reap()) return 0
    return -this.#calls.pidfds.sendSignal(this.#pidfd, signal)
  }

  /** Ends the watch. If it has not ended, it is reaped when it does. */
  release(): void {
    const { functions } = this.#calls.libc
    if (this.#registration !== undefined) Registering.release(this.#attachment, this.#registration)
    if (this.#pidfd >= 0) functions.close(this.#pidfd)
    if (!this.#reap()) this.#reapLater()
  }
}

const openingFailed = (errno: number): PollerError =>
  errno === constants.errno.ENOSYS
    ? unsupported("this kernel has no pidfd_open: Linux has it from version 5.3 on, and a sandbox may forbid it")
    : fromErrno("pidfd_open", errno)
