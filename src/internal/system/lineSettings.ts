/** The settings of a serial line, and the `struct termios2` that has them. */
import type { SetOptions } from "../../system/Serial.ts"
import type { PollerError } from "../../PollerError.ts"
import { textOf } from "../errors/arguments.ts"
import { invalidArgument } from "../errors/pollerErrors.ts"
import type { TerminalNumbers } from "../libc/profiles/system/terminal.ts"
import { readStruct, viewOf, writeStruct } from "./layout.ts"
import { termios2 } from "./terminalCalls.ts"

/** All settings. */
export type Settings = { readonly [Name in keyof SetOptions]-?: Exclude<SetOptions[Name], undefined> }

export const defaults = { dataBits: 8, stopBits: 1, parity: "none", flowControl: "none" } as const

/** What each setting may be. */
const allowed: { readonly [name: string]: ReadonlyArray<unknown> } = {
  dataBits: [5, 6, 7, 8],
  stopBits: [1, 2],
  parity: ["none", "even", "odd", "mark", "space"],
  flowControl: ["none", "hardware", "software"]
}

/** Returns the settings with those that are given changed. */
export const changed = (settings: Settings, options: SetOptions): Settings => {
  const given = Object.entries(options).filter(([name, value]) => name in settings && value !== undefined)
  return { ...settings, ...Object.fromEntries(given) }
}

export const settingsError = (settings: Settings): PollerError | undefined => {
  const { baudRate } = settings
  if (!Number.isInteger(baudRate) || baudRate < 1 || baudRate > 0xffff_ffff) {
    return invalidArgument(`invalid baudRate ${textOf(baudRate)}: expected an integer of at least 1`)
  }
  for (const [name, values] of Object.entries(allowed)) {
    const value: unknown = settings[name as keyof Settings]
    if (!values.includes(value)) {
      return invalidArgument(`invalid ${name} ${textOf(value)}: expected one of ${values.join(", ")}`)
    }
  }
  return undefined
}

/** Which control bits the settings stand for, beside the speed. */
const controlOf = ({ control }: TerminalNumbers, { dataBits, flowControl, parity, stopBits }: Settings): number => {
  let bits = control.CSIZE[dataBits - 5]!
  if (stopBits === 2) bits |= control.CSTOPB
  if (parity !== "none") bits |= control.PARENB
  if (parity === "odd" || parity === "mark") bits |= control.PARODD
  if (parity === "mark" || parity === "space") bits |= control.CMSPAR
  if (flowControl === "hardware") bits |= control.CRTSCTS
  return bits
}

/** The control bits that the settings decide, beside the speed. */
const decided = ({ control }: TerminalNumbers): number => {
  const { CMSPAR, CRTSCTS, CSIZE, CSTOPB, PARENB, PARODD } = control
  return CSIZE[3] | CSTOPB | PARENB | PARODD | CMSPAR | CRTSCTS
}

/** Returns the modes of a line before, changed to raw mode with the settings. */
export const encode = (numbers: TerminalNumbers, before: Uint8Array, settings: Settings): Uint8Array => {
  const { control, input } = numbers
  const bytes = Uint8Array.from(before)
  const view = viewOf(bytes)
  const { c_cflag } = readStruct(termios2, view, 0)
  const { BOTHER, CBAUD, CLOCAL, CREAD, IBSHIFT, usualSpeeds } = control
  const speed = CBAUD | (CBAUD << IBSHIFT)
  const kept = c_cflag & ~(speed | decided(numbers))
  // The input speed is the same: where there are no bits for it, and where they are equal. Programs
  // that know nothing of BOTHER can then read a usual speed.
  const speedBits = usualSpeeds.get(settings.baudRate) ?? BOTHER | (BOTHER << IBSHIFT)
  const software = settings.flowControl === "software" ? input.IXON | input.IXOFF : 0
  writeStruct(termios2, view, 0, {
    // A byte with a wrong parity is read as zero.
    c_iflag: software | (settings.parity === "none" ? 0 : input.INPCK),
    c_oflag: 0,
    c_cflag: (kept | controlOf(numbers, settings) | speedBits | CREAD | CLOCAL) >>> 0,
    c_lflag: 0,
    vtime: 0,
    vmin: 1,
    c_ispeed: settings.baudRate,
    c_ospeed: settings.baudRate
  })
  return bytes
}

/** Returns the error if a line has not taken the settings. Drivers leave out what they cannot do. */
export const refusedError = (
  numbers: TerminalNumbers,
  now: Uint8Array,
  settings: Settings,
  path: string
): PollerError | undefined => {
  const { c_cflag, c_ospeed } = readStruct(termios2, viewOf(now), 0)
  const differing = (c_cflag ^ controlOf(numbers, settings)) & decided(numbers)
  const { baudRate, dataBits, parity, stopBits } = settings
  const { control } = numbers
  const lacking: Array<string> = []
  // What comes of a divisor may differ by a few percent.
  if (Math.abs(c_ospeed - baudRate) > baudRate * 0.05) lacking.push(`${baudRate} baud (the nearest is ${c_ospeed})`)
  if ((differing & control.CSIZE[3]) !== 0) lacking.push(`${dataBits} data bits`)
  if ((differing & control.CSTOPB) !== 0) lacking.push(`${stopBits} stop bits`)
  if ((differing & (control.PARENB | control.PARODD | control.CMSPAR)) !== 0) lacking.push(`the parity "${parity}"`)
  if ((differing & control.CRTSCTS) !== 0) lacking.push("this flow control")
  return lacking.length === 0
    ? undefined
    : invalidArgument(`${path} cannot do ${lacking.join(", ")}: pass what the device supports`)
}
