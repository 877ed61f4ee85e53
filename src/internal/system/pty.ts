/** A program on a terminal of its own, whose other end this process has. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Sink from "effect/Sink"
import type * as Stream from "effect/Stream"
import { constants as files } from "node:fs"
import { constants } from "node:os"
import { isPollerError, type PollerError } from "../../PollerError.ts"
import type { Registrar } from "../../Registrar.ts"
import type { Exit } from "../../system/ProcessExit.ts"
import type { Pty, SpawnOptions } from "../../system/Pty.ts"
import type { ByteCalls } from "../bytes/byteCalls.ts"
import { ByteChannel } from "../bytes/byteChannel.ts"
import { sinkOf, streamOf } from "../bytes/streams.ts"
import type { Attachment } from "../delivery/attachment.ts"
import { OwnedFd } from "../descriptor/ownedFd.ts"
import { WatchedFd } from "../descriptor/watchedFd.ts"
import { textOf } from "../errors/arguments.ts"
import { childProcessDenied } from "../errors/nodePermission.ts"
import { fromErrno, invalidArgument, notOpen, unsupported } from "../errors/pollerErrors.ts"
import { bindReadinessNow } from "../kernel/pollNow.ts"
import { retryInterrupted } from "../kernel/retry.ts"
import { Interest, Readiness } from "../kernel/selector.ts"
import type { Libc } from "../libc/koffi.ts"
import { detachMethods, PublicObject } from "../objects/publicObject.ts"
import { State } from "../shared/pollerMemory.ts"
import { attachedLibc } from "./attachedLibc.ts"
import { Child } from "./child.ts"
import { lastSignal, signalNumber } from "./exit.ts"
import { viewOf, writeStruct } from "./layout.ts"
import { type ProcessCalls, processCalls } from "./processCalls.ts"
import { type Program, programError, start } from "./program.ts"
import { textError } from "./strings.ts"
import { type TerminalCalls, terminalCalls, winsize, winsizeBytes } from "./terminalCalls.ts"

export const TypeId = "~effect-amy/Pty"

/** How many milliseconds programs have to end by themselves once the terminal has hung up. */
const hangUpTime = 100

/** Where the path of a terminal fits. */
const pathBytes = 128

interface Calls {
  readonly attachment: Attachment
  readonly libc: Libc
  readonly process: ProcessCalls
  readonly terminal: TerminalCalls
}

/**
 * The calls on this end. Linux reports the end of the other one to a read as EIO. It takes what is
 * written although nothing reads it any more, until there is no room, and says nothing then.
 */
const byteCalls = (libc: Libc): ByteCalls => {
  const { errno, functions } = libc
  const { EIO, EPIPE } = constants.errno
  const readinessNow = bindReadinessNow(libc)
  return {
    reading: "read",
    read: (fd, buffer, count) => {
      const result = functions.read(fd, buffer, count)
      return result === -1 && errno() === EIO ? 0 : result
    },
    writing: "write",
    write: (fd, buffer, count) => {
      const readiness = readinessNow(fd, Interest.Write)
      if (readiness < 0 || (readiness & Readiness.WriteClosed) === 0) return functions.write(fd, buffer, count)
      errno(EPIPE)
      return -1
    },
    isStream: false
  }
}

class PtyImpl extends PublicObject implements Pty {
  readonly #calls: Calls
  readonly #owned: OwnedFd
  readonly #channel: ByteChannel
  readonly #child: Child

  static {
    detachMethods(this)
  }

  constructor(calls: Calls, fd: number, child: Child) {
    super()
    this.#calls = calls
    this.#child = child
    this.#channel = new ByteChannel(new WatchedFd(calls.attachment, fd), calls.libc, byteCalls(calls.libc))
    this.#owned = new OwnedFd(calls.libc, fd, "the terminal", this.#channel)
  }

  get [TypeId](): typeof TypeId {
    return TypeId
  }

  get fd(): number {
    return this.#owned.fd
  }

  get pid(): number {
    return this.#child.pid
  }

  get exit(): Effect.Effect<Exit, PollerError> {
    return this.#child.exit
  }

  read(buffer: Uint8Array, offset?: number, length?: number): Effect.Effect<number, PollerError> {
    return this.#channel.read(buffer, offset, length)
  }

  get stream(): Stream.Stream<Uint8Array, PollerError> {
    return streamOf(this.#channel.readChunk)
  }

  write(buffer: Uint8Array, offset?: number, length?: number): Effect.Effect<number, PollerError> {
    return this.#channel.write(buffer, offset, length)
  }

  writeAll(buffer: Uint8Array, offset?: number, length?: number): Effect.Effect<void, PollerError> {
    return this.#channel.writeAll(buffer, offset, length)
  }

  get sink(): Sink.Sink<void, Uint8Array, never, PollerError> {
    return sinkOf((chunks) => this.#channel.writeChunks(chunks))
  }

  resize(cols: number, rows: number): Effect.Effect<void, PollerError> {
    return this.#owned.use((fd) => {
      const error = sizeError(cols, rows) ?? setSize(this.#calls.terminal, fd, cols, rows)
      return error === undefined ? Effect.void : Effect.fail(error)
    })
  }

  kill(signal: NodeJS.Signals | number = "SIGTERM"): Effect.Effect<void, PollerError> {
    return Effect.suspend(() => {
      const number = signalNumber(signal)
      if (number === undefined) {
        return Effect.fail(
          invalidArgument(
            `invalid signal ${textOf(signal)}: expected a name such as "SIGTERM", or a number from 0 to ${lastSignal}`
          )
        )
      }
      if (this.fd === -1) return Effect.fail(this.#owned.closed)
      const errno = this.#child.signal(number)
      return errno === 0 ? Effect.void : Effect.fail(fromErrno("pidfd_send_signal", errno))
    })
  }

  /** Hangs up, and returns once the program has ended. Kills it if it does not end by itself. */
  get release(): Effect.Effect<void> {
    return Effect.suspend(() => {
      const child = this.#child
      const hadEnded = child.hasEnded
      const groups = new Set([child.pid, this.#foregroundGroup])
      this.#owned.closeUnsafe()
      if (hadEnded) return Effect.sync(() => child.release())
      return child.endsWithin(hangUpTime).pipe(
        Effect.flatMap((ended) => {
          for (const group of groups) this.#killGroup(group)
          // A program of another user can only be left alone.
          return ended || child.signal(constants.signals.SIGKILL) !== 0 ? Effect.void : child.endsWithin(Infinity)
        }),
        Effect.andThen(Effect.sync(() => child.release()))
      )
    })
  }

  /** The process group that reads the terminal, or 0. */
  get #foregroundGroup(): number {
    const { functions, numbers } = this.#calls.terminal
    const group = new Int32Array(1)
    return functions.ioctl(this.fd, numbers.TIOCGPGRP, "void *", group) === 0 ? group[0]! : 0
  }

  /** Kills what is left of a process group of the session, unless its number has been reused. */
  #killGroup(group: number): void {
    const { functions } = this.#calls.process
    if (group <= 1) return
    const session = functions.getsid(group)
    if (session === this.pid || session === -1) functions.kill(-group, constants.signals.SIGKILL)
  }

  toJSON() {
    return { _id: "effect-amy/Pty", fd: this.fd, pid: this.pid }
  }

  toString(): string {
    return `Pty(${this.fd === -1 ? "closed" : `${this.fd}, pid ${this.pid}`})`
  }
}

export const isPty = (u: unknown): u is Pty => u instanceof PtyImpl

const isSize = (value: unknown): boolean =>
  Number.isInteger(value) && (value as number) >= 1 && (value as number) <= 0xffff

const sizeError = (cols: number, rows: number): PollerError | undefined =>
  isSize(cols) && isSize(rows)
    ? undefined
    : invalidArgument(
        `invalid size of ${textOf(cols)} columns and ${textOf(rows)} rows: expected integers from 1 to 65,535`
      )

/** Tells the kernel the size of the window, which sends SIGWINCH if it has changed. */
const setSize = (
  { functions, libc, numbers }: TerminalCalls,
  fd: number,
  cols: number,
  rows: number
): PollerError | undefined => {
  const size = new Uint8Array(winsizeBytes)
  writeStruct(winsize, viewOf(size), 0, { ws_row: rows, ws_col: cols })
  const result = retryInterrupted(libc, () => functions.ioctl(fd, numbers.TIOCSWINSZ, "void *", size))
  return result < 0 ? fromErrno("ioctl(TIOCSWINSZ)", -result, { fd }) : undefined
}

/** Opens this end of a terminal. Returns it with the path of the other end. */
const openTerminal = ({ functions, libc }: TerminalCalls): { fd: number; path: Uint8Array } | PollerError => {
  const { O_CLOEXEC, O_NONBLOCK } = libc.profile.fcntl
  const flags = files.O_RDWR | files.O_NOCTTY | O_CLOEXEC | O_NONBLOCK
  const fd = retryInterrupted(libc, () => functions.posix_openpt(flags))
  if (fd < 0) return fromErrno("posix_openpt", -fd)
  const path = new Uint8Array(pathBytes)
  const failed = (["grantpt", "unlockpt"] as const)
    .map((name) => [name, retryInterrupted(libc, () => functions[name](fd))] as const)
    .find(([, result]) => result < 0)
  const errno = failed === undefined ? functions.ptsname_r(fd, path, pathBytes) : -failed[1]
  if (errno === 0) return { fd, path }
  libc.functions.close(fd)
  return fromErrno(failed?.[0] ?? "ptsname_r", errno)
}

const spawnNow = (calls: Calls, program: Program, cols: number, rows: number): PtyImpl | PollerError => {
  const { attachment, libc } = calls
  const { memory } = attachment
  if (memory.state !== State.Open) return notOpen(memory)
  const opened = openTerminal(calls.terminal)
  if (isPollerError(opened)) return opened
  const { fd, path } = opened
  const pid = setSize(calls.terminal, fd, cols, rows) ?? start(calls.process, path, program)
  const child = isPollerError(pid) ? pid : Child.watch(calls.process, attachment, pid)
  if (!isPollerError(child)) return new PtyImpl(calls, fd, child)
  libc.functions.close(fd)
  return child
}

/** Returns the environment of the program. */
const environment = ({ env, name }: SpawnOptions): Program["env"] => {
  const given: Record<string, string> = {}
  for (const [key, value] of Object.entries(env ?? process.env)) if (value !== undefined) given[key] = value
  if (env === undefined) {
    // They are the size of another terminal, and programs believe them before they ask this one.
    delete given["COLUMNS"]
    delete given["LINES"]
  }
  given["TERM"] = name ?? given["TERM"] ?? "xterm-256color"
  return given
}

export const spawn = (
  command: string,
  args: ReadonlyArray<string>,
  options: SpawnOptions
): Effect.Effect<Pty, PollerError, Registrar | Scope.Scope> =>
  Effect.gen(function* () {
    const { attachment, libc } = yield* attachedLibc("terminals")
    const process = processCalls(libc)
    const terminal = terminalCalls(libc)
    if (process === undefined || terminal === undefined) {
      return yield* Effect.fail(
        unsupported("Pty knows the terminals of Linux only (node-pty of npm starts programs on this system's)")
      )
    }
    const { cols = 80, cwd, env, name, rows = 24 } = options
    const invalid =
      programError(command, args, cwd, env) ??
      (name === undefined ? undefined : textError("name", name)) ??
      sizeError(cols, rows) ??
      childProcessDenied(`posix_spawn("${command}")`)
    if (invalid !== undefined) return yield* Effect.fail(invalid)
    const calls: Calls = { attachment, libc, process, terminal }
    return yield* Effect.acquireRelease(
      Effect.suspend(() => {
        const pty = spawnNow(calls, { command, args, cwd, env: environment(options) }, cols, rows)
        return isPollerError(pty) ? Effect.fail(pty) : Effect.succeed(pty)
      }),
      (pty) => pty.release
    )
  })
