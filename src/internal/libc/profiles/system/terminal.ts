/** Requests of ioctl(2) for terminals, and the bits of their modes: ioctl_tty(2), termios(3). */

export interface TerminalNumbers {
  /** Finds out the foreground process group. */
  readonly TIOCGPGRP: number
  /** Sets the size of the window, a `struct winsize`. */
  readonly TIOCSWINSZ: number
}

const generic: TerminalNumbers = {
  TIOCGPGRP: 0x540f,
  TIOCSWINSZ: 0x5414
}

/** The architectures of Linux whose numbers are those of its `asm-generic` headers. */
const genericArchitectures: ReadonlySet<string> = new Set([
  "x64",
  "ia32",
  "arm",
  "arm64",
  "riscv64",
  "loong64",
  "s390x"
])

/** Returns the numbers of a system, or `undefined` if the library does not know them. */
export const terminalNumbers = (platform: NodeJS.Platform, arch: string): TerminalNumbers | undefined =>
  platform === "linux" && genericArchitectures.has(arch) ? generic : undefined
