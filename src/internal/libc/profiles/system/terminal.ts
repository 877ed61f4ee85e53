/** Requests of ioctl(2) for terminals, and the bits of their modes: ioctl_tty(2), termios(3). */

export interface TerminalNumbers {
  /** Gets and sets a `struct termios2`, which has the speeds as numbers. */
  readonly TCGETS2: number
  readonly TCSETS2: number
  /** Throws away what is in the buffers. */
  readonly TCFLSH: number
  readonly TCIFLUSH: number
  readonly TCOFLUSH: number
  readonly TCIOFLUSH: number
  /** Begins and ends a break. */
  readonly TIOCSBRK: number
  readonly TIOCCBRK: number
  /** Refuses and allows that the terminal is opened once more. */
  readonly TIOCEXCL: number
  readonly TIOCNXCL: number
  /** Finds out the foreground process group. */
  readonly TIOCGPGRP: number
  /** Gets the modem lines, and sets or clears some of them. */
  readonly TIOCMGET: number
  readonly TIOCMBIS: number
  readonly TIOCMBIC: number
  readonly TIOCM: {
    readonly DTR: number
    readonly RTS: number
    readonly CTS: number
    readonly CAR: number
    readonly RNG: number
    readonly DSR: number
  }
  /** How many bytes wait to be sent. */
  readonly TIOCOUTQ: number
  /** Whether the transmitter is empty. Few drivers say so. */
  readonly TIOCSERGETLSR: number
  readonly TIOCSER_TEMT: number
  /** Sets the size of the window, a `struct winsize`. */
  readonly TIOCSWINSZ: number
  readonly input: { readonly INPCK: number; readonly IXON: number; readonly IXOFF: number }
  readonly control: {
    readonly CBAUD: number
    /** The bits of the usual speeds: B50 and so on. */
    readonly usualSpeeds: ReadonlyMap<number, number>
    /** The bits of any other speed. */
    readonly BOTHER: number
    /** From the bits of the output speed to those of the input speed. */
    readonly IBSHIFT: number
    /** The bits of 5, 6, 7 and 8 data bits. */
    readonly CSIZE: readonly [number, number, number, number]
    readonly CSTOPB: number
    readonly CREAD: number
    readonly PARENB: number
    readonly PARODD: number
    readonly CMSPAR: number
    readonly CLOCAL: number
    readonly CRTSCTS: number
  }
  /** Of flock(2). */
  readonly LOCK_EX: number
  readonly LOCK_NB: number
}

/** In their order, the speeds from B50 on, and those from B57600 on. */
const slow = [50, 75, 110, 134, 150, 200, 300, 600, 1200, 1800, 2400, 4800, 9600, 19_200, 38_400]
const fast = [
  57_600, 115_200, 230_400, 460_800, 500_000, 576_000, 921_600, 1_000_000, 1_152_000, 1_500_000, 2_000_000, 2_500_000,
  3_000_000, 3_500_000, 4_000_000
]

const generic: TerminalNumbers = {
  TCGETS2: 0x802c_542a,
  TCSETS2: 0x402c_542b,
  TCFLSH: 0x540b,
  TCIFLUSH: 0,
  TCOFLUSH: 1,
  TCIOFLUSH: 2,
  TIOCSBRK: 0x5427,
  TIOCCBRK: 0x5428,
  TIOCEXCL: 0x540c,
  TIOCNXCL: 0x540d,
  TIOCGPGRP: 0x540f,
  TIOCMGET: 0x5415,
  TIOCMBIS: 0x5416,
  TIOCMBIC: 0x5417,
  TIOCM: { DTR: 0x002, RTS: 0x004, CTS: 0x020, CAR: 0x040, RNG: 0x080, DSR: 0x100 },
  TIOCOUTQ: 0x5411,
  TIOCSERGETLSR: 0x5459,
  TIOCSER_TEMT: 1,
  TIOCSWINSZ: 0x5414,
  input: { INPCK: 0x10, IXON: 0x400, IXOFF: 0x1000 },
  control: {
    CBAUD: 0x100f,
    usualSpeeds: new Map([
      ...slow.map((speed, i) => [speed, i + 1] as const),
      ...fast.map((speed, i) => [speed, 0x1001 + i] as const)
    ]),
    BOTHER: 0x1000,
    IBSHIFT: 16,
    CSIZE: [0x00, 0x10, 0x20, 0x30],
    CSTOPB: 0x40,
    CREAD: 0x80,
    PARENB: 0x100,
    PARODD: 0x200,
    CMSPAR: 0x4000_0000,
    CLOCAL: 0x800,
    CRTSCTS: 0x8000_0000
  },
  LOCK_EX: 2,
  LOCK_NB: 4
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
