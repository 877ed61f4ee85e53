/** Pseudo-terminals: one end opened, and the path of the other. */
import { Effect } from "effect"
import { Fd } from "effect-amy"
import { execFileSync } from "node:child_process"
import koffi from "koffi"
import { cFunction } from "./cLibrary.ts"

const unlockpt = cFunction("int unlockpt(int fd)") as (fd: number) => number
const ptsname = cFunction("const char *ptsname(int fd)") as (fd: number) => string

/** Opens a terminal. The scope closes it, unless `controller` is closed before. */
export const openTerminal = Effect.map(Fd.open("/dev/ptmx", "both"), (controller) => {
  unlockpt(controller.fd)
  return { controller, path: ptsname(controller.fd) }
})

const ioctl = cFunction("int ioctl(int fd, unsigned long request, ...)") as (
  fd: number,
  request: number,
  type: "void *",
  result: Uint32Array
) => number

/** Returns the input and the output speed of a terminal, which `stty` knows only if they are usual. */
export const speedsOf = (fd: number): ReadonlyArray<number> => {
  const modes = new Uint32Array(11)
  // TCGETS2
  if (ioctl(fd, 0x802c_542a, "void *", modes) !== 0) throw new Error(`ioctl: errno ${koffi.errno()}`)
  return [...modes.subarray(9)]
}

/** Whether a terminal may not be opened once more: TIOCGEXCL. */
export const isExclusive = (fd: number): boolean => {
  const result = new Uint32Array(1)
  if (ioctl(fd, 0x8004_5440, "void *", result) !== 0) throw new Error(`ioctl: errno ${koffi.errno()}`)
  return result[0] !== 0
}

/** Returns the modes of a terminal, in the form in which `stty` takes them. */
export const modesOf = (path: string): string => execFileSync("stty", ["-F", path, "-g"], { encoding: "utf8" }).trim()

/** Returns the modes of a terminal in words: `cs8`, `-parenb`, `115200` and so on. */
export const wordsOf = (path: string): ReadonlySet<string> =>
  new Set(execFileSync("stty", ["-F", path, "-a"], { encoding: "utf8" }).split(/[\s;]+/))
