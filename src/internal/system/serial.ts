/** A serial line: in raw mode, and used by this program alone, until its scope closes. */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import type * as Sink from "effect/Sink"
import * as Stream from "effect/Stream"
import { constants as files } from "node:fs"
import { constants } from "node:os"
import { PermissionDenied, PollerError } from "../../PollerError.ts"
import type { Registrar } from "../../Registrar.ts"
import type {
  FlushDirection,
  ModemLines,
  OpenOptions,
  Serial,
  SetModemOptions,
  SetOptions
} from "../../system/Serial.ts"
import type { ByteCalls } from "../bytes/byteCalls.ts"
import { ByteChannel } from "../bytes/byteChannel.ts"
import { sinkOf, streamOf } from "../bytes/streams.ts"
import type { Attachment } from "../delivery/attachment.ts"
import { openPath } from "../descriptor/fd.ts"
import { OwnedFd } from "../descriptor/ownedFd.ts"
import { WatchedFd } from "../descriptor/watchedFd.ts"
import { textOf } from "../errors/arguments.ts"
import { booleanError } from "../errors/options.ts"
import { invalidArgument, unsupported } from "../errors/pollerErrors.ts"
import { toMillis } from "../errors/timeout.ts"
import { retryInterrupted } from "../kernel/retry.ts"
import type { Libc } from "../libc/koffi.ts"
import { setTimeout } from "../libc/realTime.ts"
import { detachMethods, PublicObject } from "../objects/publicObject.ts"
import { attachedLibc } from "./attachedLibc.ts"
import { changed, defaults, encode, refusedError, type Settings, settingsError } from "./lineSettings.ts"
import { command, getModem, getModes, goneIfSo, request, setModem, unlessFailed, waitingOutput } from "./serialCalls.ts"
import { type TerminalCalls, terminalCalls } from "./terminalCalls.ts"

export const TypeId = "~effect-amy/Serial"

/** The bounds of the pauses in which output is waited for, in milliseconds. */
const leastPause = 1
const longestPause = 50
/** How many milliseconds output may make no progress until a closing line discards it. */
const patience = 500

/**
 * Pauses by the time of the system: a scope may close while a test lets the program's time stand
 * still.
 */
const pause = (millis: number): Effect.Effect<void> =>
  Effect.callback((resume) => void setTimeout(() => resume(Effect.void), millis))

/** The calls on a line. It reports its end to a read as no bytes, or as EIO, and to a write as EIO. */
const byteCalls = ({ errno, functions }: Libc): ByteCalls => ({
  reading: "read",
  read: (fd, buffer, count) => {
    const result = functions.read(fd, buffer, count)
    if (result !== 0) return result
    errno(constants.errno.EIO)
    return -1
  },
  writing: "write",
  write: functions.write,
  isStream: false
})

interface Opened {
  readonly attachment: Attachment
  readonly calls: TerminalCalls
  readonly path: string
  readonly isExclusive: boolean
  /** The modes of the line before it was opened. */
  readonly before: Uint8Array
}

class SerialImpl extends PublicObject implements Serial {
  readonly #opened: Opened
  readonly #owned: OwnedFd
  readonly #channel: ByteChannel
  #settings: Settings

  static {
    detachMethods(this)
  }

  constructor(opened: Opened, fd: number, settings: Settings) {
    super()
    const { attachment, calls } = opened
    this.#opened = opened
    this.#settings = settings
    this.#channel = new ByteChannel(new WatchedFd(attachment, fd), calls.libc, byteCalls(calls.libc))
    this.#owned = new OwnedFd(calls.libc, fd, "the serial line", this.#channel)
  }

  get [TypeId](): typeof TypeId {
    return TypeId
  }

  get fd(): number {
    return this.#owned.fd
  }

  get path(): string {
    return this.#opened.path
  }

  read(buffer: Uint8Array, offset?: number, length?: number): Effect.Effect<number, PollerError> {
    return Effect.mapError(this.#channel.read(buffer, offset, length), goneIfSo)
  }

  get stream(): Stream.Stream<Uint8Array, PollerError> {
    return Stream.mapError(streamOf(this.#channel.readChunk), goneIfSo)
  }

  write(buffer: Uint8Array, offset?: number, length?: number): Effect.Effect<number, PollerError> {
    return Effect.mapError(this.#channel.write(buffer, offset, length), goneIfSo)
  }

  writeAll(buffer: Uint8Array, offset?: number, length?: number): Effect.Effect<void, PollerError> {
    return Effect.mapError(this.#channel.writeAll(buffer, offset, length), goneIfSo)
  }

  get sink(): Sink.Sink<void, Uint8Array, never, PollerError> {
    return sinkOf((chunks) => Effect.mapError(this.#channel.writeChunks(chunks), goneIfSo))
  }

  get drain(): Effect.Effect<void, PollerError> {
    const look: Effect.Effect<void, PollerError> = Effect.flatMap(this.#waiting, (count) =>
      count === 0 ? Effect.void : Effect.andThen(Effect.sleep(this.#pauseFor(count)), look)
    )
    return look
  }

  get #waiting(): Effect.Effect<number, PollerError> {
    return this.#owned.use((fd) => waitingOutput(this.#opened.calls, fd))
  }

  /** Returns about how many milliseconds bytes take, as ten bits each, within bounds. */
  #pauseFor(count: number): number {
    return Math.min(Math.max((count * 10_000) / this.#settings.baudRate, leastPause), longestPause)
  }

  flush(direction: FlushDirection = "both"): Effect.Effect<void, PollerError> {
    return this.#owned.use((fd) => {
      const { TCIFLUSH, TCIOFLUSH, TCOFLUSH } = this.#opened.calls.numbers
      const queues = new Map<string, number>([
        ["input", TCIFLUSH],
        ["output", TCOFLUSH],
        ["both", TCIOFLUSH]
      ])
      const queue = queues.get(direction)
      return queue === undefined
        ? Effect.fail(invalidArgument(`cannot flush ${textOf(direction)}: expected "input", "output" or "both"`))
        : unlessFailed(command(this.#opened.calls, fd, "TCFLSH", queue))
    })
  }

  sendBreak(duration: Duration.Input = 250): Effect.Effect<void, PollerError> {
    const { calls } = this.#opened
    return Effect.suspend(() => {
      const millis = toMillis(duration)
      if (millis === undefined || millis === Infinity) {
        return Effect.fail(
          invalidArgument(`invalid duration ${textOf(duration)}: expected a finite one of zero or more`)
        )
      }
      return Effect.acquireUseRelease(
        this.#owned.use((fd) => unlessFailed(command(calls, fd, "TIOCSBRK"))),
        () => Effect.sleep(millis),
        () => Effect.ignore(this.#owned.use((fd) => unlessFailed(command(calls, fd, "TIOCCBRK"))))
      )
    })
  }

  get modem(): Effect.Effect<ModemLines, PollerError> {
    return this.#owned.use((fd) => getModem(this.#opened.calls, fd))
  }

  setModem(options: SetModemOptions): Effect.Effect<void, PollerError> {
    return this.#owned.use((fd) => setModem(this.#opened.calls, fd, options ?? {}))
  }

  set(options: SetOptions): Effect.Effect<void, PollerError> {
    return this.#owned.use((fd) => {
      const settings = changed(this.#settings, options ?? {})
      return Effect.flatMap(apply(this.#opened, fd, settings), () =>
        Effect.sync(() => {
          this.#settings = settings
        })
      )
    })
  }

  /** Restores the line as it was, and closes it. Output is waited for if nothing has failed. */
  release(exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> {
    return Effect.andThen(
      Exit.isSuccess(exit) ? Effect.ignore(this.#drainPatiently) : Effect.void,
      Effect.sync(() => {
        const { calls, before, isExclusive } = this.#opened
        const { fd } = this
        if (fd === -1) return
        // Or close(2) would block the thread until it is sent. Where nothing waits, this would throw
        // away what the other end of a pseudo-terminal has not read.
        const waiting = new Int32Array(1)
        request(calls, fd, "TIOCOUTQ", waiting)
        if (waiting[0]! > 0) command(calls, fd, "TCFLSH", calls.numbers.TCOFLUSH)
        request(calls, fd, "TCSETS2", before)
        if (isExclusive) command(calls, fd, "TIOCNXCL")
        this.#owned.closeUnsafe()
      })
    )
  }

  /** As `drain`, but gives up if nothing is sent for a while, as when the peer stops the flow. */
  get #drainPatiently(): Effect.Effect<void, PollerError> {
    const look = (last: number, idle: number): Effect.Effect<void, PollerError> =>
      Effect.flatMap(this.#waiting, (count) => {
        const waited = count < last ? 0 : idle
        if (count === 0 || waited >= patience) return Effect.void
        const millis = this.#pauseFor(count)
        return Effect.andThen(pause(millis), look(count, waited + millis))
      })
    return look(Infinity, 0)
  }

  toJSON() {
    return { _id: "effect-amy/Serial", fd: this.fd, path: this.path, ...this.#settings }
  }

  toString(): string {
    return `Serial(${this.fd === -1 ? "closed" : `${this.path}, ${this.#settings.baudRate} baud`})`
  }
}

export const isSerial = (u: unknown): u is Serial => u instanceof SerialImpl

/** Gives the line its settings, or leaves it as it was. */
const apply = (opened: Opened, fd: number, settings: Settings): Effect.Effect<void, PollerError> => {
  const invalid = settingsError(settings)
  if (invalid !== undefined) return Effect.fail(invalid)
  const { calls, path } = opened
  return Effect.flatMap(getModes(calls, fd), (last) => {
    const error = request(calls, fd, "TCSETS2", encode(calls.numbers, last, settings))
    if (error !== undefined) return Effect.fail(error)
    return Effect.flatMap(getModes(calls, fd), (now) => {
      const refused = refusedError(calls.numbers, now, settings, path)
      if (refused !== undefined) request(calls, fd, "TCSETS2", last)
      return unlessFailed(refused)
    })
  })
}

/** Returns the error of a line that another program has for itself. */
const inUse = (syscall: string, errno: number, code: string): PollerError =>
  new PollerError({
    reason: new PermissionDenied({
      syscall,
      errno,
      code,
      description: "another program uses this line exclusively (close it there first)"
    })
  })

const inUseIfSo = (error: PollerError): PollerError => {
  const { reason } = error
  return reason._tag === "SystemError" && reason.code === "EBUSY"
    ? inUse(reason.syscall, reason.errno, reason.code)
    : goneIfSo(error)
}

/** Takes the line for this program alone. */
const lock = ({ functions, libc, numbers }: TerminalCalls, fd: number): PollerError | undefined => {
  const result = retryInterrupted(libc, () => functions.flock(fd, numbers.LOCK_EX | numbers.LOCK_NB))
  // A file system may have no locks. Then there is only TIOCEXCL.
  return result === -libc.profile.errno.EAGAIN ? inUse("flock", -result, "EAGAIN") : undefined
}

export const open = (path: string, options: OpenOptions): Effect.Effect<Serial, PollerError, Registrar | Scope.Scope> =>
  Effect.gen(function* () {
    const { attachment, libc } = yield* attachedLibc("serial lines")
    const calls = terminalCalls(libc)
    if (calls === undefined) {
      return yield* Effect.fail(
        unsupported("Serial knows the lines of Linux only (serialport of npm opens this system's)")
      )
    }
    const settings = changed({ baudRate: Number.NaN, ...defaults }, options ?? {})
    const invalid = settingsError(settings) ?? booleanError("exclusive", options.exclusive)
    if (invalid !== undefined) return yield* Effect.fail(invalid)
    const isExclusive = options.exclusive ?? true
    return yield* Effect.acquireRelease(
      Effect.flatMap(Effect.mapError(openPath(libc, path, files.O_RDWR), inUseIfSo), (fd) =>
        Effect.flatMap(getModes(calls, fd), (before) => {
          const opened: Opened = { attachment, calls, path, isExclusive, before }
          const locked = isExclusive ? lock(calls, fd) : undefined
          if (locked !== undefined) return Effect.fail(locked)
          return Effect.map(apply(opened, fd, settings), () => {
            if (isExclusive) command(calls, fd, "TIOCEXCL")
            return new SerialImpl(opened, fd, settings)
          })
        }).pipe(Effect.onError(() => Effect.sync(() => void libc.functions.close(fd))))
      ),
      (serial, exit) => serial.release(exit)
    )
  })
