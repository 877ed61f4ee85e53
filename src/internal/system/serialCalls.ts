/** The calls on a serial line, as effects. None of them blocks the thread. */
import * as Effect from "effect/Effect"
import { constants } from "node:os"
import type { ModemLines } from "../../system/Serial.ts"
import type { PollerError } from "../../PollerError.ts"
import { booleanError } from "../errors/options.ts"
import { closedBecause, fromErrno, unsupported } from "../errors/pollerErrors.ts"
import { retryInterrupted } from "../kernel/retry.ts"
import { termios2Bytes, type TerminalCalls } from "./terminalCalls.ts"

/** The errors by which a line says that it is gone. */
const goneCodes: ReadonlySet<string> = new Set(["EIO", "ENODEV", "ENXIO"])

/** Returns the error of a line that is gone for one that the kernel has returned. */
export const goneIfSo = (error: PollerError): PollerError =>
  "code" in error.reason && goneCodes.has(error.reason.code ?? "")
    ? closedBecause(
        "the serial line is gone: its device was unplugged, or the other end of the terminal is closed (open it again once it is back)"
      )
    : error

/** Makes a request of ioctl(2), whose argument is memory or a number. */
export const request = (
  { functions, libc, numbers }: TerminalCalls,
  fd: number,
  name: "TCGETS2" | "TCSETS2" | "TIOCMGET" | "TIOCMBIS" | "TIOCMBIC" | "TIOCOUTQ",
  argument: Uint8Array | Int32Array
): PollerError | undefined => {
  const result = retryInterrupted(libc, () => functions.ioctl(fd, numbers[name], "void *", argument))
  return result < 0 ? goneIfSo(fromErrno(`ioctl(${name})`, -result, { fd })) : undefined
}

/** As `request`, with a number, and no use for the result. */
export const command = (
  { functions, libc, numbers }: TerminalCalls,
  fd: number,
  name: "TCFLSH" | "TIOCSBRK" | "TIOCCBRK" | "TIOCEXCL" | "TIOCNXCL",
  argument = 0
): PollerError | undefined => {
  const result = retryInterrupted(libc, () => functions.ioctl(fd, numbers[name], "int", argument))
  return result < 0 ? goneIfSo(fromErrno(`ioctl(${name})`, -result, { fd })) : undefined
}

/** Turns the error of a call, if there is one, into an effect. */
export const unlessFailed = (error: PollerError | undefined): Effect.Effect<void, PollerError> =>
  error === undefined ? Effect.void : Effect.fail(error)

/** Returns the modes of a line, a `struct termios2`, or why it has none. */
export const getModes = (calls: TerminalCalls, fd: number): Effect.Effect<Uint8Array, PollerError> =>
  Effect.suspend(() => {
    const modes = new Uint8Array(termios2Bytes)
    return Effect.as(unlessFailed(request(calls, fd, "TCGETS2", modes)), modes)
  })

/** Returns how many bytes wait to be sent. */
export const waitingOutput = (calls: TerminalCalls, fd: number): Effect.Effect<number, PollerError> =>
  Effect.suspend(() => {
    const { functions, numbers } = calls
    const count = new Int32Array(1)
    const error = request(calls, fd, "TIOCOUTQ", count)
    if (error !== undefined || count[0]! > 0) return Effect.as(unlessFailed(error), count[0]!)
    // The last bytes have left the buffer, but not the transmitter. Few drivers know of it.
    const knows = functions.ioctl(fd, numbers.TIOCSERGETLSR, "void *", count) === 0
    return Effect.succeed(knows && (count[0]! & numbers.TIOCSER_TEMT) === 0 ? 1 : 0)
  })

/** Names the bits of the modem lines. */
const lines = ({ TIOCM }: TerminalCalls["numbers"]) =>
  ({
    dtr: TIOCM.DTR,
    rts: TIOCM.RTS,
    cts: TIOCM.CTS,
    dsr: TIOCM.DSR,
    ri: TIOCM.RNG,
    cd: TIOCM.CAR
  }) as const satisfies { readonly [Name in keyof ModemLines]: number }

/** Returns the error of a line without modem lines, such as a pseudo-terminal, for the kernel's. */
const withoutModem = (error: PollerError | undefined): PollerError | undefined =>
  error !== undefined && "errno" in error.reason && noModem.has(error.reason.errno ?? 0)
    ? unsupported("this line has no modem lines: a pseudo-terminal has none, and some devices have none")
    : error

const noModem: ReadonlySet<number> = new Set([
  constants.errno.ENOTTY,
  constants.errno.EINVAL,
  constants.errno.EOPNOTSUPP
])

export const getModem = (calls: TerminalCalls, fd: number): Effect.Effect<ModemLines, PollerError> =>
  Effect.suspend(() => {
    const bits = new Int32Array(1)
    const error = withoutModem(request(calls, fd, "TIOCMGET", bits))
    if (error !== undefined) return Effect.fail(error)
    const set = Object.entries(lines(calls.numbers)).map(([name, bit]) => [name, (bits[0]! & bit) !== 0])
    return Effect.succeed(Object.fromEntries(set) as ModemLines)
  })

export const setModem = (
  calls: TerminalCalls,
  fd: number,
  { dtr, rts }: { readonly dtr?: boolean | undefined; readonly rts?: boolean | undefined }
): Effect.Effect<void, PollerError> =>
  Effect.suspend(() => {
    const invalid = booleanError("dtr", dtr) ?? booleanError("rts", rts)
    if (invalid !== undefined) return Effect.fail(invalid)
    const bits = lines(calls.numbers)
    const changes = [
      [dtr, bits.dtr],
      [rts, bits.rts]
    ] as const
    const bitsThatAre = (on: boolean) =>
      Int32Array.of(changes.reduce((all, [wanted, bit]) => (wanted === on ? all | bit : all), 0))
    for (const [name, argument] of [
      ["TIOCMBIS", bitsThatAre(true)],
      ["TIOCMBIC", bitsThatAre(false)]
    ] as const) {
      const error = argument[0] === 0 ? undefined : withoutModem(request(calls, fd, name, argument))
      if (error !== undefined) return Effect.fail(error)
    }
    return Effect.void
  })
