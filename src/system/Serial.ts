/**
 * A serial line: its bytes as a stream and a sink, its speed, and its modem lines.
 *
 * Reach for it for devices behind `/dev/ttyUSB0`, `/dev/ttyACM0`, `/dev/ttyS0` and their like, and
 * for pseudo-terminals that stand for them.
 *
 * The line is in raw mode: every byte arrives as it was sent, at once, and nothing is echoed. It is
 * used by this program alone, unless `exclusive` is false. When the scope closes, the line gets back
 * the settings that it had before.
 *
 * ## The end
 *
 * A line has no end of its own. If its device is unplugged, or the other end of a pseudo-terminal is
 * closed, everything fails with `Closed`: the stream, and each operation, also one that waits. So a
 * program that waits for the device to come back retries `open`, which fails with `NotFound` until
 * then.
 *
 * When the scope closes and nothing has failed, output that the kernel still has is sent first,
 * unless nothing of it is sent for half a second. If the program has failed or was interrupted, it
 * is thrown away.
 *
 * **Example** (A line, and the program at its other end)
 *
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { Poller, Pty, Serial } from "effect-amy"
 *
 * const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes)
 *
 * const program = Effect.gen(function* () {
 *   // A pseudo-terminal stands for the device: it says its path, and waits.
 *   const device = yield* Pty.spawn("sh", ["-c", "tty; exec sleep 1000"])
 *   const buffer = new Uint8Array(64)
 *   const path = decode(buffer.subarray(0, yield* device.read(buffer))).trim()
 *
 *   const line = yield* Serial.open(path, { baudRate: 115_200 })
 *   yield* line.writeAll(new TextEncoder().encode("AT\r"))
 *   console.log(JSON.stringify(decode(buffer.subarray(0, yield* device.read(buffer)))))
 *
 *   yield* device.writeAll(new TextEncoder().encode("OK\r"))
 *   const [received] = yield* line.stream.pipe(Stream.take(1), Stream.runCollect)
 *   console.log(JSON.stringify(decode(received!)))
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Poller.layerEventLoop())))
 * // => "AT\r"
 * // => "OK\r"
 * ```
 *
 * It works on Linux.
 *
 * @since 0.2.0
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type { Inspectable } from "effect/Inspectable"
import type * as Scope from "effect/Scope"
import type * as Sink from "effect/Sink"
import type * as Stream from "effect/Stream"
import * as internal from "../internal/system/serial.ts"
import type { PollerError } from "../PollerError.ts"
import type { Registrar } from "../Registrar.ts"

declare const TypeId: "~effect-amy/Serial"

/**
 * The settings of a line: what {@link Serial.set} takes.
 *
 * @category options
 * @since 0.2.0
 */
export interface SetOptions {
  /** Bits a second, in both directions. Any number that the device can do. */
  readonly baudRate?: number | undefined
  /** The bits of a byte, without its parity. Defaults to 8. */
  readonly dataBits?: 5 | 6 | 7 | 8 | undefined
  /** The bits after a byte. Defaults to 1. With 5 data bits, 2 may mean one and a half. */
  readonly stopBits?: 1 | 2 | undefined
  /** The bit that is checked. A byte that arrives with a wrong one is read as 0. Defaults to none. */
  readonly parity?: "none" | "even" | "odd" | "mark" | "space" | undefined
  /**
   * How each end stops the other: with the lines RTS and CTS, or with the bytes `0x11` and `0x13`.
   * Defaults to none.
   */
  readonly flowControl?: "none" | "hardware" | "software" | undefined
}

/**
 * The options of {@link open}.
 *
 * @category options
 * @since 0.2.0
 */
export interface OpenOptions extends SetOptions {
  /** Bits a second, in both directions. Any number that the device can do. */
  readonly baudRate: number
  /**
   * Keeps other programs out: flock(2), and `TIOCEXCL` of ioctl(2). Defaults to true. The second is
   * no obstacle to a program of the superuser, and the first only to programs that use it.
   */
  readonly exclusive?: boolean | undefined
}

/**
 * The modem lines: whether each is on.
 *
 * @category models
 * @since 0.2.0
 */
export interface ModemLines {
  /** Data terminal ready: set by this end. */
  readonly dtr: boolean
  /** Request to send: set by this end. */
  readonly rts: boolean
  /** Clear to send: set by the other end. */
  readonly cts: boolean
  /** Data set ready: set by the other end. */
  readonly dsr: boolean
  /** Ring indicator: set by the other end. */
  readonly ri: boolean
  /** Carrier detect: set by the other end. */
  readonly cd: boolean
}

/**
 * What {@link Serial.setModem} changes. A line that is not given stays as it is.
 *
 * @category options
 * @since 0.2.0
 */
export interface SetModemOptions {
  /** Data terminal ready. */
  readonly dtr?: boolean | undefined
  /** Request to send. */
  readonly rts?: boolean | undefined
}

/**
 * What {@link Serial.flush} throws away.
 *
 * @category options
 * @since 0.2.0
 */
export type FlushDirection = "input" | "output" | "both"

/**
 * A serial line.
 *
 * **Details**
 *
 * Every operation (`read`, `stream`, `write`, `writeAll`, `sink`, `drain`, `flush`, `sendBreak`,
 * `modem`, `setModem` and `set`):
 *
 * - Fails with `Closed` once the scope is closed, or the device is unplugged, also while it waits.
 *
 * Its methods can be passed on. It prints as `Serial(/dev/ttyUSB0, 115200 baud)`.
 *
 * @category models
 * @since 0.2.0
 */
export interface Serial extends Inspectable {
  readonly [TypeId]: typeof TypeId

  /** The descriptor of the line, or -1 once the scope is closed. */
  readonly fd: number

  /** The path that was opened. */
  readonly path: string

  /**
   * Waits for bytes, and reads them into the buffer: read(2). Returns their number, at least 1.
   *
   * - Fails with `InvalidArgument` if the offset or the length is outside the buffer, or if there is
   *   no room for a byte.
   * - Fails with `LimitReached` if the kernel cannot watch one more descriptor.
   * - Fails with `WorkerFailed` if the thread that polls has died.
   */
  readonly read: (buffer: Uint8Array, offset?: number, length?: number) => Effect.Effect<number, PollerError>

  /**
   * All bytes that arrive. It reads only what is pulled, and never ends: it fails with `Closed` when
   * the device is unplugged.
   *
   * - Fails with `LimitReached` if the kernel cannot watch one more descriptor.
   * - Fails with `WorkerFailed` if the thread that polls has died.
   */
  readonly stream: Stream.Stream<Uint8Array, PollerError>

  /**
   * Waits for room, and writes as many bytes as fit: write(2). Returns their number.
   *
   * - Fails with `InvalidArgument` if the offset or the length is outside the buffer.
   * - Fails with `LimitReached` if the kernel cannot watch one more descriptor.
   * - Fails with `WorkerFailed` if the thread that polls has died.
   */
  readonly write: (buffer: Uint8Array, offset?: number, length?: number) => Effect.Effect<number, PollerError>

  /**
   * Gives all bytes to the kernel, which sends them at the speed of the line. The bytes of other
   * fibers come before them or after them, never in between. See `drain`.
   *
   * - Fails with `InvalidArgument` if the offset or the length is outside the buffer.
   * - Fails with `LimitReached` if the kernel cannot watch one more descriptor.
   * - Fails with `WorkerFailed` if the thread that polls has died.
   */
  readonly writeAll: (buffer: Uint8Array, offset?: number, length?: number) => Effect.Effect<void, PollerError>

  /**
   * Writes every chunk, as `writeAll` does.
   *
   * - Fails with `LimitReached` if the kernel cannot watch one more descriptor.
   * - Fails with `WorkerFailed` if the thread that polls has died.
   */
  readonly sink: Sink.Sink<void, Uint8Array, never, PollerError>

  /**
   * Returns once everything that the kernel was given is sent. It looks now and then, by the
   * program's `Clock`, as tcdrain(3) would block the thread. An adapter may have a buffer of its own,
   * of which the kernel does not know.
   */
  readonly drain: Effect.Effect<void, PollerError>

  /**
   * Throws away what has arrived and was not read, what was not sent, or both, which is the default:
   * ioctl(2) with `TCFLSH`.
   *
   * - Fails with `InvalidArgument` if the direction is invalid.
   */
  readonly flush: (direction?: FlushDirection) => Effect.Effect<void, PollerError>

  /**
   * Holds the line in the state of a break for a duration, which defaults to 250 milliseconds. An
   * interruption ends the break at once.
   *
   * - Fails with `InvalidArgument` if the duration is negative or infinite.
   */
  readonly sendBreak: (duration?: Duration.Input) => Effect.Effect<void, PollerError>

  /**
   * The state of the modem lines now: ioctl(2) with `TIOCMGET`.
   *
   * - Fails with `UnsupportedPlatform` if the line has none, as a pseudo-terminal.
   */
  readonly modem: Effect.Effect<ModemLines, PollerError>

  /**
   * Switches the modem lines of this end: ioctl(2) with `TIOCMBIS` and `TIOCMBIC`.
   *
   * - Fails with `UnsupportedPlatform` if the line has none, as a pseudo-terminal.
   */
  readonly setModem: (lines: SetModemOptions) => Effect.Effect<void, PollerError>

  /**
   * Changes the settings that are given, at once. Use `drain` before, if output is still to be sent
   * with the former ones.
   *
   * - Fails with `InvalidArgument` if a setting is invalid, or the device cannot do it. Then none of
   *   them has changed.
   */
  readonly set: (options: SetOptions) => Effect.Effect<void, PollerError>
}

/**
 * Returns whether a value is a {@link Serial}.
 *
 * @category guards
 * @since 0.2.0
 */
export const isSerial: (u: unknown) => u is Serial = internal.isSerial

/**
 * Opens a line until the scope closes.
 *
 * **Details**
 *
 * It never becomes the controlling terminal of this process, and the line DCD is ignored. What had
 * arrived before is there to be read: `flush("input")` throws it away.
 *
 * - Fails with `NotFound` if there is no such path, as while the device is not plugged in.
 * - Fails with `PermissionDenied` if the process must not open it (on most systems, the group of
 *   `dialout` may), if another program uses it exclusively, or if `node --permission` forbids it.
 * - Fails with `InvalidArgument` if the path or an option is invalid, the device cannot do it, or
 *   this is no terminal. Then nothing has changed.
 * - Fails with `LimitReached` if no descriptor is left.
 * - Fails with `Closed` if there is no device behind the path.
 * - Fails with `UnsupportedPlatform` on systems other than Linux.
 * - Fails with `SystemError` if open(2) fails otherwise.
 *
 * **Example** (Waiting for a device to come back)
 *
 * ```ts
 * import { Effect, Schedule } from "effect"
 * import { Serial } from "effect-amy"
 *
 * const opened = Serial.open("/dev/ttyUSB0", { baudRate: 9600, parity: "even" }).pipe(
 *   Effect.retry({ schedule: Schedule.spaced("1 second"), while: ({ reason }) => reason._tag === "NotFound" })
 * )
 * console.log(Effect.isEffect(opened)) // => true
 * ```
 *
 * @category constructors
 * @since 0.2.0
 */
export const open: (path: string, options: OpenOptions) => Effect.Effect<Serial, PollerError, Registrar | Scope.Scope> =
  internal.open
