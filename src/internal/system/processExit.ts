/** The end of processes: a pidfd, watched by the poller. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { constants } from "node:os"
import type { PollerError } from "../../PollerError.ts"
import type { Registrar } from "../../Registrar.ts"
import type { Exit, ProcessHandle } from "../../system/ProcessExit.ts"
import { OwnedFd, scoped } from "../descriptor/ownedFd.ts"
import { WatchedFd } from "../descriptor/watchedFd.ts"
import { fromErrno, invalidArgument, unsupported } from "../errors/pollerErrors.ts"
import { Interest } from "../kernel/selector.ts"
import { detachMethods, PublicObject } from "../objects/publicObject.ts"
import { type AttachedLibc, attachedLibc } from "./attachedLibc.ts"
import { lastSignal, signalNumber, toExit } from "./exit.ts"
import { type Pidfds, pidfdsOf } from "./pidfd.ts"

export const TypeId = "~effect-amy/ProcessHandle"

export const open = (pid: number): Effect.Effect<ProcessHandle, PollerError, Registrar | Scope.Scope> =>
  Effect.flatMap(attachedLibc("processes"), (attached) =>
    scoped(
      Effect.suspend(() => {
        if (!Number.isInteger(pid) || pid < 1 || pid > 0x7fff_ffff) {
          return Effect.fail(invalidArgument(`invalid process id ${String(pid)}: expected an integer of at least 1`))
        }
        const { libc } = attached
        if (libc.profile.selector !== "epoll") {
          return Effect.fail(
            unsupported("this system has no pidfds (Linux has): start the process with node:child_process")
          )
        }
        const pidfds = pidfdsOf(libc)
        const fd = pidfds.open(pid)
        if (fd >= 0) return Effect.succeed(new ProcessHandleImpl(attached, pidfds, fd, pid))
        return Effect.fail(
          -fd === constants.errno.ENOSYS
            ? unsupported(
                "this kernel has no pidfds (Linux has them since 5.3): start the process with node:child_process"
              )
            : fromErrno("pidfd_open", -fd)
        )
      })
    )
  )

export const awaitExit = (pid: number): Effect.Effect<Exit, PollerError, Registrar> =>
  Effect.scoped(Effect.flatMap(open(pid), (handle) => handle.exit))

export const isProcessHandle = (u: unknown): u is ProcessHandle => u instanceof ProcessHandleImpl

class ProcessHandleImpl extends PublicObject implements ProcessHandle {
  readonly #pid: number
  readonly #attached: AttachedLibc
  readonly #pidfds: Pidfds
  readonly #watchedFd: WatchedFd
  readonly #owned: OwnedFd
  #exit: Exit | undefined

  static {
    detachMethods(this)
  }

  constructor(attached: AttachedLibc, pidfds: Pidfds, fd: number, pid: number) {
    super()
    this.#pid = pid
    this.#attached = attached
    this.#pidfds = pidfds
    this.#watchedFd = new WatchedFd(attached.attachment, fd)
    this.#owned = new OwnedFd(attached.libc, fd, "the process handle", this.#watchedFd)
  }

  get [TypeId](): typeof TypeId {
    return TypeId
  }

  get pid(): number {
    return this.#pid
  }

  get owned(): OwnedFd {
    return this.#owned
  }

  get exit(): Effect.Effect<Exit, PollerError> {
    const watchedFd = this.#watchedFd
    return watchedFd.attempt(watchedFd.reading, () => this.#look())
  }

  /** Returns how the process ended, or `undefined` if it runs. */
  #look(): Effect.Effect<Exit, PollerError> | undefined {
    if (this.#exit !== undefined) return Effect.succeed(this.#exit)
    const { fd } = this.#owned
    const readiness = this.#attached.attachment.selector.readinessNow(fd, Interest.Read)
    if (readiness === 0) return undefined
    if (readiness < 0) return Effect.fail(fromErrno("poll", -readiness, { fd }))
    const exit = toExit(this.#pidfds.endOf(fd, this.#pid))
    // What is unknown now may be known once the parent has reaped the process.
    if (exit._tag !== "Unknown") this.#exit = exit
    return Effect.succeed(exit)
  }

  signal(signal: NodeJS.Signals | number): Effect.Effect<void, PollerError> {
    return this.#owned.use((fd) => {
      const number = signalNumber(signal)
      if (number === undefined) {
        return Effect.fail(
          invalidArgument(
            `invalid signal ${String(signal)}: expected a name such as "SIGTERM", or a number from 0 to ${lastSignal}`
          )
        )
      }
      const result = this.#pidfds.sendSignal(fd, number)
      return result >= 0 ? Effect.void : Effect.fail(fromErrno("pidfd_send_signal", -result))
    })
  }

  toJSON() {
    return { _id: "effect-amy/ProcessHandle", pid: this.#pid }
  }

  toString(): string {
    return `ProcessHandle(${this.#owned.fd === -1 ? "closed" : this.#pid})`
  }
}
