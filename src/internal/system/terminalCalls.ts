/** The calls on terminals, bound once for each thread, and the structures that they take. */
import type { Libc } from "../libc/koffi.ts"
import { type TerminalNumbers, terminalNumbers } from "../libc/profiles/system/terminal.ts"
import { type TerminalFunctions, terminalPrototypes } from "../libc/prototypes/system/terminal.ts"
import type { Layout } from "./layout.ts"

/** `struct winsize`, of 8 bytes. */
export const winsize = {
  ws_row: [0, "u16"],
  ws_col: [2, "u16"],
  ws_xpixel: [4, "u16"],
  ws_ypixel: [6, "u16"]
} as const satisfies Layout

export const winsizeBytes = 8

/** `struct termios2`, of 44 bytes. Of its control characters, two have a meaning in raw mode. */
export const termios2 = {
  c_iflag: [0, "u32"],
  c_oflag: [4, "u32"],
  c_cflag: [8, "u32"],
  c_lflag: [12, "u32"],
  c_line: [16, "u8"],
  /** `c_cc[VTIME]`, and `c_cc[VMIN]`. */
  vtime: [22, "u8"],
  vmin: [23, "u8"],
  c_ispeed: [36, "u32"],
  c_ospeed: [40, "u32"]
} as const satisfies Layout

export const termios2Bytes = 44

export interface TerminalCalls {
  readonly libc: Libc
  readonly functions: TerminalFunctions
  readonly numbers: TerminalNumbers
}

const known = new WeakMap<Libc, TerminalCalls>()

/** Returns the calls, or `undefined` if the library does not know this system's numbers. */
export const terminalCalls = (libc: Libc): TerminalCalls | undefined => {
  const bound = known.get(libc)
  if (bound !== undefined) return bound
  const numbers = terminalNumbers(libc.profile.platform, process.arch)
  if (numbers === undefined) return undefined
  const made = { libc, functions: libc.bindMore<TerminalFunctions>(terminalPrototypes), numbers }
  known.set(libc, made)
  return made
}
