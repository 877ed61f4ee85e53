/** The end of processes: a descriptor of each, watched by the poller. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { isPollerError, type PollerError } from "../../PollerError.ts"
import type { Registrar } from "../../Registrar.ts"
import type { Exit, ProcessHandle } from "../../system/ProcessExit.ts"
import { OwnedFd, scoped } from "../descriptor/ownedFd.ts"
import { WatchedFd } from "../descriptor/watchedFd.ts"
import { invalidArgument } from "../errors/pollerErrors.ts"
import { detachMethods, PublicObject } from "../objects/publicObject.ts"
import { type AttachedLibc, attachedLibc } from "./attachedLibc.ts"
import { lastSignal, signalNumber, toExit } from "./exit.ts"
import { openProcess, type WatchedProcess } from "./watchedProcess.ts"

export const TypeId = "~effect-amy/ProcessHandle"

export const open = (pid: number): Effect.Effect<ProcessHandle, PollerError, Registrar | Scope.Scope> =>
  Effect.flatMap(attachedLibc("processes"), (attached) =>
    scoped(
      Effect.suspend(() => {
        if (!Number.isInteger(pid) || pid < 1 || pid > 0x7fff_ffff) {
          return Effect.fail(invalidArgument(`invalid process id ${String(pid)}: expected an integer of at least 1`))
        }
        const process = openProcess(attached, pid)
        return isPollerError(process)
          ? Effect.fail(process)
          : Effect.succeed(new ProcessHandleImpl(attached, process, pid))
      })
    )
  )

export const awaitExit = (pid: number): Effect.Effect<Exit, PollerError, Registrar> =>
  Effect.scoped(Effect.flatMap(open(pid), (handle) => handle.exit))

export const isProcessHandle = (u: unknown): u is ProcessHandle => u instanceof ProcessHandleImpl

class ProcessHandleImpl extends PublicObject implements ProcessHandle {
  readonly #pid: number
  readonly #process: WatchedProcess
  readonly #watchedFd: WatchedFd
  readonly #owned: OwnedFd
  #exit: Exit | undefined

  static {
    detachMethods(this)
  }

  constructor(attached: AttachedLibc, process: WatchedProcess, pid: number) {
    super()
    const { fd } = process
    this.#pid = pid
    this.#process = process
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
    const ended = this.#process.look()
    if (ended === undefined) return undefined
    if (isPollerError(ended)) return Effect.fail(ended)
    const exit = toExit(ended === "unknown" ? undefined : ended)
    // What is unknown now may be known once the parent has reaped the process.
    if (exit._tag !== "Unknown") this.#exit = exit
    return Effect.succeed(exit)
  }

  signal(signal: NodeJS.Signals | number): Effect.Effect<void, PollerError> {
    return this.#owned.use(() => {
      const number = signalNumber(signal)
      if (number === undefined) {
        return Effect.fail(
          invalidArgument(
            `invalid signal ${String(signal)}: expected a name such as "SIGTERM", or a number from 0 to ${lastSignal}`
          )
        )
      }
      const error = this.#process.signal(number)
      return error === undefined ? Effect.void : Effect.fail(error)
    })
  }

  toJSON() {
    return { _id: "effect-amy/ProcessHandle", pid: this.#pid }
  }

  toString(): string {
    return `ProcessHandle(${this.#owned.fd === -1 ? "closed" : this.#pid})`
  }
}
