/** One of the three standard descriptors, on one thread's poller. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { fstatSync } from "node:fs"
import { constants } from "node:os"
import { isatty } from "node:tty"
import type { PollerError } from "../../PollerError.ts"
import type { Registrar } from "../../Registrar.ts"
import { ByteChannel } from "../bytes/byteChannel.ts"
import type { Attachment } from "../delivery/attachment.ts"
import { OwnedFd } from "../descriptor/ownedFd.ts"
import { WatchedFd } from "../descriptor/watchedFd.ts"
import { fromErrno } from "../errors/pollerErrors.ts"
import { retryInterrupted } from "../kernel/retry.ts"
import { Interest } from "../kernel/selector.ts"
import { fsKnowsItsOwnOnly } from "../libc/runtime.ts"
import { type AttachedLibc, attachedLibc } from "./attachedLibc.ts"
import { noWaitOrReopenedCalls, reopenedCalls, socketCalls, type StdioCalls } from "./stdioCalls.ts"
import { PoolReader, type PoolUse, PoolWriter } from "./threadPool.ts"

/** The standard descriptors. */
export const numbers = { stdin: 0, stdout: 1, stderr: 2 } as const

export type Name = keyof typeof numbers

/** A pipe that is ready for writing takes these bytes without blocking: PIPE_BUF. */
const pipeBuf = { epoll: 4096, kqueue: 512 } as const

/** For each name, since what a fiber has not taken is there for the next one, on any poller. */
const readers = new Map<Name, PoolReader>()
const writers = new Map<Name, PoolWriter>()

const of = <A>(known: Map<Name, A>, name: Name, make: () => A): A => {
  const found = known.get(name) ?? make()
  known.set(name, found)
  return found
}

type Kind = "file" | "socket" | "pipe" | "terminal" | "other"

/** Returns what a descriptor is, or the error if there is none. */
const kindOf = (fd: number): Kind | PollerError => {
  try {
    const stats = fstatSync(fd)
    if (stats.isFile() || stats.isDirectory() || stats.isBlockDevice()) return "file"
    if (stats.isSocket()) return "socket"
    if (stats.isFIFO()) return "pipe"
    return isatty(fd) ? "terminal" : "other"
  } catch (thrown) {
    const { code, errno } = thrown as NodeJS.ErrnoException
    return code === "EBADF" ? fromErrno("fstat", -errno!, { fd }) : "other"
  }
}

/** How a thread reads or writes one of them, while at least one fiber does. */
class StandardFd {
  readonly #attached: AttachedLibc
  readonly #name: Name
  readonly #isWriting: boolean
  /** A duplicate of the descriptor, if it can be polled. */
  #owned: OwnedFd | undefined
  #watchedFd: WatchedFd | undefined
  #calls: StdioCalls | undefined
  #channel: ByteChannel | undefined
  #isTerminal = false
  users = 0

  constructor(attached: AttachedLibc, name: Name) {
    this.#attached = attached
    this.#name = name
    this.#isWriting = name !== "stdin"
  }

  get #fd(): number {
    return numbers[this.#name]
  }

  /** Opens what is needed. Returns the error if it cannot. */
  open(): PollerError | undefined {
    const kind = kindOf(this.#fd)
    if (typeof kind !== "string") return kind
    if (kind === "file") return undefined
    this.#isTerminal = kind === "terminal"
    const { attachment, libc } = this.#attached
    const copy = this.#duplicate()
    if (typeof copy !== "number") return copy
    const watchedFd = new WatchedFd(attachment, copy)
    watchedFd.named = { addressText: this.#name }
    const error = watchedFd.ask(this.#isWriting ? Interest.Write : Interest.Read)
    if (error !== undefined) {
      libc.functions.close(copy)
      // Such as /dev/null.
      return error.reason._tag === "NotPollable" ? undefined : error
    }
    this.#watchedFd = watchedFd
    this.#calls = this.#callsFor(kind)
    if (this.#calls !== undefined) this.#channel = new ByteChannel(watchedFd, libc, this.#calls.calls)
    this.#owned = new OwnedFd(libc, copy, this.#name, this.#channel ?? watchedFd)
    return undefined
  }

  #callsFor(kind: Kind): StdioCalls | undefined {
    const { libc } = this.#attached
    switch (kind) {
      case "socket":
        return socketCalls(libc)
      case "terminal":
        return libc.profile.selector === "epoll" ? reopenedCalls(libc, this.#fd, this.#isWriting) : undefined
      case "pipe":
        return noWaitOrReopenedCalls(libc, this.#isWriting)
      default:
        return undefined
    }
  }

  readonly #duplicate = (): number | PollerError => {
    const { libc } = this.#attached
    const { F_DUPFD_CLOEXEC } = libc.profile.fcntl
    const copy = retryInterrupted(libc, () => libc.functions.fcntl(this.#fd, F_DUPFD_CLOEXEC, "int", 3))
    return copy >= 0 ? copy : fromErrno("fcntl(F_DUPFD_CLOEXEC)", -copy, { fd: this.#fd })
  }

  close(): void {
    this.#owned?.closeUnsafe()
    this.#calls?.close()
  }

  /** Gives the next chunk, or `undefined` at the end. */
  readonly readChunk: Effect.Effect<Uint8Array | undefined, PollerError> = Effect.suspend(() => {
    const reader = of(readers, this.#name, () => new PoolReader())
    return this.#channel === undefined || reader.isBusy
      ? reader.readChunk(this.#poolUse)
      : Effect.catchIf(this.#channel.readChunk, this.#isNotSupported, () => this.readChunk)
  })

  /** Writes all of the bytes, in one piece. */
  writeAll(bytes: Uint8Array): Effect.Effect<void, PollerError> {
    return Effect.suspend(() =>
      bytes.length === 0
        ? Effect.void
        : this.#channel === undefined
          ? of(writers, this.#name, () => new PoolWriter()).writeAll(this.#poolUse, bytes)
          : Effect.catchIf(this.#channel.writeAll(bytes), this.#isNotSupported, () => this.writeAll(bytes))
    )
  }

  /**
   * Returns whether no call is known that does not block. Then the thread pool makes them, from now
   * on.
   */
  readonly #isNotSupported = ({ reason }: PollerError): boolean => {
    if (reason._tag !== "SystemError" || reason.errno !== constants.errno.EOPNOTSUPP) return false
    this.#channel = undefined
    return true
  }

  get #poolUse(): PoolUse {
    const { libc } = this.#attached
    return {
      gate: this.#watchedFd === undefined ? Effect.void : this.#gateOf(this.#watchedFd),
      ...(fsKnowsItsOwnOnly
        ? // The standard descriptors are known, and their duplicates are not.
          { open: () => this.#fd, close: () => {} }
        : { open: this.#duplicate, close: (fd) => void libc.functions.close(fd) }),
      mostWritten:
        this.#watchedFd === undefined ? Infinity : pipeBuf[libc.profile.selector === "epoll" ? "epoll" : "kqueue"],
      endsWithEio: this.#isTerminal,
      name: this.#name
    }
  }

  /** Returns once poll(2) says that a call would not block. */
  #gateOf(watchedFd: WatchedFd): Effect.Effect<void, PollerError> {
    const direction = this.#isWriting ? watchedFd.writing : watchedFd.reading
    const { selector } = this.#attached.attachment
    return watchedFd.attempt(direction, () =>
      selector.readinessNow(watchedFd.fd, direction.interest) === 0 ? undefined : Effect.void
    )
  }
}

const opened = new WeakMap<Attachment, Map<Name, StandardFd>>()

/** Returns what all fibers of this thread share that use it on this poller. */
const acquire = (attached: AttachedLibc, name: Name): Effect.Effect<StandardFd, PollerError> =>
  Effect.suspend(() => {
    const all = opened.get(attached.attachment) ?? new Map<Name, StandardFd>()
    opened.set(attached.attachment, all)
    let standard = all.get(name)
    if (standard === undefined) {
      standard = new StandardFd(attached, name)
      const error = standard.open()
      if (error !== undefined) return Effect.fail(error)
      all.set(name, standard)
    }
    standard.users++
    return Effect.succeed(standard)
  })

const release = (attached: AttachedLibc, name: Name, standard: StandardFd): Effect.Effect<void> =>
  Effect.sync(() => {
    if (--standard.users > 0) return
    opened.get(attached.attachment)!.delete(name)
    standard.close()
  })

/** Uses one of the standard descriptors until the scope closes. The descriptor stays open. */
export const use = (name: Name): Effect.Effect<StandardFd, PollerError, Registrar | Scope.Scope> =>
  Effect.flatMap(attachedLibc("standard streams"), (attached) =>
    Effect.acquireRelease(acquire(attached, name), (standard) => release(attached, name, standard))
  )
